from __future__ import annotations

from collections.abc import Callable

import pytest

from dsql.session.control import Busy
from dsql.session.load_meter import LONG_TICKS, WINDOW_TICKS, LoadMeter

TICK = 0.004


class Work:
    """What runs, by the number of its statement."""

    interrupts = None

    def __init__(self, statement: int) -> None:
        self.statement = statement

    def leave(self) -> bool:
        return False


class Clock:
    """Time that passes with every tick, `pace` seconds for each; of that `TICK` is computed."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self.ticks = 0
        self.meter = LoadMeter(lambda: self.ticks * pace, lambda: self.ticks * TICK)

    def tick(self, running: Work | None, ready: int = 0) -> Busy | None:
        self.ticks += 1
        return self.meter.tick(running, ready)  # type: ignore[arg-type]


def reports(clock: Clock, running: Callable[[int], Work | None], ticks: int) -> list[Busy]:
    found = (clock.tick(running(number), number % 3) for number in range(ticks))
    return [busy for busy in found if busy is not None]


@pytest.mark.parametrize(("pace", "share"), [(TICK, 100), (2 * TICK, 50), (8 * TICK, 12)])
def test_a_window_tells_share_and_ready_sessions(pace: float, share: int) -> None:
    found = reports(Clock(pace), Work, WINDOW_TICKS)
    assert found == [Busy(pytest.approx(share, abs=1), 96, long=False)]


def test_what_takes_longer_than_a_window_may_is_no_news() -> None:
    work = Work(1)
    assert not reports(Clock(0.5), lambda _: work, 4 * WINDOW_TICKS)


def test_a_long_statement_is_told_at_once_and_then_with_every_window() -> None:
    work, clock = Work(1), Clock(TICK)
    found = reports(clock, lambda _: work, LONG_TICKS + 2 * WINDOW_TICKS)
    assert [busy.long for busy in found] == [True, True, True]


def test_a_long_statement_is_seen_among_many_short_ones() -> None:
    work = Work(1)
    found = reports(Clock(TICK), lambda n: work if n % 2 else Work(n), WINDOW_TICKS)
    assert found[0].long


def test_many_short_statements_of_one_session_are_none() -> None:
    work, clock = Work(0), Clock(TICK)

    def another(number: int) -> Work:
        work.statement = number
        return work

    assert [busy.long for busy in reports(clock, another, 3 * WINDOW_TICKS)] == [False] * 3


def test_a_statement_that_has_ended_is_not_long_any_more() -> None:
    work, clock = Work(1), Clock(TICK)
    reports(clock, lambda _: work, LONG_TICKS)
    reports(clock, lambda _: work, WINDOW_TICKS - 1)
    work.statement = 0
    (last,) = reports(clock, lambda _: None, 1)
    assert not last.long
