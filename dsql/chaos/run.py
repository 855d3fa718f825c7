"""A run of chaos: one fault after the other, each once the cluster is as before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dsql.chaos.faults import KINDS, LASTING, Action, Kind
from dsql.chaos.injector import Injector
from dsql.chaos.probes import Probes
from dsql.chaos.stalls import PROBES, Fault
from dsql.control.layout import ClusterRecord, Layout
from dsql.health.collect import RoleStatus, collect
from dsql.health.conditions import Condition, conditions, leader_of

_LOOK_SECONDS = 0.2
_FRESH_SECONDS = 1.0  # a success is older where the fault was felt a moment after it was undone


class Pace(NamedTuple):
    """How long a lasting fault is held, how long there is none, and when a cluster is given up."""

    hold_seconds: float = 5.0
    rest_seconds: float = 2.0
    recover_seconds: float = 60.0


class NotWellError(Exception):
    """The cluster is not well, so that nothing can be learned from doing it harm."""


class Run:
    """What is done to one cluster, and what came of it. `faults` are those done so far."""

    def __init__(
        self, layout: Layout, record: ClusterRecord, injector: Injector, probes: Probes, pace: Pace
    ) -> None:
        self.faults: list[Fault] = []
        self._layout = layout
        self._record = record
        self._injector = injector
        self._probes = probes
        self._pace = pace

    async def go_on(
        self, names: Iterator[str], seconds: float, report: Callable[[Fault], None]
    ) -> None:
        """Do the faults until there are no more, the time is over, or the cluster does not recover.

        Raises NotWellError if it is not well at the beginning.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            found = await self._recovered(started)
            if found:
                raise NotWellError("; ".join(found))
            for name in names:
                if loop.time() - started >= seconds:
                    return
                fault = await self._one(name, started)
                self.faults.append(fault)
                report(fault)
                if fault.recovered_seconds is None:
                    return
        finally:
            self._injector.heal()

    async def _one(self, name: str, started: float) -> Fault:
        """Do one fault, undo it, and wait until everything is as before."""
        loop, kind = asyncio.get_running_loop(), KINDS[name]
        await asyncio.sleep(self._pace.rest_seconds)
        leader = leader_of(self._record.identifier, await self._ask())
        began = loop.time()
        for pulse in self._probes.pulses.values():
            pulse.forget(began)
        with self._room(kind):
            done = await asyncio.to_thread(self._injector.inject, kind, leader)
            held = self._pace.hold_seconds if kind.action in LASTING else 0.0
            await asyncio.sleep(held)
            self._injector.heal()
            healed = loop.time()
            remaining = await self._recovered(healed)
        ended = loop.time()
        stalls = {probe: self._probes.pulses[probe].longest_gap(began, ended) for probe in PROBES}
        recovered = None if remaining else ended - healed
        at = began - started
        return Fault(name, kind.title, at, done, held, stalls, recovered, remaining)

    @contextlib.contextmanager
    def _room(self, kind: Kind) -> Iterator[None]:
        """Let the probes expect that there is no room, for as long as that lasts."""
        self._probes.room_expected = kind.action not in (Action.FILL, Action.FILL_DISK)
        try:
            yield
        finally:
            self._probes.room_expected = True

    async def _recovered(self, since: float) -> list[str]:
        """Return once every probe succeeds and nothing is wrong; else, in time, what still is."""
        loop = asyncio.get_running_loop()
        remaining: list[str] = []
        while loop.time() < since + self._pace.recover_seconds:
            await asyncio.sleep(_LOOK_SECONDS)
            fresh = max(since, loop.time() - _FRESH_SECONDS)
            waiting = [name for name, pulse in self._probes.pulses.items() if pulse.newest < fresh]
            found = conditions([self._record], await self._ask())
            remaining = [f"no {name}" for name in waiting] + [_short(one) for one in found]
            if not remaining:
                break
        return remaining

    async def _ask(self) -> list[RoleStatus]:
        return await asyncio.to_thread(collect, self._layout, [self._record])


def _short(condition: Condition) -> str:
    return " ".join(filter(None, (condition.az, condition.role, condition.word)))
