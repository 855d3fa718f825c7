"""A query that is run for many rows reads what is the same for all of them once, and remembers results."""

from __future__ import annotations

from typing import Any

import pytest
from memory_database import Database

from dsql.executor.keyed_rows import KeyedRows
from dsql.executor.materialize import Results
from dsql.executor.memory import SAMPLE_EVERY, Bounds, StatementMemory
from dsql.executor.temporary import TemporarySpace, unnamed_file

ROWS = 200


@pytest.fixture
def filled(db: Database) -> Database:
    for n in range(ROWS):
        db.count(f"insert into t values ({n}, {n % 10}, 'b{n % 3}', {n % 2}.{'0' * (n % 3)})")
        db.count(f"insert into heap values ({n % 50}, 'y{n % 7}')")
    return db


@pytest.fixture
def memory() -> StatementMemory:
    return StatementMemory(Bounds(work_max=32 * 1024), TemporarySpace(unnamed_file))


@pytest.mark.parametrize(
    ("query", "scans"),
    [
        ("select (select count(*) from heap where x = t.a) from t", 2),
        ("select id from t where a > (select avg(length(y)) from heap where x = t.a and y < t.b)", 2),
        ("select id from t where exists (select from heap where x = a offset 2) or id = 3", 2),
        ("select id from t where b in (select y from heap where x = a) or id = 3", 2),
        ("select id from t where b not in (select y from heap where x = a)", 2),
        ("select q.m from t, lateral (select max(y) m from heap where x = a) q", 2),
        ("select (select count(*) from heap where x < t.a) from t", 2),
        ("select (select max(x + (select count(*) from heap h where h.x = heap.x)) from heap "
         "where x = t.a) from t", 3),
        ("select id from t where not exists (select from heap where x = a and not exists "
         "(select from heap h where h.x = heap.x and h.y < t.b))", 3),
        ("with w as materialized (select * from heap) select (select max(y) from w where x = a) from t", 2),
    ],
)  # fmt: skip
def test_a_correlated_query_reads_each_table_once(filled: Database, query: str, scans: int) -> None:
    filled.run(query)
    filled.transaction.scans = 0
    assert len(filled.run(query)) <= ROWS
    assert filled.transaction.scans == scans


def test_a_volatile_subquery_is_run_for_each_row(filled: Database) -> None:
    rows = filled.run("select (select random() from heap where x = t.a limit 1) from t where a < 2")
    assert len(set(rows)) == len(rows) > 2


def test_equal_numbers_of_different_scale_are_told_apart(filled: Database) -> None:
    rows = filled.run("select n::text, (select t.n::text from heap where x = 1 limit 1) from t")
    assert all(one == other for one, other in rows)
    assert len(set(rows)) > 2


def test_rows_of_a_recursion_without_end_are_not_kept_for_who_asks_for_one(db: Database) -> None:
    db.count("insert into t values (3, 1, 'b', 1), (5, 1, 'b', 1)")
    endless = "with recursive r(n) as (select 1 union all select n + 1 from r)"
    assert db.run(f"{endless} select id from t where exists (select from r where n = id offset 0)") == [
        (3,), (5,)
    ]  # fmt: skip


def test_rows_by_key_come_back_from_temporary_space(memory: StatementMemory) -> None:
    kept = KeyedRows(memory)
    expected: dict[int, list[Any]] = {}
    for number in range(5_000):
        kept.rows.setdefault(number % 700, []).append((number, "x" * 20))
        expected.setdefault(number % 700, []).append((number, "x" * 20))
        if not number % SAMPLE_EVERY:
            kept.sample((number, number, "x" * 20))
    find = kept.finder()
    assert memory.temporary > 0
    assert memory.used <= 2 * memory.bounds.work_max
    assert {key: find(key, ()) for key in expected} == expected
    assert list(find(-1, ())) == []


def test_remembered_results_are_bounded(memory: StatementMemory) -> None:
    results = Results(memory)
    for number in range(2_000):
        assert results.keep((1, number), "x" * 100) == "x" * 100
        assert memory.used <= memory.bounds.work_max + 1_000
    assert 0 < len(results.known) < 2_000


def test_a_condition_that_nothing_meets_is_no_obstacle(db: Any) -> None:
    db.count("insert into t values (1, 10, 'one', 1.5)")
    text = "select (select max(u.id) from u where t.a = any ('{}'::int4[])) from t"
    assert db.run(text) == [(None,)]
