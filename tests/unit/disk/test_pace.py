"""An estimate that a busy machine does not spoil, and a slow disk does."""

from __future__ import annotations

from dsql.disk.pace import Pace


def test_a_long_wait_now_and_then_changes_little() -> None:
    pace = Pace()
    for _ in range(100):
        for seconds in (1.0, 0.01, 0.01):
            pace.observe(seconds)
    assert pace.seconds < 0.02


def test_what_is_always_slow_is_believed_after_some_times() -> None:
    pace = Pace()
    for _ in range(10):
        pace.observe(1.0)
    assert pace.seconds > 0.1


def test_what_is_quick_again_is_believed_at_once() -> None:
    pace = Pace()
    for _ in range(1000):
        pace.observe(1.0)
    for _ in range(4):
        pace.observe(0.0)
    assert pace.seconds < 0.1
