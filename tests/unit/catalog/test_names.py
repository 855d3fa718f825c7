"""reg* names against a catalog."""

from __future__ import annotations

import pytest

import dsql.functions.builtin  # noqa: F401  (the functions that have names)
from dsql.catalog.catalog import Catalog
from dsql.catalog.names import CatalogNames, View
from dsql.catalog.schema import Column, Role, Schema, Table
from dsql.errors import SqlError
from dsql.types import oids, reg


@pytest.fixture
def names() -> CatalogNames:
    tables = [
        Table(20_000, "public", "Order", 10, (Column("id", 1, oids.INT4),), ()),
        Table(20_010, "app", "t", 10, (Column("id", 1, oids.INT4),), ()),
    ]
    schemas = [Schema(2200, "public", 10), Schema(20_001, "app", 10)]
    catalog = Catalog(1, schemas, tables, [Role(10, "admin", True)])
    return CatalogNames(lambda: View(catalog, ("public",), None))


@pytest.mark.parametrize(
    ("kind", "text", "oid"),
    [
        ("regclass", '"Order"', 20_000),
        ("regclass", "app.t", 20_010),
        ("regclass", " app . T ", 20_010),
        ("regclass", "pg_class", 1259),
        ("regclass", "20010", 20_010),
        ("regtype", "int", oids.INT4),
        ("regtype", "pg_catalog.varchar(10)", oids.VARCHAR),
        ("regtype", "timestamp with time zone", oids.TIMESTAMPTZ),
        ("regtype", "int4[]", oids.INT4_ARRAY),
        ("regnamespace", "app", 20_001),
        ("regrole", "admin", 10),
        ("regproc", "-", 0),
    ],
)
def test_a_name_means_an_oid(names: CatalogNames, kind: str, text: str, oid: int) -> None:
    assert reg.oid_of(kind, text, names) == oid


@pytest.mark.parametrize(
    ("kind", "text", "sqlstate", "message"),
    [
        ("regclass", "t", "42P01", 'relation "t" does not exist'),
        ("regclass", 'App."T"', "42P01", 'relation "app.T" does not exist'),
        ("regclass", "a b", "42602", "invalid name syntax"),
        ("regtype", "nothing", "42704", 'type "nothing" does not exist'),
        ("regnamespace", "x", "3F000", 'schema "x" does not exist'),
        ("regrole", "x", "42704", 'role "x" does not exist'),
        ("regproc", "nothing", "42883", 'function "nothing" does not exist'),
        ("regproc", "abs", "42725", 'more than one function named "abs"'),
    ],
)
def test_an_unknown_name_is_told(
    names: CatalogNames, kind: str, text: str, sqlstate: str, message: str
) -> None:
    with pytest.raises(SqlError) as caught:
        reg.oid_of(kind, text, names)
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)


@pytest.mark.parametrize(
    ("kind", "oid", "text"),
    [
        ("regclass", 20_000, '"Order"'),
        ("regclass", 20_010, "app.t"),
        ("regclass", 1259, "pg_class"),
        ("regclass", 99, None),
        ("regnamespace", 2200, "public"),
        ("regrole", 10, "admin"),
    ],
)
def test_an_oid_shows_as_the_name_that_finds_it(
    names: CatalogNames, kind: str, oid: int, text: str | None
) -> None:
    assert names.name_of(kind, oid) == text
