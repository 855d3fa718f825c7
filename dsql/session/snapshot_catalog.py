"""The catalog that a transaction sees: its snapshot's, with its own DDL and the session's own objects."""

from __future__ import annotations

from collections.abc import Callable

from dsql.catalog.catalog import Catalog
from dsql.catalog.loader import CatalogCache
from dsql.session.environment import SessionTransaction
from dsql.session.temporary_objects import TemporaryObjects
from dsql.transaction.local_store import LocalStore


class SnapshotCatalog:
    """Of one session, whose transactions follow each other.

    `found` is the running one's, once it has looked.
    `is_changed`: this transaction has changed it; a later ROLLBACK TO does not reset that. `temporary` are
    the session's temporary objects, if it has had any.
    """

    def __init__(self, catalogs: CatalogCache) -> None:
        self._catalogs = catalogs
        self._last: Catalog | None = None
        self._last_timestamp = -1
        self.found: Catalog | None = None
        self.is_changed = False
        self.temporary: TemporaryObjects | None = None

    def find(self, transaction: SessionTransaction) -> Catalog:
        """Look the catalog's version up, unless nothing at all was committed since the last time."""
        if self.is_changed:
            found = self._catalogs.current(transaction)
        else:
            timestamp = transaction.start_timestamp
            if timestamp != self._last_timestamp or self._last is None:
                self._last = self._catalogs.current(transaction)
                self._last_timestamp = timestamp
            found = self._last
        if self.temporary is not None:
            found = self.temporary.catalog(found, transaction)
        self.found = found
        return found

    def open_temporary(
        self, transaction: SessionTransaction, new_store: Callable[[], LocalStore]
    ) -> TemporaryObjects:
        """Return the session's temporary objects; from the first time on the catalog has their schema."""
        found = self.temporary
        if found is None:
            store = new_store()
            self.temporary = found = TemporaryObjects(store)
            transaction.join(store)
            self.found = None
        return found

    def close_temporary(self, transaction: SessionTransaction) -> None:
        """Remove the session's temporary objects, between two transactions."""
        if self.temporary is not None:
            transaction.join(None)
            self.temporary.store.close()
            self.temporary = None
