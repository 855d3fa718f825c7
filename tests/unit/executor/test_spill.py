"""What a statement keeps beyond its share of memory goes to temporary space and comes back the same."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.errors import SqlError
from dsql.executor import partition, runs, temporary
from dsql.executor.memory import Bounds, StatementMemory
from dsql.executor.partition import PARTITIONS, Partitions
from dsql.executor.sorting import Descending, SortedRows
from dsql.executor.spill import Rows
from dsql.executor.temporary import BLOCK_BYTES, TemporarySpace, unnamed_file
from tests.memory_database import Database, tables

SMALL = Bounds(work_max=16 * 1024, memory_max=640 * 1024)
MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True, scope="module")
def only_own_garbage() -> Iterator[None]:
    """What other tests have left behind is not gone through with each collection here."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def space() -> TemporarySpace:
    return TemporarySpace(unnamed_file)


def kept_rows(kept: Any, rows: list[Any]) -> list[Any]:
    for row in rows:
        kept.list.append(row)
        if not len(kept.list) & 63:
            kept.sample()
    return list(kept)


fields = st.none() | st.integers() | st.text(max_size=20)
rows_of_pairs = st.lists(
    st.tuples(st.none() | st.integers(-5, 5), st.none() | st.text(max_size=3)), max_size=400
)


@given(rows=st.lists(st.tuples(fields, fields), max_size=300))
@settings(max_examples=50, deadline=None)
def test_rows_come_back_as_they_went(rows: list[Any]) -> None:
    memory = StatementMemory(Bounds(work_max=2_000), TemporarySpace(unnamed_file))
    kept = Rows(memory)
    assert kept_rows(kept, rows) == rows
    assert list(kept) == rows, "any number of times"
    assert bool(kept) == bool(rows)


@given(rows=rows_of_pairs, descending=st.tuples(st.booleans(), st.booleans()))
@settings(max_examples=100, deadline=None)
def test_merged_runs_equal_one_stable_sort(rows: list[Any], descending: tuple[bool, bool]) -> None:
    def part(row: Any, place: int) -> Any:
        return (row[place] is None, row[place])

    def order(kept: list[Any]) -> None:
        for place in (1, 0):
            kept.sort(key=lambda row: part(row, place), reverse=descending[place])

    def key(row: Any) -> Any:
        parts = [part(row, place) for place in (0, 1)]
        if descending[0] == descending[1]:
            return tuple(parts)
        return tuple(
            Descending(p) if down else p for p, down in zip(parts, descending, strict=True)
        )

    memory = StatementMemory(Bounds(work_max=4_000), TemporarySpace(unnamed_file))
    rows = [(*row, number) for number, row in enumerate(rows)]
    expected = list(rows)
    order(expected)
    assert kept_rows(SortedRows(memory, order, key, reverse=all(descending)), rows) == expected


def test_values_of_every_kind_survive_temporary_space(space: TemporarySpace) -> None:
    row = (
        1,
        2**80,
        -1.5,
        float("inf"),
        "é",
        b"\0",
        None,
        True,
        Decimal("1.50"),
        [1, [None]],
        (1, 2),
    )
    kept = Rows(StatementMemory(Bounds(work_max=0), space))
    assert repr(kept_rows(kept, [row] * 64)) == repr([row] * 64)


def test_a_chunk_of_large_rows_is_cut(space: TemporarySpace) -> None:
    kept = Rows(StatementMemory(Bounds(work_max=0, temporary_max=100 * MEBIBYTE), space))
    rows = [(number, "x" * 300_000) for number in range(64)]
    assert kept_rows(kept, rows) == rows
    (run,) = kept._runs
    assert len(run.chunk(0)) == 1


def test_space_is_given_back_with_its_rows(space: TemporarySpace) -> None:
    memory = StatementMemory(Bounds(work_max=10_000), space)
    kept = Rows(memory)
    kept_rows(kept, [(number, f"{number:100}") for number in range(20_000)])
    assert memory.temporary > 2 * MEBIBYTE
    assert os.fstat(space._file).st_size > 2 * MEBIBYTE
    del kept
    gc.collect()
    assert (memory.used, memory.temporary, os.fstat(space._file).st_size) == (0, 0, 0)


