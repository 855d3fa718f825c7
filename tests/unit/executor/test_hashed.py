"""IN (subquery) knows TRUE from FALSE from NULL without going through its rows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.executor.hashed import HashedRows
from dsql.executor.memory import Bounds, StatementMemory
from dsql.executor.temporary import TemporarySpace, unnamed_file

values = st.none() | st.integers(0, 2)
rows_of_three = st.lists(st.tuples(values, values, values), max_size=30)


def _equal(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool | None:
    pairs = [None if a is None or b is None else a == b for a, b in zip(one, other, strict=True)]
    return False if False in pairs else None if None in pairs else True


def _found_by_going_through(row: tuple[Any, ...], rows: list[tuple[Any, ...]]) -> bool | None:
    answers = [_equal(row, other) for other in rows]
    return True if True in answers else None if None in answers else False


@pytest.mark.parametrize("work_max", [100, 1_000_000])
@given(rows=rows_of_three, asked=rows_of_three)
@settings(max_examples=50, deadline=None)
def test_a_lookup_finds_what_going_through_all_rows_does(
    work_max: int, rows: list[tuple[Any, ...]], asked: list[tuple[Any, ...]]
) -> None:
    memory = StatementMemory(Bounds(work_max=work_max), TemporarySpace(unnamed_file))
    hashed = HashedRows(memory)
    for row in rows:
        (hashed.add_partial if None in row else hashed.add)(row)
    for row in asked:
        assert hashed.find(row) is _found_by_going_through(row, rows)
