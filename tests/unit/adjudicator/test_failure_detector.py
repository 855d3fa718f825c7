"""When a silent process is taken for hung, and what excuses its silence."""

from __future__ import annotations

import pytest

from adjudicator.failure_detector import (
    BEAT_SECONDS,
    REST_SECONDS,
    SILENT_BEATS,
    FailureDetector,
)
from dsql.rpc.process import Condition

STOPPED_LOOKS = SILENT_BEATS // 2


def looks_until_suspect(
    state: str, *, ran: float = 0.0, waited: float = 0.0, late: float = 0.0
) -> int:
    """Return how many looks, each one beat after the other, it takes; `ran`, `waited`: of each beat."""
    detector = FailureDetector()
    detector.beat(BEAT_SECONDS)
    for number in range(1, 500):
        share = number * BEAT_SECONDS
        detector.look(BEAT_SECONDS + late, Condition(state, share * ran, share * waited))
        if detector.is_suspect:
            return number
    return 500


def test_stopped_process_is_suspect_before_all_its_beats_have_not_come() -> None:
    assert looks_until_suspect("T") == STOPPED_LOOKS < SILENT_BEATS


def test_sleeping_process_may_wait_for_a_thread_and_gets_twice_as_long() -> None:
    assert 2 * SILENT_BEATS <= looks_until_suspect("S") <= 2 * SILENT_BEATS + 1


def test_silence_counts_only_as_far_as_we_were_there_to_hear() -> None:
    assert looks_until_suspect("T", late=60.0) == STOPPED_LOOKS


@pytest.mark.parametrize("state", ["R", "S"])
def test_process_that_gets_no_processor_is_never_suspect(state: str) -> None:
    assert looks_until_suspect(state, waited=1.0) == 500


def test_process_that_computes_is_suspect_much_later_but_not_never() -> None:
    assert looks_until_suspect("R", ran=1.0) >= 10 * SILENT_BEATS
    assert looks_until_suspect("R", ran=1.0) < 500


def test_wait_for_a_disk_counts_like_computing() -> None:
    assert looks_until_suspect("D") == looks_until_suspect("R", ran=1.0)


def test_traced_process_is_never_suspect() -> None:
    assert looks_until_suspect("t") == 500


def test_beat_clears_all_doubt() -> None:
    detector = FailureDetector()
    detector.beat(BEAT_SECONDS)
    for _ in range(2 * SILENT_BEATS):
        detector.look(BEAT_SECONDS, Condition("T", 0.0, 0.0))
    assert detector.is_suspect
    detector.beat(BEAT_SECONDS)
    assert not detector.is_suspect


def test_process_at_rest_that_is_doubted_has_to_answer_as_quickly_as_a_busy_one() -> None:
    detector = FailureDetector()
    detector.beat(REST_SECONDS)
    detector.look(REST_SECONDS, Condition("T", 0.0, 0.0))
    assert not detector.is_suspect
    detector.doubt()
    for number in range(1, STOPPED_LOOKS + 1):
        assert not detector.is_suspect
        detector.look(BEAT_SECONDS, Condition("T", 0.0, 0.0))
        assert detector.is_suspect == (number == STOPPED_LOOKS)
    detector.doubt()  # asking again gives it no new time
    assert detector.is_suspect