@pytest.mark.parametrize(
    ("documented", "sqlstate", "message"),
    [
        (True, "54000", "query requires more than allowed temp space of 1024 KB to execute"),
        (False, "53400", "temporary file size exceeds temp_file_limit (1024kB)"),
    ],
)
def test_temporary_space_is_bounded(
    space: TemporarySpace, documented: bool, sqlstate: str, message: str
) -> None:
    bounds = Bounds(work_max=10_000, temporary_max=MEBIBYTE, documented=documented)
    with pytest.raises(SqlError) as caught:
        kept_rows(
            Rows(StatementMemory(bounds, space)), [(f"{number:1000}",) for number in range(10_000)]
        )
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)


def test_a_disk_that_fails_ends_the_statement(tmp_path: Any) -> None:
    path = tmp_path / "full"
    path.write_bytes(b"")
    space = TemporarySpace(lambda: os.open(path, os.O_RDONLY))
    with pytest.raises(SqlError, match="could not write to temporary file") as caught:
        kept_rows(
            Rows(StatementMemory(Bounds(work_max=0), space)),
            [(f"{number:2000}",) for number in range(64)],
        )
    assert caught.value.sqlstate == "58030"


def test_a_full_disk_is_reported_as_such() -> None:
    space = TemporarySpace(lambda: os.open("/dev/full", os.O_RDWR))
    with pytest.raises(SqlError, match="No space left on device") as caught:
        space.append([], b"x" * BLOCK_BYTES)
    assert caught.value.sqlstate == "53100"


@pytest.fixture(scope="module")
def filled() -> Any:
    db = Database(tables())
    db.count(
        "insert into t select n, n * 7919 % 997, nullif('text ' || n * 31 % 1009, 'text 0'), n / 8.0"
        " from generate_series(1, 3000) n"
    )
    return db


@pytest.fixture
def many(filled: Any, monkeypatch: Any) -> Any:
    for room in (temporary, runs):
        monkeypatch.setattr(room, "BLOCK_BYTES", 1_024)
    monkeypatch.setattr(partition, "_SHARED_BYTES", 1_024)
    filled.context.bounds = Bounds()
    return filled


