"""Somebody who reads every zone's journal from its beginning on, through the product's own feed.

What is once fed as committed stands for ever: no zone may feed anything else under the same sequence.
"""

from __future__ import annotations

import asyncio

from journal.client import JournalTrimmedError, SocketJournal
from journal.messages import Record

from .installation import ZONES, Installation
from .loop import SimulatedLoop
from .world import Machine, Process, ViolationError


class Observer:
    """The committed records of a cluster by sequence, as all zones have fed them together."""

    def __init__(self, installation: Installation, cluster: str) -> None:
        self.records: dict[int, Record] = {}
        self._cluster = cluster
        self._installation = installation
        self._world = installation.world
        self._process = Process(self._world, "observer", Machine(self._world, "observer"))
        self._process.spawn(self._main)

    @property
    def journal(self) -> list[Record]:
        """Every record, in order. Raises ViolationError if one is missing."""
        journal = [record for _, record in sorted(self.records.items())]
        for number, record in enumerate(journal, 1):
            if record.sequence != number:
                raise ViolationError(f"nobody was fed record {number}")
        return journal

    @property
    def newest(self) -> int:
        """The timestamp of the last record, 0 if there is none."""
        return self.records[max(self.records)].timestamp if self.records else 0

    def _main(self) -> None:
        thread = self._world.running
        assert thread is not None
        SimulatedLoop(self._process, thread).run(self._follow_all())

    async def _follow_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for zone in ZONES:
                group.create_task(self._follow(zone))

    async def _follow(self, zone: str) -> None:
        journal = SocketJournal(self._installation.layout.socket(f"{zone}.journal"))
        sequence = 1
        while True:
            try:
                async for records in journal.subscribe(self._cluster, sequence):
                    for record in records:
                        self._observe(zone, record)
                    sequence = records[-1].sequence + 1
            except JournalTrimmedError:
                sequence = max(self.records, default=0) + 1
                await asyncio.sleep(0.1)

    def _observe(self, zone: str, record: Record) -> None:
        known = self.records.setdefault(record.sequence, record)
        if known != record:
            message = f"{zone} feeds another record {record.sequence}: {record}, not {known}"
            self._world.violations.append(ViolationError(message))
