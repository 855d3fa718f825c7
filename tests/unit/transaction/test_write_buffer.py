from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.errors import SqlError
from dsql.transaction.interface import Mode
from dsql.transaction.record import BufferRecord
from dsql.transaction.write_buffer import WriteBuffer, merge

keys = st.binary(min_size=1, max_size=2)
own_writes = st.lists(st.tuples(keys, st.none() | st.binary(max_size=2)), max_size=12)


@given(
    stored=st.dictionaries(keys, st.binary(max_size=2), max_size=12),
    writes=own_writes,
    low=keys,
    high=keys,
    reverse=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_merged_scan_equals_a_scan_after_the_writes(
    stored: dict[bytes, bytes],
    writes: list[tuple[bytes, bytes | None]],
    low: bytes,
    high: bytes,
    reverse: bool,
) -> None:
    buffer = WriteBuffer(None)
    expected = dict(stored)
    for number, (key, value) in enumerate(writes):
        buffer.write(key, value, Mode.EXCLUSIVE, row=False)
        if number == len(writes) // 2:
            buffer.overlay(low, high)  # from here on keys are kept sorted
        if value is None:
            expected.pop(key, None)
        else:
            expected[key] = value
    rows = sorted(((k, v) for k, v in stored.items() if low <= k < high), reverse=reverse)
    merged = list(merge(iter(rows), buffer.overlay(low, high), reverse=reverse))
    wanted = sorted(((k, v) for k, v in expected.items() if low <= k < high), reverse=reverse)
    assert merged == wanted


def test_rows_written_together_equal_rows_written_one_by_one() -> None:
    together, one_by_one = WriteBuffer(9), WriteBuffer(9)
    rows = {b"a": b"1", b"b": b"2", b"c": b"3"}
    for buffer in (together, one_by_one):
        buffer.write(b"b", None, Mode.NON_KEY, row=True)
        buffer.begin_statement()
    together.write_rows(rows)
    together.write_rows({b"d": b"4"})
    for key, value in {**rows, b"d": b"4"}.items():
        one_by_one.write(key, value, Mode.EXCLUSIVE, row=True)
    assert together.write_set(b"", 0) == one_by_one.write_set(b"", 0)
    assert (together.room, together.size) == (one_by_one.room, one_by_one.size) == (4, 8)
    together.rewind(1)
    assert together.write_set(b"", 0).writes == [(b"b", Mode.NON_KEY, None)]


def test_rows_written_together_after_a_scan_appear_in_the_next_one() -> None:
    buffer = WriteBuffer(None)
    buffer.write(b"b", b"1", Mode.EXCLUSIVE, row=True)
    buffer.overlay(b"a", b"z")
    buffer.write_rows({b"c": b"2", b"a": b"3"})
    assert buffer.overlay(b"a", b"z") == [(b"a", b"3"), (b"b", b"1"), (b"c", b"2")]


def test_a_value_written_again_counts_once_and_its_history_is_bounded() -> None:
    buffer = WriteBuffer(None, bytes_max=10_000)
    with pytest.raises(SqlError, match="transaction size limit") as caught:
        for statement in range(1, 1_000):
            buffer.statement = statement
            buffer.write(b"k", bytes(1_000), Mode.EXCLUSIVE, row=True)
            assert buffer.size == 1_001
    assert caught.value.sqlstate == "54000"
    assert 20 < buffer.statement < 40


def test_a_rewind_gives_back_the_size_of_what_it_takes_back() -> None:
    buffer = WriteBuffer(None, bytes_max=10_000)
    buffer.write(b"k", bytes(100), Mode.EXCLUSIVE, row=True)
    for _ in range(1_000):
        buffer.statement = 1
        buffer.write(b"k", bytes(5_000), Mode.EXCLUSIVE, row=True)
        buffer.write(b"new", bytes(1_000), Mode.EXCLUSIVE, row=True)
        buffer.rewind(1)
    assert buffer.size == 101


def test_locks_are_bounded_as_writes_are() -> None:
    buffer = WriteBuffer(None, bytes_max=1_000)
    with pytest.raises(SqlError, match="transaction size limit"):
        for number in range(1_000):
            buffer.check(b"%09d" % number, Mode.SHARE)
    assert len(buffer.checks) == 112


STEPS = st.one_of(
    st.tuples(st.just("write"), keys, st.none() | st.binary(max_size=3), st.sampled_from(Mode)),
    st.tuples(st.just("check"), keys, st.sampled_from(Mode)),
    st.tuples(st.just("statement")),
    st.tuples(st.just("rewind"), st.integers(1, 5)),
)


def run(buffer: WriteBuffer, steps: list[tuple[Any, ...]]) -> None:
    for kind, *values in steps:
        if kind == "write":
            buffer.write(*values, row=True)
        elif kind == "check":
            buffer.check(*values)
        elif kind == "statement":
            buffer.begin_statement()
        else:
            buffer.rewind(*values)


def all_of(buffer: WriteBuffer) -> list[object]:
    fields = "_locked", "_replaced", "_rows", "checks", "entries", "size", "statement"
    return [list(buffer.entries), *(getattr(buffer, name) for name in fields)]


@given(st.lists(STEPS, max_size=15), st.lists(STEPS, max_size=8))
@settings(max_examples=150, deadline=None)
def test_a_buffer_that_moves_is_the_same_buffer(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]
) -> None:
    buffer, moved = WriteBuffer(None), WriteBuffer(None)
    run(buffer, before)
    moved.take_up(buffer.record())
    assert all_of(moved) == all_of(buffer)
    run(buffer, after)
    run(moved, after)
    assert all_of(moved) == all_of(buffer)
    assert moved.write_set(b"id", 1) == buffer.write_set(b"id", 1)