STATEMENTS = [
    "select count(*), sum(x.id), min(y.b) from t x join t y on x.a = y.id and x.b = y.b || ''",
    "select x.id, y.id from t x left join t y on x.a = y.id and x.id < y.n order by 1, 2",
    "select x.id from t x where exists (select from t y where y.b = x.b and y.id < x.id) order by 1",
    "select x.id from t x where not exists (select from t y where y.n = x.n * 2) order by 1",
    "select count(*), sum(x.id * y.id) from t x join t y on x.b = y.b join t z on z.b = y.b and z.id > 9",
    "select id, b from t order by a desc, b",
    "select * from t order by b nulls first, n desc",
    "select id from t order by b desc limit 700 offset 3",
    "select a, b from t order by b, a fetch first 3 rows with ties",
    "select distinct b, n from t",
    "select distinct on (b) b, n, id from t order by b, n desc",
    "select distinct id from t order by id",
    "select b, count(*), sum(a), min(n) from t group by b order by b",
    "select id, max(b), string_agg(b, ','), count(distinct a) from t group by id order by 1",
    "select a, array_agg(b order by b desc, id), count(*) filter (where n > 9)"
    " from t group by a order by a",
    "select b, id % 7, count(*) from t group by 1, 2 having count(*) > 0 order by 1, 2",
    "select b from t union select 'text ' || id from t order by 1",
    "select b, rank() over (partition by id % 5 order by b), lag(id) over (partition by id % 5 order by b)"
    " from t order by 2, 1, 3",
    "select id, sum(a) over (order by id rows between 3 preceding and 1 following),"
    " first_value(b) over (order by id), ntile(7) over (order by id) from t order by id",
    "select id, count(*) over (order by a range between 5 preceding and current row),"
    " dense_rank() over (order by a), array_agg(a) over (partition by id % 900 order by id)"
    " from t order by 1",
    "select id, last_value(b) over (partition by b order by n groups between 1 preceding and 1 following"
    " exclude current row), row_number() over () from t order by id",
    "select count(*), min(y.b) from t x join (select b, n from t offset 0) y on x.n < y.n and x.id < 9",
    "select id from t where id < 4 and b <> all (select b || 'x' from t) order by id",
    "select x.id, y.id from t x full join t y on x.id = y.id * 2 order by 1, 2",
    "select x.id, y.id, y.b from t x full join t y on x.a = y.id and x.n < y.n order by 1, 2, 3",
    "select count(*), max(y.b) from (select id, b, nullif(a, 5) a from t) x full join t y on x.a = y.a",
    "select b from (select b, id % 900 from t intersect select b, id % 800 from t) s order by 1",
    "select b, count(*) from (select b, n from t intersect all select b, n from t where id > 9) s"
    " group by 1 order by 1",
    "select b from (select id || b b from t except select id + 1 || b from t) s order by 1",
    "select n, count(*) from (select n, b from t except all select n, b from t where id % 3 = 0) s"
    " group by 1 order by 1",
    "select b, n from (select b, n from t except select b, n from t where id < 1500) s order by 1, 2",
    "with c as materialized (select * from t) select count(*), max(b) from c",
    "with c as materialized (select id, b from t) select x.id, y.b from c x join c y on x.id = y.id + 9"
    " order by 1",
    "with c as materialized (select id, b from t) select (select count(*) from c y where y.id <= x.id)"
    " from c x where x.id > 2995 order by 1",
    "with c as materialized (select id, b from t order by b, id) (select b from c limit 2000)"
    " union all select max(b) from c",
    "with recursive r (n, s) as (select 1, 'x' union all select n + 1, 'x' || n from r where n < 4000)"
    " select max(n), count(distinct s) from r",
    "with recursive r (n) as (select id from t union select n / 2 + 4000 from r where n < 9999)"
    " select count(*), sum(n) from r",
    "with recursive r (n, d) as (select id, 0 from t union all select n * 2, d + 1 from r where d < 3)"
    " select n from r order by n, d",
    "with recursive r (n) as (select 1 union all select n + 1 from r) select n from r limit 5000",
    "with recursive r (n) as (select 1 union select n % 2500 + 1 from r) select sum(n) from r",
    "select id from t where id in (select id * 2 from t) order by 1",
    "select id from t where b not in (select b || 'y' from t where b is not null) order by 1",
    "select id, b in (select nullif(b || '', 'text 7') from t where id % 3 > 0) from t order by 1",
    "select id from t where (id, a) in (select id, a from t where id % 2 = 0) order by 1",
    "select id, exists (select from t y where y.b || 'x' = t.b) from t order by 1",
    "select a, b, count(*), grouping(a, b) from t group by cube (a, b) order by 1, 2, 4",
    "select id % 7, b, sum(id), count(distinct a) from t group by rollup (1, 2) order by 1, 2, 3",
    "select id, min(b) from t group by grouping sets (id, (id, b), ()) order by 1, 2",
    "select count(distinct b), count(distinct id), sum(distinct a) from t",
    "select a % 10, count(distinct b), avg(distinct id) from t group by 1 order by 1",
    "select md5(string_agg(b, ',' order by b desc, id)) from t",
    "select id % 50, string_agg(distinct b, ',') from t group by 1 order by 1",
    "select cardinality(array_agg(distinct a)) from t",
    "select id % 9, array_agg(n order by b, id) from t group by 1 order by 1",
    "select id % 50, array_agg(b), string_agg(b, '-'), count(*) from t group by 1 order by 1",
    "select id, array_agg(b), max(b) from t group by id order by 1",
    "select id % 900, json_agg(b), jsonb_object_agg(id, n) from t group by 1 order by 1",
    "select id % 9, array_agg(array[id, a]), jsonb_agg(x) from t x group by 1 order by 1",
    "select id % 7, a % 5, array_agg(b), string_agg(b, '') from t group by grouping sets ((1, 2), 2, 1)"
    " order by 1, 2, 3",
    "select id % 70, array_agg(n order by b, id), array_agg(b) filter (where id > 9)"
    " from t group by 1 order by 1",
    "select percentile_disc(0.5) within group (order by b), mode() within group (order by b) from t",
    "select id % 3, percentile_cont(array[0.1, 0.9]) within group (order by id) from t"
    " group by 1 order by 1",
    "select count(*), min(y.id) from (select id from t where id < 4) x left join lateral"
    " (select id from t offset 0) y on x.id < y.id",
]


