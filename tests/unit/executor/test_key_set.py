"""A set that goes on in temporary space knows what it was given, and reads neighbours together."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.executor.key_set import KeySet
from dsql.executor.memory import Bounds, StatementMemory
from dsql.executor.runs import Run
from dsql.executor.temporary import TemporarySpace, unnamed_file

KEYS = st.one_of(
    st.integers(-200, 200),
    st.sampled_from([-1.0, 0.0, 7.0, Decimal(8), Decimal("8.00"), 2**70]),
    st.text("ab", max_size=3),
    st.tuples(st.integers(-200, 200)),
)


def written(keys: list[Any]) -> KeySet:
    """Return a set of keys that are in temporary space, a run for every hundred."""
    space = TemporarySpace(unnamed_file)
    found = KeySet(StatementMemory(Bounds(work_max=1 << 20), space))
    for start in range(0, len(keys), 100):
        found.recent.update(keys[start : start + 100])
        found._spill()
    return found


@given(st.lists(KEYS, min_size=1, max_size=300), st.lists(KEYS, max_size=50))
def test_it_has_what_it_was_given(keys: list[Any], others: list[Any]) -> None:
    found = written(keys)
    for key in [*keys, *others, *keys[:9]]:
        assert (key in found) is (key in keys)


@pytest.mark.parametrize("form", [int, lambda number: (number,)])
def test_neighbouring_integers_are_read_together(
    form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, reads = written([form(number) for number in range(0, 4_000, 2)]), 0
    chunk = Run.chunk

    def counted(run: Run, number: int) -> list[Any]:
        nonlocal reads
        reads += 1
        return chunk(run, number)

    monkeypatch.setattr(Run, "chunk", counted)
    assert sum(form(number) in found for number in range(4_000)) == 2_000
    assert reads < 200, "a hundred groups of neighbours, of which few are in two runs"