@pytest.mark.parametrize(
    "record",
    [
        BufferRecord(writes=((b"k", ()),)),
        BufferRecord(5, 0, ((b"k", ((b"1", Mode.BLIND, 3), (b"2", Mode.BLIND, 3))),)),
        BufferRecord(5, 0, ((b"k", ((b"1", Mode.BLIND, 4), (b"2", Mode.BLIND, 3))),)),
        BufferRecord(2, 0, ((b"k", ((b"1", Mode.BLIND, 3),)),)),
        BufferRecord(5, 0, ((b"k", ((b"1", Mode.BLIND, 3),)),) * 2),
        BufferRecord(5, 0, (), ((b"k", Mode.SHARE),) * 2),
    ],
    ids=[
        "no version",
        "one statement twice",
        "backwards",
        "to come",
        "a key twice",
        "checked twice",
    ],
)
def test_what_no_buffer_can_have_been_is_refused(record: BufferRecord) -> None:
    with pytest.raises(ValueError, match="that"):
        WriteBuffer(None).take_up(record)


def test_an_inner_statement_sees_what_was_written_and_the_outer_one_does_not_see_the_inner() -> (
    None
):
    buffer = WriteBuffer(None)
    buffer.begin_statement()
    buffer.write(b"a", b"outer", Mode.EXCLUSIVE, row=True)
    outer = buffer.begin_inner()
    assert buffer.overlay(b"a", b"z") == [(b"a", b"outer")]
    buffer.write(b"b", b"inner", Mode.EXCLUSIVE, row=True)
    assert buffer.overlay(b"a", b"z") == [(b"a", b"outer")]
    buffer.end_inner(outer)
    assert buffer.overlay(b"a", b"z") == []
    buffer.write(b"c", b"outer", Mode.EXCLUSIVE, row=True)
    assert buffer.begin_statement() == 3
    assert [key for key, _ in buffer.overlay(b"a", b"z")] == [b"a", b"b", b"c"]
    buffer.rewind(outer)
    assert buffer.overlay(b"a", b"z") == []


def test_a_row_that_an_inner_statement_has_written_is_not_written_by_the_outer_one() -> None:
    buffer = WriteBuffer(None)
    outer = buffer.begin_inner()
    buffer.write(b"k", b"inner", Mode.EXCLUSIVE, row=True)
    buffer.end_inner(outer)
    with pytest.raises(SqlError) as caught:
        buffer.write(b"k", b"outer", Mode.EXCLUSIVE, row=True)
    assert caught.value.sqlstate == "27000"
