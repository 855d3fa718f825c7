"""Statements over memory: what they read and write, and how."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest

from dsql.errors import SqlError
from dsql.executor.memory import Bounds
from dsql.transaction.interface import Mode
from dsql.types.type import FormatSettings


@pytest.fixture
def filled(db: Any) -> Any:
    db.count("insert into t values (1, 10, 'one', 1.5), (2, 20, 'two', null), (3, null, null, 3)")
    db.count("insert into u (id, t_id, code) values (1, 1, 'x'), (2, 1, null), (3, 9, null)")
    return db


def keys_read(db: Any, run: Any) -> tuple[int, int]:
    """Return how many reads and scans a call makes."""
    scans = []
    transaction = db.transaction
    scan, before = transaction.scan, transaction.reads
    transaction.scan = lambda *a, **k: scans.append(a) or scan(*a, **k)
    run()
    del transaction.scan
    return transaction.reads - before, len(scans)


def test_point_select_is_one_read(filled: Any) -> None:
    program = filled.prepare("select b from t where id = $1")
    assert keys_read(filled, lambda: list(program.rows(filled.context, (2,)))) == (1, 0)


def test_unique_index_lookup_is_two_reads(filled: Any) -> None:
    program = filled.prepare("select t_id from u where code = 'x'")
    assert keys_read(filled, lambda: list(program.rows(filled.context, ()))) == (2, 0)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("(a, 1 / (a - a)) < (null::int, 1)", None),
        ("(a, 1 / (a - a)) <= (11, 1)", True),
        ("(a, 1 / (a - a)) > (11, 1)", False),
        ("(a, b, 1 / (a - a)) >= (10, 'ona', 1)", True),
        ("(a, b, id) >= (10, 'one', 1)", True),
        ("(a, b, id) > (10, 'one', 1)", False),
        ("(" + "id, " * 50 + "1 / (a - a)) < (" + "1, " * 49 + "2, 1)", True),
        ("(" + "id, " * 50 + "a) < (" + "1, " * 50 + "11)", True),
    ],
)
def test_rows_are_compared_up_to_the_pair_that_decides(
    filled: Any, condition: str, expected: bool | None
) -> None:
    assert filled.run(f"select {condition} from t where id = 1") == [(expected,)]


def test_in_list_of_keys_is_a_read_each(filled: Any) -> None:
    program = filled.prepare("select b from t where id in (3, 1, 1)")
    assert keys_read(filled, lambda: list(program.rows(filled.context, ()))) == (2, 0)


def test_a_statement_reads_rows_as_they_were_before_it(filled: Any) -> None:
    filled.count("update t set a = (select t2.a from t t2 where t2.id = t.id - 1)")
    assert filled.run("select a from t order by id") == [(None,), (10,), (20,)]


def test_null_key_reads_nothing(filled: Any) -> None:
    program = filled.prepare("select b from t where id = $1")
    assert keys_read(filled, lambda: list(program.rows(filled.context, (None,)))) == (0, 0)


def test_update_by_key_is_one_read_and_one_put(filled: Any) -> None:
    filled.transaction.modes.clear()
    program = filled.prepare("update t set b = $1 where id = $2")
    run = lambda: list(program.rows(filled.context, ("new", 1)))  # noqa: E731
    assert keys_read(filled, run) == (1, 0)
    assert list(filled.transaction.modes.values()) == [Mode.NON_KEY]


def test_update_of_an_indexed_column_moves_its_entry_only(filled: Any) -> None:
    filled.transaction.modes.clear()
    assert filled.count("update t set a = 11 where id = 1") == 1
    modes = sorted(filled.transaction.modes.values())
    assert modes == [Mode.NON_KEY, Mode.BLIND, Mode.BLIND]
    assert filled.run("select id from t where a = 11") == [(1,)]
    assert filled.run("select id from t where a = 10") == []


def test_update_of_a_unique_column_is_exclusive(filled: Any) -> None:
    filled.transaction.modes.clear()
    filled.count("update u set code = 'z' where id = 1")
    assert set(filled.transaction.modes.values()) == {Mode.EXCLUSIVE}


def test_update_of_the_key_moves_row_and_entries(filled: Any) -> None:
    filled.count("update u set id = 50 where id = 1")
    assert filled.run("select id from u where code = 'x'") == [(50,)]
    assert filled.run("select id from u where id = 1") == []


def test_only_rows_are_counted_as_modified(filled: Any) -> None:
    filled.transaction.rows = 0
    filled.count("insert into u (id, code) values (70, 'p'), (71, 'q')")
    filled.count("update u set id = id + 100 where id >= 70")
    filled.count("delete from u where id >= 170")
    assert filled.transaction.rows == 6
    assert filled.run("select count(*) from u") == [(3,)]


def test_delete_removes_every_index_entry(filled: Any) -> None:
    filled.count("delete from t")
    filled.count("delete from u")
    assert filled.transaction.data == {}


def test_for_update_and_key_share_lock_the_rows_found(filled: Any) -> None:
    filled.transaction.modes.clear()
    filled.run("select * from t where id < 3 for update")
    assert list(filled.transaction.modes.values()) == [Mode.EXCLUSIVE] * 2
    filled.transaction.modes.clear()
    filled.run("select * from t where id = 1 for key share")
    assert list(filled.transaction.modes.values()) == [Mode.SHARE]


@pytest.mark.parametrize(
    ("clause", "mode"),
    [
        ("for update nowait", Mode.EXCLUSIVE),
        ("for key share skip locked", Mode.SHARE),
        ("for no key update", Mode.NON_KEY),
        ("for share nowait", Mode.NON_KEY),
        ("for key share for update skip locked for share", Mode.EXCLUSIVE),
        ("for key share of t for no key update of t", Mode.NON_KEY),
    ],
)
def test_locks_have_the_mode_of_the_strongest_clause(filled: Any, clause: str, mode: Mode) -> None:
    filled.transaction.modes.clear()
    filled.run(f"select * from t where id = 1 {clause}")
    assert list(filled.transaction.modes.values()) == [mode]


@pytest.mark.parametrize(
    ("statement", "sqlstate", "message", "detail"),
    [
        (
            "insert into t values (1, 0, '', 0)",
            "23505",
            'duplicate key value violates unique constraint "t_pkey"',
            "Key (id)=(1) already exists.",
        ),
        (
            "insert into t (a, b) values (7, 'x')",
            "23502",
            'null value in column "id" of relation "t" violates not-null constraint',
            "Failing row contains (null, 7, x, null).",
        ),
        (
            "insert into u (id) values (-1)",
            "23514",
            'new row for relation "u" violates check constraint "u_id_check"',
            "Failing row contains (-1, null, null, t).",
        ),
        (
            "insert into u (id, code) values (8, 'n'), (9, 'n') "
            "on conflict (code) do update set t_id = 1",
            "21000",
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
            "",
        ),
        (f"insert into pair values (1, repeat('x', {1 << 11}), 1)", "54000",
         "key size too large", ""),
        (f"insert into heap values (1, repeat('x', {(1 << 20) + 1}))", "54000",
         "datatype limit greater than 1048576 bytes not supported for text", ""),
        ("select id / 0 from t", "22012", "division by zero", ""),
        ("select * from t limit -1", "2201W", "LIMIT must not be negative", ""),
    ],
)  # fmt: skip
def test_errors_have_postgresqls_words(
    filled: Any, statement: str, sqlstate: str, message: str, detail: str
) -> None:
    with pytest.raises(SqlError) as raised:
        filled.run(statement)
    error = raised.value
    assert (error.sqlstate, error.message, error.detail) == (sqlstate, message, detail)


@pytest.mark.parametrize(
    ("statement", "constraint", "detail"),
    [
        ("insert into odd values (9, 'A@x', true, 9)", "odd_mail",
         "Key (lower(mail))=(a@x) already exists."),
        ("insert into odd values (9, 'new', true, 1)", "odd_active", "Key (z)=(1) already exists."),
        ("insert into odd values (9, null, false, 9)", "odd_nulls",
         "Key (mail, active)=(null, f) already exists."),
        ("update odd set active = true where id = 2", "odd_active", "Key (z)=(1) already exists."),
    ],
)  # fmt: skip
def test_unusual_unique_indexes_are_enforced(
    db: Any, statement: str, constraint: str, detail: str
) -> None:
    db.count("insert into odd values (1, 'a@X', true, 1), (2, 'b', false, 1), (3, null, false, 2)")
    with pytest.raises(SqlError) as raised:
        db.run(statement)
    assert (raised.value.constraint, raised.value.detail) == (constraint, detail)


def test_rows_outside_a_partial_index_do_not_meet_in_it(db: Any) -> None:
    db.count("insert into odd values (1, 'a', false, 1), (2, 'b', false, 1), (3, 'c', true, 1)")
    db.count("update odd set active = false where id = 3")
    db.count("update odd set active = true where id = 1")
    assert db.run("select id from odd where active") == [(1,)]
    db.count("delete from odd")
    assert db.transaction.data == {}


def test_emit_writes_binary_where_asked(filled: Any) -> None:
    out = bytearray()
    program = filled.prepare("select id, b, n from t where id = 2")
    assert program.emit(filled.context, (), out, (1, 0, 1)) == 1
    body = struct.pack(">h", 3) + struct.pack(">ii", 4, 2) + struct.pack(">i", 3) + b"two"
    body += struct.pack(">i", -1)
    assert bytes(out) == b"D" + struct.pack(">i", len(body) + 4) + body


def test_emit_follows_the_sessions_settings(filled: Any) -> None:
    program = filled.prepare("select date '2024-02-03'")
    texts = []
    for style in ("ISO, MDY", "German, DMY"):
        filled.context.settings = FormatSettings(date_style=style)
        out = bytearray()
        program.emit(filled.context, (), out, ())
        texts.append(bytes(out[11:]))
    assert texts == [b"2024-02-03", b"03.02.2024"]


def test_rows_written_before_a_column_was_added_end_in_nulls(db: Any) -> None:
    from dsql.encoding.rowcode import encode_row

    db.count("insert into heap values (1, 'a')")
    (key,) = db.transaction.data
    db.transaction.data[key] = encode_row([1])
    assert db.run("select x, y from heap") == [(1, None)]
    assert db.run("update heap set x = 2 returning *") == [(2, None)]


def test_sorting_too_much_is_refused(filled: Any) -> None:
    filled.context.bounds = Bounds(work_max=16 * 1024, temporary_max=512 * 1024)
    with pytest.raises(SqlError) as raised:
        filled.run("select repeat('x', g) s from generate_series(1, 2000) g order by s")
    assert raised.value.sqlstate == "54000"
    assert raised.value.message == (
        "query requires more than allowed temp space of 512 KB to execute"
    )


def test_a_top_n_sort_keeps_few_rows(filled: Any) -> None:
    filled.context.bounds = Bounds(memory_max=128 * 1024, temporary_max=0)
    statement = "select g from generate_series(1, 20000) g order by g desc limit 3"
    assert filled.run(statement) == [(20000,), (19999,), (19998,)]


def test_uncorrelated_subquery_runs_once(filled: Any) -> None:
    program = filled.prepare("select id from t where id > (select count(*) - 2 from u)")
    assert keys_read(filled, lambda: list(program.rows(filled.context, ()))) == (0, 2)


def test_deep_expressions_compile(filled: Any) -> None:
    chain = " + ".join(["id"] * 90)
    assert filled.run(f"select {chain} from t where id = 2") == [(180,)]
    choice = " or ".join(f"id = {n}" for n in range(90, 0, -1))
    assert filled.run(f"select id from t where ({choice}) and id < 3") == [(1,), (2,)]


def test_joins_of_many_tables_stay_within_pythons_nesting(filled: Any) -> None:
    names = [f"t{n}" for n in range(16)]
    tables = ", ".join(f"t {name}" for name in names)
    conditions = " and ".join(f"{a}.a = {b}.a" for a, b in pairwise(names))
    assert filled.run(f"select count(*) from {tables} where {conditions}") == [(2,)]


def test_source_is_kept_and_shown_in_tracebacks(filled: Any) -> None:
    import linecache

    program = filled.prepare("select id from t")
    list(program.rows(filled.context, ()))
    (text,) = program.sources.values()
    assert "decode_row" in text
    assert any("".join(entry[2]) == text for entry in linecache.cache.values() if len(entry) == 4)


def test_loaded_rows_of_a_heap_keep_their_order_over_several_calls(db: Any) -> None:
    program = db.prepare("insert into heap (x, y) values ($1, $2)", (23, 25))
    decoders = (int, bytes.decode)
    chunks = [[(b"1", b"a"), (b"2", None)], [], [(b"3", b"c"), (b"4", b"d")]]
    loaded = 0
    for chunk in chunks:
        assert program.load(db.context, chunk, decoders, loaded) == len(chunk)
        loaded += len(chunk)
    assert db.run("select * from heap") == [(1, "a"), (2, None), (3, "c"), (4, "d")]


def test_loading_a_key_twice_fails_at_the_second_row(db: Any) -> None:
    program = db.prepare("insert into t (id) values ($1)", (23,))
    rows = iter([(b"7",), (b"8",), (b"7",), (b"9",)])
    with pytest.raises(SqlError, match='unique constraint "t_pkey"'):
        program.load(db.context, rows, (int,))
    assert list(rows) == [(b"9",)]
    program.load(db.context, [(b"7",)], (int,))
    with pytest.raises(SqlError, match='unique constraint "t_pkey"'):
        program.load(db.context, [(b"7",)], (int,), 1)


def test_loading_fails_at_the_row_for_which_there_is_no_room(db: Any) -> None:
    db.transaction.room = 2
    program = db.prepare("insert into heap (x) values ($1)", (23,))
    rows = iter([(b"1",), (b"2",), (b"3",), (b"4",)])
    with pytest.raises(SqlError, match="transaction row limit exceeded"):
        program.load(db.context, rows, (int,))
    assert list(rows) == [(b"4",)]


def test_rows_with_new_keys_are_loaded_without_a_look_at_each(db: Any) -> None:
    program = db.prepare("insert into pair (k1, k2, v) values ($1, $2, $3)", (23, 25, 23))
    decoders = (int, bytes.decode, int)
    db.transaction.get = lambda key: pytest.fail("looked")
    assert program.load_new(db.context, [(b"1", b"a", b"5"), (b"2", b"a", None)], decoders)
    assert db.run("select * from pair order by k1") == [(1, "a", 5), (2, "a", None)]


@pytest.mark.parametrize("second", [(b"1", b"a", b"5"), (b"3", b"b", b"5")])
def test_rows_of_which_a_key_exists_are_not_loaded_as_new(db: Any, second: Any) -> None:
    db.count("insert into pair values (1, 'a', 7)")
    program = db.prepare("insert into pair (k1, k2, v) values ($1, $2, $3)", (23, 25, 23))
    rows = [(b"3", b"b", b"5"), second]
    assert not program.load_new(db.context, rows, (int, bytes.decode, int))
    assert db.run("select * from pair") == [(1, "a", 7)]


def test_tables_with_more_than_a_primary_key_are_not_loaded_as_new(db: Any) -> None:
    for text in ("insert into heap (x) values ($1)", "insert into t (id) values ($1)"):
        assert not db.prepare(text, (23,)).load_new(db.context, [(b"1",)], (int,))
    assert db.run("select * from heap") == db.run("select * from t") == []


def test_exists_under_or_scans_its_table_once(filled: Any) -> None:
    filled.count("insert into heap values (1, 'a'), (3, 'b'), (null, 'c')")
    program = filled.prepare(
        "select id from t where a = 20 or exists (select from heap where x = t.id)"
    )
    rows: list[Any] = []
    assert keys_read(filled, lambda: rows.extend(program.rows(filled.context, ()))) == (0, 2)
    assert rows == [(1,), (2,), (3,)]


def test_exists_by_an_index_stays_a_look_up_per_row(filled: Any) -> None:
    program = filled.prepare(
        "select exists (select from t t2 where t2.id = t.a / 10) from t where id < 3"
    )
    assert keys_read(filled, lambda: list(program.rows(filled.context, ()))) == (2, 1)
