"""Plans follow the numbers of rows that storage knows, and are made anew when these have become others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from memory_database import INT4, Database, columns, index

from dsql.catalog.schema import Table
from dsql.encoding.keyspace import keyspace_range
from dsql.planner.plan import HashJoin, Plan, Scan
from dsql.planner.planner import plan
from dsql.planner.row_counts import ROWS_MIN, ROWS_UNKNOWN, RowCounts
from dsql.sql.binder import bind
from dsql.sql.gate import parse_statement

LARGE, SMALL = 20000, 20010


def _table(oid: int, name: str) -> Table:
    key = index(oid + 1, f"{name}_pkey", 1, unique=True, primary=True)
    return Table(oid, "public", name, 10, columns(("id", INT4, "not null"), ("x", INT4)), (key,))


TABLES = {oid: _table(oid, name) for oid, name in ((LARGE, "large"), (SMALL, "small"))}


class Storage:
    def __init__(self, **rows: float | None) -> None:
        self.rows = rows
        self.asked = 0
        self.now = 0.0
        self.counts = RowCounts(self.count, lambda: self.now)

    def count(self, low: bytes, high: bytes) -> float | None:
        self.asked += 1
        (table,) = (t for t in TABLES.values() if keyspace_range(t.keyspace_id) == (low, high))
        return self.rows[table.name]


@pytest.fixture
def planned() -> Callable[[str, RowCounts], Plan]:
    database = Database([*TABLES.values()])

    def planned(text: str, counts: RowCounts) -> Plan:
        statement = bind(
            parse_statement(text), database.catalog, ("public",), database.context.settings, (),
            profile="postgres",
        )  # fmt: skip
        return plan(statement, counts)

    return planned


@pytest.mark.parametrize("text", ["large join small", "small join large"])
def test_the_smaller_table_is_hashed(planned: Any, text: str) -> None:
    storage = Storage(large=1e6, small=500.0)
    node = planned(f"select * from {text} using (x)", storage.counts).query.node
    assert isinstance(node, HashJoin)
    assert isinstance(node.inner, Scan)
    assert node.inner.table.name == "small"


def test_storage_is_asked_once_in_a_while(planned: Any) -> None:
    storage = Storage(large=1e6, small=500.0)
    for _ in range(3):
        planned("select * from large join small using (x)", storage.counts)
    assert storage.asked == 2
    storage.now += 100.0
    planned("select * from large join small using (x)", storage.counts)
    assert storage.asked == 4


def test_a_table_of_which_nobody_knows_is_taken_for_a_middling_one() -> None:
    storage = Storage(large=None, small=0.0)
    assert storage.counts.rows(TABLES[LARGE]) == ROWS_UNKNOWN
    assert storage.counts.rows(TABLES[SMALL]) == ROWS_MIN


def test_what_was_known_stands_while_storage_does_not_answer() -> None:
    storage = Storage(large=5e5)
    assert storage.counts.rows(TABLES[LARGE]) == 5e5
    storage.rows["large"], storage.now = None, 100.0
    assert storage.counts.rows(TABLES[LARGE]) == 5e5


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [(0.0, 1e6, True), (1e6, 10.0, True), (0.0, 2_000.0, False), (1e6, 2e6, False)],
)
def test_a_plan_is_outdated_by_a_table_of_another_size(
    planned: Any, before: float, after: float, moved: bool
) -> None:
    storage = Storage(large=before, small=500.0)
    rows = planned("select * from large join small using (x)", storage.counts).rows
    assert [table.name for table, _ in rows] == ["large", "small"]
    assert not storage.counts.have_moved(rows)
    storage.rows["large"], storage.now = after, 100.0
    assert storage.counts.have_moved(rows) == moved


def test_a_lookup_by_key_does_not_rest_on_numbers_of_rows(planned: Any) -> None:
    counts = Storage(large=1e6, small=500.0).counts
    assert planned("select x from large where id = 5", counts).rows == ()
    assert planned("update large set x = 1 where id = 5", counts).rows == ()
    assert planned("select x from large where id > 5", counts).rows != ()
