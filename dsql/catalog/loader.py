"""The catalog of the running transaction, kept while its version stays."""

from __future__ import annotations

import dsql.catalog.system_tables  # noqa: F401 (makes the computed tables and their functions known)
from dsql.catalog.catalog import Catalog
from dsql.catalog.store import Reader, load, read_version


class CatalogCache:
    """One per query processor: the catalog of the version read last.

    A transaction that is older than the newest version must not see it; its own DDL must be seen by
    itself. Both follow from reading the version through the transaction.
    """

    def __init__(self) -> None:
        self._catalog: Catalog | None = None

    def current(self, reader: Reader) -> Catalog:
        """Return the catalog at the reader's snapshot; costs one get where nothing has changed."""
        version = read_version(reader)
        if self._catalog is None or self._catalog.version != version:
            self._catalog = load(reader)
        return self._catalog
