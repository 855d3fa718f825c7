from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsql.rpc.tick import until_tick


@given(st.floats(0, 1e7), st.sampled_from([0.5, 1.0, 10.0]))
def test_timers_of_one_period_go_off_together(now: float, period: float) -> None:
    left = until_tick(now, period)
    phase = (now + left) % period
    assert min(phase, period - phase) < 1e-6
    assert 0 < left <= 1.05 * period


def test_timer_that_went_off_a_little_early_waits_for_the_next_tick() -> None:
    assert until_tick(6.9995, 1.0) > 1.0
