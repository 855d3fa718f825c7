"""Writers and a storage of any speed: the lag stays bounded, and nobody waits for ever."""

from __future__ import annotations

import math

import pytest

from adjudicator.admission import (
    BYTES_HIGH,
    BYTES_LOW,
    HOLD_SECONDS,
    RATE_MAX,
    RATE_MIN,
    SECONDS_HIGH,
    SECONDS_LOW,
    Admission,
    rate_at,
)

MIB = 1024 * 1024
LOOK_SECONDS = 0.05


class Bench:
    """An admission whose time is `now`. `let_in`, `refused`: the requests, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.let_in: list[bytes] = []
        self.refused: list[bytes] = []
        self.admission = Admission(
            lambda body, _: self.let_in.append(body),
            lambda body, _: self.refused.append(body),
            lambda: self.now,
        )

    def take(self, body: bytes) -> None:
        if self.admission.is_open:
            self.let_in.append(body)
        else:
            self.admission.take(body, lambda _: None)

    def look(self, rate: float, seconds: float = LOOK_SECONDS) -> None:
        self.now += seconds
        self.admission.limit(rate)


def test_rate_falls_from_the_low_marks_to_the_high_ones_in_bytes_and_in_seconds() -> None:
    assert rate_at(BYTES_LOW, SECONDS_LOW) == math.inf
    assert rate_at(BYTES_HIGH, 0.0) == rate_at(0, SECONDS_HIGH) == 0.0
    rates = [rate_at(size, 0.0) for size in range(BYTES_LOW + 1, BYTES_HIGH, MIB)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(RATE_MAX, rel=0.01)
    assert rate_at(BYTES_HIGH - 1, 0.0) == pytest.approx(RATE_MIN, rel=0.01)
    assert rate_at(0, (SECONDS_LOW + SECONDS_HIGH) / 2) == rate_at((BYTES_LOW + BYTES_HIGH) // 2, 0)


@pytest.mark.parametrize("drained", [0, 32 * 1024, MIB, 20 * MIB, 100 * MIB])
def test_lag_stays_below_the_high_mark_and_writers_come_to_storages_own_rate(drained: int) -> None:
    """Writers that each commit 256 KiB again and again, as fast as they are let in."""
    bench, size, writers = Bench(), 256 * 1024, 16
    body = bytes(size)
    behind, written_late = 0.0, 0
    for look in range(4_000):
        bench.look(rate_at(round(behind), 0.0))
        before = len(bench.let_in)
        for _ in range(writers):
            if len(bench.admission._waiting) < writers:
                bench.take(body)
        written = (len(bench.let_in) - before) * size
        bench.let_in.clear()
        behind = max(0.0, behind + written - drained * LOOK_SECONDS)
        written_late += written if look >= 2_000 else 0
        assert behind <= BYTES_HIGH + writers * size
    assert written_late / (2_000 * LOOK_SECONDS) <= max(drained, 1) * 1.1


def test_requests_are_let_in_in_their_order_and_none_is_lost() -> None:
    bench = Bench()
    bench.look(1000.0)
    bench.look(1000.0)
    bodies = [b"%04d" % number * 20 for number in range(100)]
    for body in bodies:
        bench.take(body)
    assert bench.let_in == bodies[:1]
    while len(bench.let_in) < 50:
        bench.look(1000.0)
    assert bench.now >= 49 * 80 / 1000.0
    bench.look(math.inf)
    assert bench.let_in == bodies
    assert bench.refused == []
    assert bench.admission.is_open


def test_nobody_is_refused_before_the_time_and_everybody_is_told_by_then() -> None:
    bench = Bench()
    bench.look(0.0)
    bench.take(b"first")
    bench.look(0.0, HOLD_SECONDS / 2)
    bench.take(b"second")
    bench.look(0.0, HOLD_SECONDS / 2 - 0.1)
    assert bench.refused == []
    bench.look(0.0, 0.2)
    assert bench.refused == [b"first"]
    bench.look(math.inf)
    assert bench.let_in == [b"second"]


def test_large_request_is_let_in_and_the_next_one_waits_for_it() -> None:
    bench = Bench()
    bench.look(1000.0)
    bench.look(1000.0)
    bench.take(bytes(5_000))
    bench.take(b"next")
    bench.look(1000.0, 4.9)
    assert len(bench.let_in) == 1
    bench.look(1000.0, 0.1)
    assert bench.let_in[1] == b"next"