class Watched(TemporarySpace):
    """Temporary space that does something before each block is written."""

    def __init__(self, on_write: Callable[[], None]) -> None:
        super().__init__(unnamed_file)
        self._on_write = on_write

    def append(self, blocks: list[int], data: bytes) -> None:
        self._on_write()
        super().append(blocks, data)

    @property
    def bytes(self) -> int:
        return os.fstat(self._file).st_size


class Cancelled(BaseException):
    pass


class Fate:
    """Runs statements with little memory, and looks whether they leave anything behind."""

    def __init__(self, db: Any, text: str) -> None:
        self.blocks = 0
        self._program = db.prepare(text)
        self._context = db.context

    def run(
        self,
        bounds: Bounds = SMALL,
        *,
        on_write: Callable[[], None] = lambda: None,
        check: Callable[[], None] = lambda: None,
    ) -> list[Any]:
        self.blocks = 0

        def count() -> None:
            self.blocks += 1
            on_write()

        space = Watched(count)
        context = replace(self._context, temporary=space)
        context.account = account = StatementMemory(bounds, space, check)
        context.check_cancel = check
        try:
            return list(self._program.rows(context, ()))
        finally:
            gc.collect()
            self.left = (account, space)

    def leaves_nothing(self) -> bool:
        gc.collect()
        account, space = self.left
        return (account.used, account.temporary, space.bytes) == (0, 0, 0)


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_statement_that_spills_answers_as_one_that_does_not(many: Any, text: str) -> None:
    spilling = Fate(many, text)
    assert spilling.run() == many.run(text)
    assert spilling.blocks, "it did spill"
    assert spilling.leaves_nothing()


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_spilling_statement_that_is_ended_gives_everything_back(many: Any, text: str) -> None:
    ended = Fate(many, text)
    with pytest.raises(SqlError, match="temporary file size exceeds temp_file_limit") as caught:
        ended.run(replace(SMALL, temporary_max=4_000, documented=False))
    assert caught.value.sqlstate == "53400"
    del caught
    assert ended.leaves_nothing()

    def cancel() -> None:
        if ended.blocks:
            raise Cancelled

    with pytest.raises(Cancelled):
        ended.run(check=cancel)
    assert ended.leaves_nothing()

    def fail() -> None:
        raise SqlError("53100", "could not write to temporary file: No space left on device")

    with pytest.raises(SqlError, match="No space left on device") as caught:
        ended.run(on_write=fail)
    del caught
    assert ended.leaves_nothing()


UNSPILLABLE = [
    "select array_agg(b || n) from t",
    "select array_agg(distinct b || id) from t",
    "select string_agg(b, b) from t",
    "select string_agg(b || id, b order by n) from t",
    "select jsonb_object_agg(id, b) from t",
    "select array(select b || n from t)",
]


@pytest.mark.parametrize("text", UNSPILLABLE)
def test_one_value_cannot_spill_and_is_refused_and_given_back(many: Any, text: str) -> None:
    many.context.bounds = Bounds(memory_max=150_000, work_max=16_000, documented=False)
    with pytest.raises(SqlError, match="out of memory") as caught:
        many.run(text)
    assert caught.value.sqlstate == "53200"
    del caught
    gc.collect()
    assert many.context.account.used == 0


@pytest.mark.parametrize("keys", [range(5000), [f"text {n}" for n in range(5000)]])
def test_a_partition_is_divided_once_more_evenly(space: TemporarySpace, keys: Any) -> None:
    memory = StatementMemory(Bounds(), space)
    whole = list(keys)
    for depth in range(3):
        partitions = Partitions(memory, depth)
        for key in whole:
            partitions.add(key, key)
        parts = [list(part) for part in partitions.take()]
        assert max(map(len, parts)) < max(2 * len(whole) / PARTITIONS, 25)
        whole = max(parts, key=len)


