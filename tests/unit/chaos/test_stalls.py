from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.chaos.stalls import Fault, Pulse, progress, summary, table

MOMENTS = st.lists(st.floats(0.1, 100), min_size=1, max_size=30).map(sorted)


def pulse_of(*moments: float) -> Pulse:
    pulse = Pulse()
    for moment in moments:
        pulse.beat(moment)
    return pulse


def test_a_gap_counts_from_the_success_before_the_fault_to_the_one_behind_it() -> None:
    pulse = pulse_of(1, 2, 5, 5.5)
    assert pulse.longest_gap(3, 4) == 3
    assert pulse.longest_gap(5.1, 5.2) == 0.5


def test_a_gap_that_lasts_counts_up_to_now() -> None:
    assert pulse_of(1, 2).longest_gap(3, 10) == 8


def test_gaps_before_the_fault_do_not_count() -> None:
    assert pulse_of(1, 50, 51, 52).longest_gap(50.5, 51.5) == 1


@given(MOMENTS, st.floats(0, 100), st.floats(0, 50))
def test_forgetting_changes_no_later_gap(moments: list[float], begin: float, length: float) -> None:
    kept, forgetful = pulse_of(*moments), pulse_of(*moments)
    forgetful.forget(begin)
    if moments[0] <= begin <= moments[-1]:
        assert forgetful.longest_gap(begin, begin + length) == kept.longest_gap(
            begin, begin + length
        )


@given(MOMENTS, st.floats(0, 100), st.floats(0, 50))
def test_no_window_within_a_fault_is_without_a_success_for_longer(
    moments: list[float], begin: float, length: float
) -> None:
    gap = pulse_of(*moments).longest_gap(begin, begin + length)
    inside = [m for m in moments if begin <= m <= begin + length]
    edges = [begin, *inside, begin + length]
    if moments[0] <= begin:
        assert gap >= max(b - a for a, b in itertools.pairwise(edges)) - 1e-9


def fault(name: str, commits: float, recovered: float | None, held: float = 0.0) -> Fault:
    stalls = {"commits": commits, "reads": 0.01, "connections": 0.02}
    return Fault(name, f"do {name}", 1.0, f"did {name}", held, stalls, recovered, ["no commits"])


def test_the_table_has_the_longest_of_each_kind() -> None:
    faults = [fault("x", 0.5, 1.0), fault("x", 2.5, 0.5), fault("y", 0.1, 0.1, held=5)]
    _, first, second = table(faults).splitlines()
    assert first.split() == ["do", "x", "2", "2.500", "0.010", "0.020", "1.0"]
    assert second.startswith("do y, 5 s ")
    assert summary(faults)["x"]["commits"] == 2.5


@pytest.mark.parametrize(
    ("recovered", "words"), [(None, "NOT RECOVERED: no commits"), (1.5, "1.5 s")]
)
def test_a_cluster_that_does_not_recover_is_told(recovered: float | None, words: str) -> None:
    assert words in progress(fault("x", 0.5, recovered))
    assert table([fault("x", 0.5, 1.0), fault("x", 0.5, recovered)]).endswith("no") == (
        recovered is None
    )
