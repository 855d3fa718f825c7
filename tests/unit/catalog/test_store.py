from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from dsql.catalog import loader
from dsql.catalog.catalog import Catalog
from dsql.catalog.loader import CatalogCache
from dsql.catalog.schema import FIRST_USER_OID, Role, Schema, Table
from dsql.catalog.store import CatalogWriter, read_version
from dsql.encoding.keyspace import catalog_version_key, role_version_key, table_version_key
from dsql.transaction.interface import Mode


def test_an_empty_store_has_the_system_schemas_and_admin(rows: Any) -> None:
    catalog = CatalogCache().current(rows)
    assert catalog.version == 0
    assert sorted(catalog.schemas) == ["information_schema", "pg_catalog", "public", "sys"]
    assert list(catalog.roles) == ["admin"]


def test_a_table_comes_back_as_it_was_written(rows: Any, writer: Any, orders: Table) -> None:
    writer.put_table(orders)
    assert CatalogCache().current(rows).tables["public", "Orders"] == orders


def test_every_change_gives_the_catalog_another_version(rows: Any, orders: Table) -> None:
    CatalogWriter(rows).put_table(orders)
    first = read_version(rows)
    CatalogWriter(rows).put_schema(Schema(20_000, "s", 10))
    assert read_version(rows) not in (0, first)


def test_a_change_of_a_table_meets_every_transaction_that_used_it(
    rows: Any, writer: Any, orders: Table
) -> None:
    writer.put_table(orders)
    keys = {catalog_version_key(), table_version_key(orders.oid)}
    assert keys <= rows.values.keys()
    assert rows.checks == {(key, Mode.CATALOG) for key in keys}


def test_a_change_of_a_role_meets_every_transaction_that_relied_on_it(
    rows: Any, writer: Any
) -> None:
    writer.put_role(Role(20_000, "r"))
    keys = {catalog_version_key(), role_version_key(20_000)}
    assert keys <= rows.values.keys()
    assert rows.checks == {(key, Mode.CATALOG) for key in keys}


def test_a_cached_catalog_is_used_until_the_version_changes(
    rows: Any, writer: Any, orders: Table
) -> None:
    cache = CatalogCache()
    before = cache.current(rows)
    assert cache.current(rows) is before
    writer.put_table(orders)
    assert "Orders" in {name for _, name in cache.current(rows).tables}


def test_old_transactions_and_ddl_beside_each_other_each_find_their_catalog(
    rows: Any, orders: Table
) -> None:
    cache = CatalogCache()
    snapshots = []
    for number in range(5):
        CatalogWriter(rows).put_schema(Schema(20_000 + number, f"s{number}", 10))
        snapshots.append(deepcopy(rows))
    catalogs = [cache.current(snapshot) for snapshot in snapshots[1:]]
    assert [cache.current(snapshot) for snapshot in snapshots[1:]] == catalogs
    again = cache.current(snapshots[0])  # in the place of the one that was used longest ago
    assert [f"s{number}" in again.schemas for number in range(5)] == [True, *[False] * 4]
    assert cache.current(snapshots[2]) is catalogs[1]
    assert cache.current(snapshots[1]) is not catalogs[0]


def test_tasks_that_load_the_same_version_at_once_get_one_whole_catalog(
    rows: Any, writer: Any, orders: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has seen a version's catalog finds the same one again: what it has compiled is for that."""
    writer.put_table(orders)
    cache = CatalogCache()
    loaded: list[Catalog] = []
    load = loader.load

    def note(reader: Any) -> Catalog:
        loaded.append(load(reader))
        return loaded[-1]

    monkeypatch.setattr(loader, "load", note)
    inner: list[Catalog] = []

    class Preempted:
        """Another task runs between any two rows that are read."""

        get = rows.get

        def scan(self, low: bytes, high: bytes) -> Any:
            for row in rows.scan(low, high):
                inner.append(cache.current(rows))
                yield row

    outer = cache.current(Preempted())  # type: ignore[arg-type]
    assert all(("public", "Orders") in catalog.tables for catalog in (outer, *inner))
    assert len(loaded) == 2, "both have loaded it"
    assert loaded[0] is not loaded[1]
    assert all(catalog is cache.current(rows) for catalog in (outer, *inner))


def test_oids_are_never_used_twice(rows: Any) -> None:
    seen = [CatalogWriter(rows).allocate_oid() for _ in range(3)]
    assert seen == [FIRST_USER_OID, FIRST_USER_OID + 1, FIRST_USER_OID + 2]


def test_a_dropped_table_is_gone_with_its_name(rows: Any, writer: Any, orders: Table) -> None:
    writer.claim_name("public", "Orders")
    writer.put_table(orders)
    writer.drop_table(orders)
    assert not CatalogCache().current(rows).tables
    assert not [key for key in rows.values if key.endswith(b"Orders")]
