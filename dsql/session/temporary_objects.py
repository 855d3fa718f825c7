"""A session's temporary tables: where they are kept, and what its catalog is with them.

They are made with the first one, and end with the session, which does not leave its process meanwhile.
"""

from __future__ import annotations

from itertools import chain

from dsql.catalog.catalog import Catalog
from dsql.catalog.dependencies import PG_CLASS, Address, closure
from dsql.catalog.schema import OnCommit, Table
from dsql.catalog.store import (
    CatalogWriter,
    Reader,
    load_temporary,
    read_version,
    temporary_schema,
)
from dsql.ddl.removal import keyspaces_of
from dsql.encoding.keyspace import prefix
from dsql.session.environment import SessionTransaction
from dsql.transaction.local_store import LocalStore


class TemporaryObjects:
    """Of one session."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.schema = temporary_schema(store.number)
        self._shared: Catalog | None = None
        self._version = -1
        self._catalog: Catalog | None = None

    def catalog(self, shared: Catalog, reader: Reader) -> Catalog:
        """Return what the session sees where everybody sees `shared`; costs one get if nothing changed."""
        version = read_version(reader, local=True)
        found = self._catalog
        if found is None or self._shared is not shared or self._version != version:
            found = shared.with_temporary(self.schema, load_temporary(reader), version)
            self._shared, self._version, self._catalog = shared, version, found
        return found

    def before_commit(self, catalog: Catalog, transaction: SessionTransaction) -> None:
        """Take out of a transaction what its commit does not keep (ON COMMIT).

        No commit has ever kept such rows, so they are to be found nowhere else.
        """
        tables = list(catalog.tables_in(self.schema.name))
        emptied = [table for table in tables if table.on_commit is OnCommit.DELETE_ROWS]
        targets = [_address(table) for table in tables if table.on_commit is OnCommit.DROP]
        gone = {dropped.address for dropped in closure(catalog, targets)} if targets else set()
        dropped = [table for table in tables if _address(table) in gone]
        if emptied or dropped:
            keyspaces = chain.from_iterable(map(keyspaces_of, (*emptied, *dropped)))
            transaction.forget(tuple(map(prefix, keyspaces)))
        writer = CatalogWriter(transaction, local=True)
        for table in dropped:
            writer.drop_table(table)

    @property
    def has_tables(self) -> bool:
        """Whether there were any after the last commit."""
        return bool(load_temporary(self.store))


def _address(table: Table) -> Address:
    return Address(PG_CLASS, table.oid)
