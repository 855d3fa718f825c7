"""Which query processors of a cluster should let sessions go: decisions only, no I/O.

Two things set sessions in motion. Where a statement computes for long, all others leave, for a process
without one: there they wait for nobody's slices, and the long statement has its processor for itself. And
where sessions wait for their turn while another process has less to do, or where far more sessions are
than in another one, some of them leave.

Nobody is asked to leave while there are sessions that wait for a process with room.

Against going to and fro: what is asked for takes at most half of the difference away, a difference counts
from `PRESSURE_APART` and a quarter of all on only, loads are evened out at most every `EVEN_SECONDS`, and
nobody is sent to where a long statement is, or was a moment ago.
"""

from __future__ import annotations

from collections.abc import Iterable

from placement.cluster_pool import ClusterPool, Member

PRESSURE_APART = 1.0  # about one session that waits while another process would have time for it
EVEN_SECONDS = 0.5
SHED_SECONDS = 0.1  # between two requests to one process
_SESSIONS_APART = 8

Shedding = tuple[Member, int]  # who, and how many


def others_of_long(member: Member, opened: Iterable[Member], now: float) -> int:
    """Return how many should leave a process because of a long statement in it; one stays with it.

    `opened` are all of the cluster that take sessions.
    """
    if not member.computes_long(now) or now - member.shed_at < SHED_SECONDS:
        return 0
    if not any(not other.computes_long(now) for other in opened if other is not member):
        return 0
    return max(0, len(member.work) - 1)  # it may have ended since


def all_loaded(opened: list[Member], now: float) -> bool:
    """Return whether in all processes sessions wait, and one more would take some of them."""
    return all(
        len(member.work) > 1
        and (member.computes_long(now) or member.pressure(now) >= 1 + PRESSURE_APART / 2)
        for member in opened
    )


def uneven(pool: ClusterPool, opened: list[Member], now: float) -> Shedding | None:
    """Return who of a cluster's open processes has to let how many sessions go; None: all is even."""
    calm = [member for member in opened if not member.computes_long(now)]
    if len(opened) < 2 or not calm or pool.waiting or now - pool.evened_at < EVEN_SECONDS:
        return None
    fullest = max(opened, key=lambda member: member.pressure(now))
    freest = min(calm, key=lambda member: member.pressure(now))
    apart = fullest.pressure(now) - freest.pressure(now)
    if apart >= max(PRESSURE_APART, fullest.pressure(now) / 4) and len(fullest.work) > 1:
        share = apart / 2 / fullest.pressure(now)
        return fullest, max(1, int(len(fullest.work) * share))
    return _uneven_in_number(opened, calm, now)


def _uneven_in_number(opened: list[Member], calm: list[Member], now: float) -> Shedding | None:
    """Compare how many sessions there are, where what they do is no reason to leave them."""
    most = max(opened, key=lambda member: len(member.work))
    fewest = min(calm, key=lambda member: len(member.work))
    if len(most.work) <= 2 * len(fewest.work) + _SESSIONS_APART:
        return None
    if fewest.pressure(now) - most.pressure(now) >= PRESSURE_APART / 2:
        return None
    return most, (len(most.work) - len(fewest.work)) // 2
