"""What a replica does besides its work: telling damage in time, and repairing it.

Every second in which something was written, the log's reach is made durable (`journal.state_file`). Now and
then the whole log is read, in small pieces with pauses between them, so that damage is found while
the other zones still have what is damaged. And a damaged segment is written anew, from what is
committed: another zone's feed has the very same frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from dsql.rpc.clock import Clock
from journal.client import JournalTrimmedError, SocketJournal
from journal.disk_threads import DiskWork, Result
from journal.log import DiskFullError, Log, SyncFailedError
from journal.replica_host import ReplicaHost
from journal.segment import CorruptionError
from journal.segment_repair import Replacement

log = logging.getLogger(__name__)

_SETTLE_SECONDS = 1.0
_SCRUB_SECONDS = 600.0  # between two passes
_SCRUB_BYTES = 64 * 1024  # at once
_SCRUB_PAUSE_SECONDS = 0.05
_PAUSE_SECONDS_MIN = 0.1  # between two attempts to repair something
_PAUSE_SECONDS_MAX = 5.0
_PEER_SECONDS = 10.0  # a peer that gives nothing for so long is left


class Upkeep:
    """Looks after one replica. `scrubbed_at`: when all of its log was sound, in seconds since 1970."""

    def __init__(
        self, host: ReplicaHost, cluster: str, peers: list[Path], work: DiskWork, clock: Clock
    ) -> None:
        self.scrubbed_at = clock.now() // 1_000_000  # opening a log reads it
        self._host = host
        self._cluster = cluster
        self._peers = peers
        self._work = work
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._settle())
            group.create_task(self._scrub())
            group.create_task(self._repair())

    async def _settle(self) -> None:
        settled = 0
        while True:
            await asyncio.sleep(_SETTLE_SECONDS)
            disk = self._host.disk
            if disk.last_sequence != settled and not self._host.failed:
                settled = disk.last_sequence
                await self._attempt(disk, disk.settle)

    async def _scrub(self) -> None:
        while True:
            await asyncio.sleep(_SCRUB_SECONDS)
            disk, sequence = self._host.disk, 0
            while sequence <= disk.last_sequence and self._usable(disk):
                start = max(sequence, disk.first_sequence)
                sequence = await self._check(disk, start)
                await asyncio.sleep(_SCRUB_PAUSE_SECONDS)
            await self._attempt(disk, disk.check_state)
            if self._usable(disk) and not disk.damaged:
                self.scrubbed_at = self._clock.now() // 1_000_000

    async def _check(self, disk: Log, sequence: int) -> int:
        """Read a piece; return the record to go on with, past a segment that is damaged."""
        try:
            checked = await self._attempt(disk, lambda: disk.check(sequence, _SCRUB_BYTES))
        except CorruptionError as damage:
            if self._usable(disk):
                self._host.noticed(damage)
            checked = max(
                (1 + last for first, last in disk.damaged if first <= sequence), default=0
            )
        return checked or sequence + 1

    async def _repair(self) -> None:
        pause = _PAUSE_SECONDS_MIN
        while True:
            await self._host.damage.wait()
            disk = self._host.disk
            mended = [await self._mend(disk, *span) for span in disk.damaged]
            if all(mended) and not self._host.disk.damaged:
                self._host.mended()
                pause = _PAUSE_SECONDS_MIN
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _PAUSE_SECONDS_MAX)

    async def _mend(self, disk: Log, first: int, last: int) -> bool:
        """Write the segment of these records anew; return whether that is done."""
        if disk.grows(first):  # and while it does, its end may never be known to be committed
            self._host.seal()
            return False
        if self._host.replica.commit < last:
            return False
        replacement = await self._attempt(disk, lambda: disk.begin_replacement(first))
        if replacement is None:
            return False
        for peer in self._peers:
            with contextlib.suppress(OSError, TimeoutError, JournalTrimmedError, CorruptionError):
                await self._copy(peer, replacement)
            if replacement.complete:
                log.warning("%s: records %d to %d are written anew", self._cluster, first, last)
                return bool(await self._attempt(disk, lambda: disk.replace(replacement)))
        await self._work.run(replacement.give_up)
        return False

    async def _copy(self, peer: Path, replacement: Replacement) -> None:
        feed = SocketJournal(peer).feed(self._cluster, replacement.next)
        async with contextlib.aclosing(feed):
            while not replacement.complete:
                async with asyncio.timeout(_PEER_SECONDS):
                    frames = await anext(feed, None)
                if frames is None:
                    return
                await self._work.run(lambda frames=frames: replacement.add(frames))  # type: ignore[misc]

    async def _attempt(self, disk: Log, work: Callable[[], Result]) -> Result | None:
        """Do something to the files of a log; None if the disk is full, or fails, which ends the log."""
        try:
            return await self._work.run(work)
        except DiskFullError as error:
            log.warning("%s: %s", self._cluster, error)
        except SyncFailedError as error:
            if self._usable(disk):
                self._host.fail(error)
        return None

    def _usable(self, disk: Log) -> bool:
        return disk is self._host.disk and not self._host.failed
