"""The catalogs that running transactions see, kept while their versions stay."""

from __future__ import annotations

import dsql.catalog.system_tables  # noqa: F401 (makes the computed tables and their functions known)
from dsql.catalog.catalog import Catalog
from dsql.catalog.store import Reader, load, read_version

_KEPT_MAX = 4


class CatalogCache:
    """One per query processor: the catalogs of the versions read last.

    A transaction that is older than the newest version must not see it; its own DDL must be seen by
    itself. Both follow from reading the version through the transaction, and from versions being random:
    what was rolled back is met by nobody else. Old transactions beside DDL, and DDL beside others, each
    find theirs.
    """

    def __init__(self) -> None:
        self._kept: tuple[Catalog, ...] = ()  # the one used last in front

    def current(self, reader: Reader) -> Catalog:
        """Return the catalog at the reader's snapshot; costs one get where nothing has changed.

        While it is loaded others may run, and load the same.
        """
        version = read_version(reader)
        kept = self._kept
        if kept and kept[0].version == version:
            return kept[0]
        catalog = next((one for one in kept if one.version == version), None) or load(reader)
        others = [one for one in self._kept if one.version != version]
        self._kept = (catalog, *others[: _KEPT_MAX - 1])
        return catalog
