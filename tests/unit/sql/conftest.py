"""A catalog made of plain values, like the tables that bindings.txt was answered for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import CheckConstraint, Column, Index, IndexColumn, Role, Schema, Table
from dsql.sql.binder import bind
from dsql.sql.bound_query import BoundStatement
from dsql.sql.gate import parse_statement
from dsql.types import oids
from dsql.types.type import FormatSettings

PUBLIC = 2200
OWNER = 10


def columns(*definitions: tuple[Any, ...]) -> tuple[Column, ...]:
    """Return columns of (name, type OID, typmod, further fields)."""
    made = []
    for number, (name, type_oid, *rest) in enumerate(definitions, 1):
        typmod = rest[0] if rest else -1
        made.append(Column(name, number, type_oid, typmod, **(rest[1] if len(rest) > 1 else {})))
    return tuple(made)


def numeric(precision: int, scale: int) -> int:
    return ((precision << 16) | scale) + 4


def primary_key(oid: int, table: str, *numbers: int) -> Index:
    name = f"{table}_pkey"
    parts = tuple(IndexColumn(number) for number in numbers)
    return Index(oid, name, parts, unique=True, primary=True, constraint=name)


ACCOUNTS = Table(
    20001,
    "public",
    "accounts",
    OWNER,
    columns(
        ("id", oids.INT4, -1, {"not_null": True}),
        ("name", oids.TEXT, -1, {"not_null": True}),
        ("balance", oids.NUMERIC, numeric(10, 2), {"default": "0"}),
        ("active", oids.BOOL, -1, {"default": "true"}),
        ("created", oids.TIMESTAMPTZ, -1, {"default": "now()"}),
    ),
    indexes=(primary_key(20011, "accounts", 1),),
)
ORDERS = Table(
    20002,
    "public",
    "orders",
    OWNER,
    columns(
        ("id", oids.INT8, -1, {"not_null": True}),
        ("account_id", oids.INT4),
        ("total", oids.NUMERIC, numeric(12, 2)),
        ("note", oids.VARCHAR, 24),
        ("placed", oids.DATE),
        ("tags", oids.TEXT_ARRAY),
    ),
    indexes=(primary_key(20012, "orders", 1),),
)
ITEMS = Table(
    20003,
    "public",
    "items",
    OWNER,
    columns(
        ("order_id", oids.INT8, -1, {"not_null": True}),
        ("line", oids.INT4, -1, {"not_null": True}),
        ("sku", oids.TEXT),
        ("qty", oids.INT4, -1, {"default": "1"}),
        ("doubled", oids.INT4, -1, {"default": "qty * 2", "generated": True}),
    ),
    indexes=(
        primary_key(20013, "items", 1, 2),
        Index(20023, "items_sku", (IndexColumn(0, "lower(sku)", oids.TEXT),), unique=True),
    ),
    checks=(CheckConstraint(20033, "items_qty_check", "qty > 0"),),
)
TYPED = Table(
    20004,
    "public",
    "typed",
    OWNER,
    columns(
        ("i2", oids.INT2),
        ("i4", oids.INT4),
        ("i8", oids.INT8),
        ("f4", oids.FLOAT4),
        ("f8", oids.FLOAT8),
        ("n", oids.NUMERIC),
        ("t", oids.TEXT),
        ("v", oids.VARCHAR, 9),
        ("c", oids.BPCHAR, 7),
        ("b", oids.BOOL),
        ("d", oids.DATE),
        ("ts", oids.TIMESTAMP),
        ("tz", oids.TIMESTAMPTZ),
        ("iv", oids.INTERVAL),
        ("u", oids.UUID),
        ("by", oids.BYTEA),
        ("j", oids.JSON),
        ("jb", oids.JSONB),
        ("ia", oids.INT4_ARRAY),
    ),
)
RICH = Table(
    20005,
    "public",
    "rich",
    OWNER,
    columns(("id", oids.INT4), ("name", oids.TEXT), ("twice", oids.NUMERIC)),
    kind="v",
    view_definition="SELECT id, name, balance * 2 AS twice FROM public.accounts WHERE active",
)

Bind = Callable[..., BoundStatement]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog(
        1,
        [Schema(PUBLIC, "public", OWNER)],
        [ACCOUNTS, ORDERS, ITEMS, TYPED, RICH],
        [Role(OWNER, "admin", True)],
    )


@pytest.fixture(scope="session")
def bound(catalog: Catalog) -> Bind:
    def run(text: str, types: Sequence[int] = (), *, profile: str = "postgres") -> BoundStatement:
        parsed = parse_statement(text)
        return bind(parsed, catalog, ("public",), FormatSettings(), types, profile=profile)

    return run
