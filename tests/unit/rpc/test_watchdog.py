from __future__ import annotations

import pytest

from dsql.rpc.process import Condition
from dsql.rpc.watchdog import LOOK_SECONDS, START_FACTOR, Watchdog

HANG_SECONDS = 5.0
LOOKS = int(HANG_SECONDS / LOOK_SECONDS)


def beaten() -> Watchdog:
    watchdog = Watchdog(HANG_SECONDS)
    watchdog.beat(1)
    assert watchdog.has_beaten()
    return watchdog


def looks_until_hung(
    watchdog: Watchdog, state: str = "S", waits: float = 0.0, beats: int = 0
) -> int | None:
    """Return the number of the look that finds it hung, None for none of many."""
    for number in range(1, 2 * START_FACTOR * LOOKS):
        watchdog.beat(beats)
        if not watchdog.has_beaten() and watchdog.is_hung(Condition(state, 0.0, waits * number)):
            return number
    return None


@pytest.mark.parametrize("state", ["S", "R"])
def test_loop_that_waits_or_runs_without_a_beat_is_hung_after_the_deadline(state: str) -> None:
    assert looks_until_hung(beaten(), state) == LOOKS


def test_loop_that_beats_is_never_hung() -> None:
    assert looks_until_hung(beaten(), beats=1) is None


def test_process_that_never_beats_hangs_in_its_start() -> None:
    assert looks_until_hung(Watchdog(HANG_SECONDS)) == START_FACTOR * LOOKS


def test_start_that_was_slow_leaves_the_loop_no_less_time() -> None:
    watchdog = Watchdog(HANG_SECONDS)
    for _ in range(START_FACTOR * LOOKS - 1):
        assert not watchdog.is_hung(Condition("R", 0.0, 0.0))
    watchdog.beat(1)
    assert watchdog.has_beaten()
    assert looks_until_hung(watchdog) == LOOKS


@pytest.mark.parametrize("state", ["t", "D", "X"])
def test_process_that_is_traced_or_waits_for_a_disk_is_not_hung(state: str) -> None:
    assert looks_until_hung(beaten(), state) is None


def test_process_that_a_signal_has_stopped_hangs() -> None:
    assert looks_until_hung(beaten(), "T") == LOOKS


def test_time_spent_waiting_for_a_processor_does_not_count() -> None:
    assert looks_until_hung(beaten(), "R", waits=LOOK_SECONDS) is None
    assert looks_until_hung(beaten(), "R", waits=LOOK_SECONDS / 2) == 2 * LOOKS


def test_deadline_of_zero_means_never() -> None:
    watchdog = Watchdog(0.0)
    watchdog.beat(1)
    assert looks_until_hung(watchdog) is None
