"""How far storage is behind its journal, as the journal's leader counts it."""

from __future__ import annotations

from journal.backlog import MARKS_MAX, Backlog


def written(looks: int, zones: int = 3) -> Backlog:
    """A log of one record of 10 bytes a second, numbered from 1."""
    backlog = Backlog(zones)
    for number in range(1, looks + 1):
        backlog.size += 10
        backlog.mark(float(number), number)
    return backlog


def test_bytes_are_those_that_a_majority_has_yet_to_apply() -> None:
    backlog = written(100)
    for zone, applied in enumerate((100, 40, 7)):
        backlog.told(zone, applied)
    assert backlog.bytes_behind == 600
    backlog.told(2, 99)
    assert backlog.bytes_behind == 10


def test_one_zone_that_is_slow_or_gone_counts_for_nothing() -> None:
    backlog = written(100)
    backlog.told(0, 100)
    backlog.told(1, 100)
    assert backlog.bytes_behind == 0
    assert backlog.seconds_behind(200.0) == 0.0


def test_seconds_are_those_that_the_best_zone_is_behind() -> None:
    backlog = written(100)
    for zone, applied in enumerate((0, 40, 70)):
        backlog.told(zone, applied)
    assert backlog.seconds_behind(100.0) == 100.0 - 71.0
    assert written(1, zones=1).seconds_behind(9.0) == 0.0  # no storage follows: nobody reads either


def test_what_a_leader_took_over_counts_from_when_it_did() -> None:
    backlog = Backlog(3)
    backlog.size = 5
    backlog.mark(50.0, 1_000)
    backlog.told(0, 10)
    assert backlog.seconds_behind(52.0) == 2.0
    assert backlog.bytes_behind == 0


def test_marks_stay_few_and_lose_little_whatever_is_behind() -> None:
    backlog = written(50 * MARKS_MAX)
    assert len(backlog._marks) <= MARKS_MAX
    backlog.told(0, 49 * MARKS_MAX)
    backlog.told(1, 49 * MARKS_MAX)
    assert abs(backlog.bytes_behind - 10 * MARKS_MAX) <= 2 * MARKS_MAX
    backlog.told(2, 49 * MARKS_MAX)
    assert backlog._marks[0].sequence <= 49 * MARKS_MAX < backlog._marks[1].sequence
