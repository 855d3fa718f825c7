"""Whether a majority has stood by every leader in one moment: by what replicas have promised, and lost.

A leader that was elected without may lead for a long time before anything shows it. From its promise on a
replica refuses all lower epochs, until it loses its log; that it promises a higher one, or that its process
dies, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from journal.leader import Leader
from journal.replica import Promise
from journal.replica_host import ReplicaHost

from .world import ViolationError, world_of_now


@dataclass
class _Stand:
    """By whom a replica stands, from one event of the world until another."""

    candidate: bytes
    since: int
    until: int | None = None

    def at(self, event: int) -> bool:
        return self.since <= event and (self.until is None or event < self.until)


class Elections:
    """Looks at the elections of a run, until the patch is undone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._stands: dict[str, list[_Stand]] = {}
        receive, begin, take_over = ReplicaHost.receive, ReplicaHost._begin, Leader._take_over

        def watch_promise(host: ReplicaHost, *message: Any) -> None:
            receive(host, *message)
            self._note(host._name, host.replica.promise)

        def watch_log(host: ReplicaHost, log: Any) -> None:
            begin(host, log)
            self._note(host._name, host.replica.promise)

        def watch_leader(leader: Leader) -> Any:
            # Its own promise may stand since the call that this comes from.
            sends = take_over(leader)
            self._elected.append((leader._candidate, leader._replicas.quorum.claims, leader.epoch))
            return sends

        self._elected: list[tuple[bytes, int, int]] = []
        patch.setattr(ReplicaHost, "receive", watch_promise)
        patch.setattr(ReplicaHost, "_begin", watch_log)
        patch.setattr(Leader, "_take_over", watch_leader)

    def check(self) -> None:
        """Raise ViolationError if too few stood by one that was elected."""
        for candidate, needed, epoch in self._elected:
            stands = [s for all_ in self._stands.values() for s in all_ if s.candidate == candidate]
            most = max((sum(s.at(one.since) for s in stands) for one in stands), default=0)
            if most < needed:
                raise ViolationError(f"epoch {epoch} was elected, and {most} stood by it at once")

    def _note(self, name: str, promise: Promise) -> None:
        world = world_of_now()
        assert world is not None
        stands = self._stands.setdefault(name, [])
        if not promise.whole:
            for stand in stands:
                stand.until = stand.until or world.number()
        elif not any(s.candidate == promise.candidate and s.until is None for s in stands):
            stands.append(_Stand(promise.candidate, world.number()))
