"""Timers of what is at rest go off together, in all processes of a host.

An idle server would be woken by each of its timers by itself, which costs more than what they do.
"""

from __future__ import annotations

import asyncio

_JUST_GONE = 0.95  # of a period: loops count in milliseconds, and wake a little too early


def until_tick(now: float, period: float) -> float:
    """Return the seconds to the next multiple of `period`; `now` is the host's monotonic clock."""
    left = period - now % period
    return left if left > (1 - _JUST_GONE) * period else left + period


async def next_tick(period: float) -> None:
    """Return at the running loop's next tick."""
    await asyncio.sleep(until_tick(asyncio.get_running_loop().time(), period))
