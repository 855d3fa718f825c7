"""EXPLAIN ANALYZE: what nodes have done is counted where they do it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

import pytest
from memory_database import Database, tables

from dsql.executor.meter import NOBODY, Meter
from dsql.executor.program import Measurement
from dsql.planner.explain import Style, show
from dsql.planner.explain_text import text_of

TOP, CHILD = 1, 2
SMALLEST = 128


def _clock(*times: float) -> Iterator[float]:
    return iter(times)


def test_time_is_of_who_runs_and_of_those_above() -> None:
    times = _clock(0, 1, 3, 6, 10, 15, 21, 28)
    meter = Meter([NOBODY, NOBODY, TOP], lambda: next(times))
    meter.enter(TOP)  # at 1
    meter.enter(CHILD)  # at 3: 2 seconds of the top
    meter.give(CHILD)  # at 6: 3 of the child
    meter.give(TOP)  # at 10: 4 of the top
    meter.take(TOP)  # at 15: 5 of the client's
    meter.take(CHILD)  # at 21: 6 of the top
    meter.leave(CHILD)  # at 28: 7 of the child
    assert meter.actual(CHILD) == (3, 10, 1, 1, 0)
    assert meter.actual(TOP) == (9, 22, 1, 1, 0)


def _measured(database: Database, text: str) -> tuple[list[str], Measurement]:
    program = database.prepare(text)
    ticks = count()
    database.context.account = None
    measurement = program.measure(database.context, (), lambda: next(ticks) / 1000, SMALLEST)
    style = Style(costs=False, timing=False, actual=measurement.actual)
    return text_of(show(program.plan, style), style), measurement


@pytest.fixture
def database() -> Database:
    database = Database(tables())
    database.run("insert into t select g, g % 3, 'b' || g, g from generate_series(1, 30) g")
    return database


@pytest.mark.parametrize(
    "text",
    [
        "select * from t where a = 1",
        "select * from t where id = 7",
        "select a, count(*) from t group by a having count(*) > 2",
        "select distinct a from t order by a desc",
        "select * from t x join t y on x.a = y.a where x.id < 4",
        "select * from t x left join t y on x.id = y.a",
        "select * from t x full join t y on x.id = y.a",
        "select * from t where exists (select from t y where y.a = t.id)",
        "select * from t order by b limit 3 offset 1",
        "select a from t union select id from t where id < 9",
        "select a from t except all select id from t",
        "select id, rank() over (partition by a order by n) from t",
        "with w as materialized (select * from t) select * from w x, w y where x.id = y.a",
        "with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select * from r",
        "select (select max(id) from t y where y.a = t.a) from t limit 4",
        "select generate_series(1, a) from t",
        "values (1), (2)",
        "select 1 where false",
    ],
)
def test_the_first_line_tells_how_many_rows_there_were(database: Database, text: str) -> None:
    lines, _ = _measured(database, text)
    assert f"(actual rows={len(database.run(text))} loops=1)" in lines[0], lines


def test_a_nested_node_counts_its_loops(database: Database) -> None:
    lines, _ = _measured(database, "select (select count(*) from t y where y.b > t.b) from t")
    inner = [line for line in lines if "Aggregate" in line]
    assert [re.findall(r"loops=(\d+)", line) for line in inner] == [["30"]]


def test_filters_tell_what_they_took_away(database: Database) -> None:
    lines, _ = _measured(database, "select * from t where n > 20")
    assert "      Rows Filtered: 20" in lines
    lines, _ = _measured(database, "select a from t group by a having count(*) > 10")
    assert "  Rows Removed by Filter: 3" in lines


def test_what_never_ran_is_said_to_be(database: Database) -> None:
    text = "select * from t x, lateral (select max(id) from t y where y.a = x.id) z where x.id < 0"
    lines, _ = _measured(database, text)
    assert any("Aggregate" in line and line.endswith(" (never executed)") for line in lines), lines


def test_a_modification_gives_rows_only_where_they_are_returned(database: Database) -> None:
    lines, _ = _measured(database, "update t set a = 5 where id < 4")
    assert lines[0] == "Update on t (actual rows=0 loops=1)"
    lines, _ = _measured(database, "update t set a = 5 where id < 4 returning id")
    assert lines[0] == "Update on t (actual rows=3 loops=1)"


def test_the_select_list_is_computed(database: Database) -> None:
    from dsql.errors import SqlError

    with pytest.raises(SqlError, match="division by zero"):
        _measured(database, "select 1 / (id - id) from t")


def test_small_reads_and_writes_count_as_the_smallest(database: Database) -> None:
    _, measurement = _measured(database, "select * from t where id = 1")
    assert (measurement.read_bytes, measurement.written_bytes) == (SMALLEST, 0)
    _, measurement = _measured(database, "insert into pair values (1, 'x', 2), (2, 'x', 3)")
    assert measurement.written_bytes == 2 * SMALLEST