LARGE = "(select n k, repeat('x' || n, 25000) v from generate_series(1, 150) n)"


@pytest.mark.parametrize(
    "text",
    [
        f"select distinct on (k) k, length(v) from {LARGE} s",
        f"select length(v) from (select v from {LARGE} s union select v || 'y' from {LARGE} t) u",
        f"select length(v) from (select v from {LARGE} s except select v || 'y' from {LARGE} t) u",
        f"select count(distinct v) from {LARGE} s",
        f"select k, max(length(v)) from {LARGE} s group by k",
        f"select length(x.v) from {LARGE} x join {LARGE} y on x.k = y.k and x.v >= y.v",
        f"select length(x.v) from {LARGE} x full join {LARGE} y on x.v = y.v",
        f"select k from {LARGE} s where v not in (select v || 'y' from {LARGE} t)",
    ],
)
def test_large_rows_do_not_wait_in_memory_to_be_written(many: Any, text: str) -> None:
    large = Fate(many, text)
    bounds = replace(SMALL, temporary_max=100 * MEBIBYTE)
    tracemalloc.start()
    assert len(large.run(bounds)) in (1, 150, 300), "of 18 MB"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MEBIBYTE
    assert large.leaves_nothing()


PIECES = ", ".join(f"repeat('{letter}' || a, 3000000)" for letter in "abcdefgh")


@pytest.mark.parametrize(
    "text",
    [
        f"select {PIECES} from t where id = 1",
        f"select length(concat({PIECES})) from t where id = 1",
        f"select cardinality(array[{PIECES}]) from t where id = 1",
        f"select length(greatest({PIECES})) from t where id = 1",
        f"select count(row({PIECES})) from t where id = 1",
        f"select jsonb_build_array({PIECES}) from t where id = 1",
    ],
)
def test_values_on_their_way_into_one_row_or_call_count(many: Any, text: str) -> None:
    many.context.bounds = Bounds(memory_max=20_000_000)
    with pytest.raises(SqlError, match="allowed temp space") as caught:
        many.run(text)
    assert caught.value.sqlstate == "54000"


@pytest.mark.parametrize("call", ["string_agg(b, ',')", "array_agg(b)", "array_agg(array[b])"])
def test_what_a_window_function_gathers_counts(many: Any, call: str) -> None:
    many.context.bounds = Bounds(memory_max=100_000, work_max=16_000)
    with pytest.raises(SqlError, match="allowed temp space"):
        many.run(
            f"select {call} over (order by id rows between 1900 preceding and current row) from t"
        )


def test_a_plan_holds_no_large_constant(db: Any) -> None:
    program = db.prepare("select length(repeat('x', 60000000)), lower('SHORT') || repeat('y', 9)")
    program.emitter(())
    kept = [program.plan.query.expressions, *program.sources.values()]
    assert "shortyyyyyyyyy" in repr(kept)
    assert len(repr(kept)) < 10_000


def test_a_left_join_keeps_no_rows_of_its_lateral_side(many: Any) -> None:
    text = (
        "select count(g) from t left join lateral generate_series(id, 20000) g on true where id < 3"
    )
    streaming = Fate(many, text)
    assert streaming.run(Bounds(memory_max=20_000)) == [(39_999,)]
    assert not streaming.blocks


@pytest.mark.parametrize(
    "text",
    [
        "select count(*) from jsonb_array_elements(('[' || repeat('\"text\",', 3000) || '1]')::jsonb) e",
        "select count(e) from (select string_to_table(repeat('text,', 3000), ',') e) s",
    ],
)
def test_the_rows_that_a_function_makes_at_once_count(many: Any, text: str) -> None:
    assert many.run(text)[0][0] > 2_000
    many.context.bounds = Bounds(memory_max=150_000)
    with pytest.raises(SqlError, match="allowed temp space"):
        many.run(text)
