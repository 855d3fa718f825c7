"""The closure of a drop, in PostgreSQL's order."""

from __future__ import annotations

import pytest

from dsql.catalog.catalog import Catalog
from dsql.catalog.dependencies import PG_CLASS, PG_NAMESPACE, Address, RequiredError, closure
from dsql.catalog.descriptions import description
from dsql.catalog.schema import Column, Index, IndexColumn, Role, Schema, Table, Use
from dsql.types import oids


def columns(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, number, oids.INT4) for number, name in enumerate(names, 1))


def view(oid: int, name: str, *reads: int) -> Table:
    return Table(
        oid, "public", name, 10, columns("a"), kind="v", uses=tuple(Use(each, 1) for each in reads)
    )


KEY = Index(
    20_001, "t_pkey", (IndexColumn(1),), primary=True, constraint="t_pkey", constraint_oid=20_002
)
GENERATED = Column("c", 3, oids.INT4, default="(b * 2)", generated=True, uses=(Use(20_000, 2),))
TABLE = Table(20_000, "public", "t", 10, (*columns("a", "b"), GENERATED), indexes=(KEY,))


def catalog_of(*tables: Table) -> Catalog:
    return Catalog(1, [Schema(2200, "public", 10)], tables, [Role(10, "admin")])


def told(catalog: Catalog, *targets: Address) -> list[str]:
    return [
        f"{description(each.address, catalog, ['public'])} < "
        f"{each.by and description(each.by, catalog, ['public'])}"
        for each in closure(catalog, targets)
        if each.is_told
    ]


def test_views_go_with_what_they_read_the_oldest_first_and_before_their_siblings():
    catalog = catalog_of(TABLE, view(20_010, "v", 20_000), view(20_020, "w", 20_000))
    over = catalog.with_tables([*catalog.tables.values(), view(20_030, "over", 20_010)])
    assert told(over, Address(PG_CLASS, 20_000)) == [
        "view v < table t",
        "view over < view v",
        "view w < table t",
    ]


def test_what_is_named_as_well_needs_no_cascade():
    catalog = catalog_of(TABLE, view(20_010, "v", 20_000))
    assert told(catalog, Address(PG_CLASS, 20_000), Address(PG_CLASS, 20_010)) == []
    assert told(catalog, Address(PG_CLASS, 20_010), Address(PG_CLASS, 20_000)) == []


def test_an_index_belongs_to_its_constraint_and_goes_with_the_column_of_it():
    catalog = catalog_of(TABLE)
    with pytest.raises(RequiredError) as raised:
        closure(catalog, [Address(PG_CLASS, 20_001)])
    required = description(raised.value.by, catalog, ["public"])
    assert required == "constraint t_pkey on table t"
    gone = {each.address for each in closure(catalog, [Address(PG_CLASS, 20_000, 1)])}
    assert Address(PG_CLASS, 20_001) in gone


def test_a_generated_column_depends_on_what_it_is_computed_from():
    catalog = catalog_of(TABLE)
    assert told(catalog, Address(PG_CLASS, 20_000, 2)) == [
        "column c of table t < column b of table t"
    ]
    assert told(catalog, Address(PG_CLASS, 20_000)) == []


def test_a_schema_takes_what_depends_on_its_tables_before_their_siblings():
    catalog = catalog_of(TABLE, view(20_010, "v", 20_000))
    assert told(catalog, Address(PG_NAMESPACE, 2200)) == [
        "table t < schema public",
        "view v < schema public",
    ]
