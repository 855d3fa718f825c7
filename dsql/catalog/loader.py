"""The catalogs that running transactions see, kept while their versions stay."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

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
        self._kept: OrderedDict[int, Catalog] = (
            OrderedDict()
        )  # by version, the one found last at the end
        self._last: Catalog | None = None

    def current(self, reader: Reader) -> Catalog:
        """Return the catalog at the reader's snapshot; costs one get where nothing has changed.

        While it is loaded others may run, and load the same: the first one to be done is everybody's.
        Plans, and transactions that are run again, know their catalog by identity.
        """
        version = read_version(reader)
        last = self._last
        if last is not None and last.version == version:
            return last
        catalog = self._kept.get(version)
        if catalog is None:
            catalog = self._kept.setdefault(version, load(reader))  # in one step
        self._last = catalog
        self._forget_oldest(version)
        return catalog

    def _forget_oldest(self, used: int) -> None:
        with suppress(KeyError):  # others may be at it
            self._kept.move_to_end(used)
            while len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)
