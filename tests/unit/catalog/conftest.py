from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dsql.catalog.loader import CatalogCache
from dsql.catalog.schema import CheckConstraint, Column, Index, IndexColumn, Table
from dsql.catalog.store import ADMIN, CatalogWriter
from dsql.transaction.interface import Mode
from dsql.types import oids


class Rows:
    """A transaction over a dictionary that remembers what it would check at commit."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.checks: set[tuple[bytes, Mode]] = set()

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def read(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(
        self, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.values, reverse=reverse):
            if low <= key < high:
                yield key, self.values[key]

    def put(self, key: bytes, value: bytes, mode: Mode, *, row: bool = False) -> None:
        self.values[key] = value

    def delete(self, key: bytes, mode: Mode, *, row: bool = False) -> None:
        self.values.pop(key, None)

    def check(self, key: bytes, mode: Mode) -> None:
        self.checks.add((key, mode))


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def writer(rows: Rows) -> CatalogWriter:
    return CatalogWriter(rows)  # type: ignore[arg-type]


@pytest.fixture
def orders() -> Table:
    return Table(
        oid=16_400,
        schema="public",
        name="Orders",
        owner_oid=10,
        columns=(
            Column("id", 1, oids.INT8, not_null=True),
            Column("status", 2, oids.VARCHAR, typmod=14, default="'new'::character varying"),
            Column("total", 3, oids.NUMERIC, typmod=(10 << 16 | 2) + 4),
        ),
        indexes=(
            Index(
                16_401,
                "Orders_pkey",
                (IndexColumn(1, type_oid=oids.INT8),),
                unique=True,
                primary=True,
                constraint="Orders_pkey",
                constraint_oid=16_402,
            ),
            Index(
                16_403,
                "by_status",
                (
                    IndexColumn(2, type_oid=oids.VARCHAR, descending=True, nulls_first=True),
                    IndexColumn(0, "lower((status)::text)", oids.TEXT),
                ),
                include=(3,),
                predicate="(total > 0)",
            ),
        ),
        checks=(CheckConstraint(16_404, "positive", "(total > 0)"),),
        row_type_oid=16_405,
    )


_EMPTY = ("sessions", "lost_transactions", "settings", "cursors", "prepared_statements")


@pytest.fixture
def context(rows: Rows, writer: CatalogWriter, orders: Table) -> Any:
    writer.put_table(orders)
    return SimpleNamespace(
        transaction=rows,
        catalog=CatalogCache().current(rows),  # type: ignore[arg-type]
        search_path=("public",),
        user=ADMIN,
        statement_timestamp=0,
        transaction_timestamp=0,
        profile="dsql",
        authority=None,
        facts=SimpleNamespace(**dict.fromkeys(_EMPTY, list), timestamp=int),
    )
