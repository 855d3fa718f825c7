"""Doing faults to a running cluster, and undoing them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from random import Random

from dsql.chaos import damage
from dsql.chaos.cuts import cuts_allowed, write_cuts
from dsql.chaos.faults import (
    Abilities,
    Action,
    Kind,
    Victims,
    choose_zones,
    cuts,
    role_of,
)
from dsql.chaos.processes import (
    lift_limits,
    limit_files,
    processes_of,
    query_processors_of,
    send,
)
from dsql.control.layout import ClusterRecord, Layout
from dsql.control.running import read_processes

MEBIBYTE = 1024 * 1024
_BLOCK_BYTES = 4096


class Injector:
    """Works on one cluster. `filler_bytes`: how large the file may be that fills the disk, 0 for none."""

    def __init__(
        self, layout: Layout, record: ClusterRecord, chance: Random, filler_bytes: int = 0
    ) -> None:
        self._layout = layout
        self._record = record
        self._chance = chance
        self._filler_bytes = filler_bytes
        self._filler = layout.root / "filler"
        self.abilities = Abilities(len(record.azs), cuts_allowed(layout), filler_bytes > 0)

    def inject(self, kind: Kind, leader: str) -> str:
        """Do it to a cluster that is led from the zone `leader`; return what was done, in words."""
        zones = choose_zones(kind.victims, self._record.azs, leader, self._chance)
        if kind.action in (Action.CUT, Action.DEAFEN, Action.MUTE):
            return self._cut(kind.action, zones[0])
        if kind.action is Action.FILL_DISK:
            return self._fill_disk()
        process_ids = self._processes(kind.victims, zones)
        names = ", ".join(zones) or kind.victims.value
        if kind.action is Action.DAMAGE:
            return self._damage(kind.file, zones[0], process_ids)
        act: dict[Action, Callable[[], int]] = {
            Action.KILL: lambda: send(process_ids, signal.SIGKILL),
            Action.PAUSE: lambda: send(process_ids, signal.SIGSTOP),
            Action.FILL: lambda: limit_files(process_ids),
        }
        met = act[kind.action]()
        return f"{kind.action.value} {names} (processes: {met})"

    def heal(self) -> None:
        """Undo whatever lasts, of this run or of one that was killed."""
        self._filler.unlink(missing_ok=True)  # the rest may need room
        lift_limits(self._processes(Victims.ZONES, self._record.azs))
        for victims in (Victims.EVERYTHING, Victims.SESSIONS):
            send(self._processes(victims, []), signal.SIGCONT)
        if cuts_allowed(self._layout):
            write_cuts(self._layout, [])

    def _processes(self, victims: Victims, zones: list[str]) -> list[int]:
        if victims is Victims.SESSIONS:
            return query_processors_of(self._record.identifier)
        if victims is Victims.EVERYTHING:
            return processes_of(self._layout, read_processes(self._layout))
        names = [f"{zone}.az" for zone in zones] or [role_of(victims)]
        return processes_of(self._layout, names)

    def _cut(self, action: Action, zone: str) -> str:
        directions = cuts(action, zone, self._record.azs)
        write_cuts(
            self._layout, [(f"{hearer}.az", f"{speaker}.az") for hearer, speaker in directions]
        )
        return f"{action.value} {zone}"

    def _fill_disk(self) -> str:
        taken = 0
        with self._filler.open("wb") as file:
            for piece in (MEBIBYTE, _BLOCK_BYTES):
                with contextlib.suppress(OSError):  # it is full
                    while taken + piece <= self._filler_bytes:
                        os.posix_fallocate(file.fileno(), taken, piece)
                        taken += piece
        return f"a file of {taken / MEBIBYTE:.1f} MiB in {self._layout.root}"

    def _damage(self, what: str, zone: str, process_ids: list[int]) -> str:
        paths = damage.damageable(self._layout, what, zone, self._record.identifier)
        if not paths:
            return f"{what} of {zone}: there is none to damage"
        send(process_ids, signal.SIGSTOP)  # so that it does not write over it at once
        done = damage.flip(paths, self._chance)
        send(process_ids, signal.SIGKILL)
        return f"flip {done}, kill -9 {zone}"
