"""What an open replica needs besides being written: checkpoints, a look for damage, becoming smaller again.

All of it takes long, so it is done in threads, a part at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from dsql.errors import SqlError
from dsql.rpc.boot import current_boot
from journal.client import Journal
from storage.checkpoint import HELD
from storage.comparison import RANGE_ROWS, Peers, digest, is_outvoted
from storage.environment import DisorderError, ReadableEnvironment
from storage.messages import Digest
from storage.opening import make_from
from storage.remaking import SourceUnavailableError, held
from storage.replica_writer import FollowerSettings, ReplicaWriter
from storage.scrubber import SLICE_SECONDS, Scrubber
from storage.snapshot import LocalSnapshot, Row
from storage.suspicion import Suspicion
from storage.trial import READING

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
_LAST_KEY = b"\xff" * 16  # no key of a row is beyond
_TOO_LARGE_MIN = 3
_SUSPICIOUS_SHARE = 0.25  # of a processor, when somebody has met damage


class SmallerError(Exception):
    """An environment has been made that takes less of the disk: it is to take the place of this one."""


class Upkeep:
    """The upkeep of one replica, as long as it is open."""

    def __init__(
        self,
        cluster: str,
        replica: ReplicaWriter,
        settings: FollowerSettings,
        executor: Executor,
    ) -> None:
        self._cluster = cluster
        self._replica = replica
        self._environment = replica.environment
        self._settings = settings
        self._executor = executor
        self._too_large = 0  # at how many checkpoints in a row the file was

    async def scrub(
        self, peers: Peers, suspicion: Suspicion, tell_scrubbed: Callable[[], None]
    ) -> None:
        """Look for damage, pass after pass; raise it."""
        settings, replica = self._settings, self._replica
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.scrub_seconds):
                    await replica.suspected.wait()
            share = settings.scrub_share
            if replica.suspected.is_set():
                share = _SUSPICIOUS_SHARE
                replica.suspected.clear()
                suspicion.begin()
            await self._look_at_all(SLICE_SECONDS / share, suspicion)
            suspicion.end()
            try:
                await self._compare(peers, SLICE_SECONDS / share)
            finally:
                peers.close()
            tell_scrubbed()

    async def _look_at_all(self, pause: float, suspicion: Suspicion) -> None:
        """Look at every page and row once; raise what is wrong with them."""
        loop = asyncio.get_running_loop()
        scrubber = Scrubber(self._environment.checkpoints)
        next_look = loop.time() + _LOOK_SECONDS
        while not await loop.run_in_executor(self._executor, scrubber.slice):
            await asyncio.sleep(pause)
            if loop.time() >= next_look:
                suspicion.look()
                next_look = loop.time() + _LOOK_SECONDS
        self._environment.trial.passed(READING)

    async def _compare(self, peers: Peers, pause: float) -> None:
        """Compare every row with the other zones; raise DisorderError if they outvote this one.

        Where so much was deleted that no snapshot lasts for the range, the rest is left for later.
        """
        reader = ReadableEnvironment(self._environment.directory, current_boot())
        low, more = b"", peers.exist
        try:
            while more:
                timestamp = self._environment.position.watermark
                rows = await self._range(LocalSnapshot(reader, timestamp, careful=True), low)
                more = len(rows) == RANGE_ROWS
                high = rows[-1][0] + b"\x00" if more else _LAST_KEY
                own = digest(rows)
                others = await peers.digests(Digest(timestamp, low, high))
                if is_outvoted(own, others):
                    raise DisorderError(f"rows from {low!r} on are not those of the other zones")
                low = high
                await asyncio.sleep(pause)
        except SqlError:
            return
        finally:
            reader.close()

    async def _range(self, snapshot: LocalSnapshot, low: bytes) -> list[Row]:
        """Return the next RANGE_ROWS rows. Raises SqlError 72000."""
        rows: list[Row] = []
        pieces = snapshot.pieces(low, _LAST_KEY)
        while len(rows) < RANGE_ROWS:
            while self._replica.growing:
                await asyncio.sleep(SLICE_SECONDS)
            piece = next(pieces, None)
            if piece is None:
                break
            rows += piece
            await asyncio.sleep(0)
        return rows[:RANGE_ROWS]

    async def _say_durable(self, journal: Journal) -> None:
        sequence = (
            self._environment.checkpoints.sequence - 1
        )  # the journal keeps what it is compared by
        if sequence > 0:
            with contextlib.suppress(OSError):  # it is said again with the next checkpoint
                await journal.checkpoint(self._cluster, sequence)

    async def keep_checkpoints(self, journal: Journal, peers: Sequence[Path]) -> None:
        """Take checkpoints, and save their pages in between, as long as the environment is written.

        Raises SmallerError once one that takes less of the disk has been made.
        """
        loop, settings = asyncio.get_running_loop(), self._settings
        checkpoints, replica = self._environment.checkpoints, self._replica
        await self._say_durable(journal)
        while True:
            due_at = loop.time() + settings.checkpoint_seconds
            saved = 0
            await replica.applied.wait()
            replica.applied.clear()
            while loop.time() < due_at and saved < settings.checkpoint_bytes:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due_at):
                        await replica.crowded.wait()
                if replica.crowded.is_set():
                    replica.pages_written = 0
                    replica.crowded.clear()
                    saved = await self._try_to(checkpoints.make_way)
            await self._try_to(checkpoints.take)
            if self._stays_too_large() and await self._try_to(lambda: self._make_smaller(peers)):
                raise SmallerError
            await self._say_durable(journal)

    def _stays_too_large(self) -> bool:
        """Return whether the file has been too large for long: it may just have grown for what comes."""
        used = self._environment.checkpoints.used_bytes
        too_large = self._environment.file_bytes > 2 * used + self._settings.spare_bytes
        self._too_large = self._too_large + 1 if too_large and not self._replica.growing else 0
        return self._too_large >= _TOO_LARGE_MIN

    def _make_smaller(self, peers: Sequence[Path]) -> bool:
        """Make an environment without free pages; return False while another zone does, or is copied."""
        replica = self._environment.directory.parent
        try:
            with contextlib.ExitStack() as alone:
                for peer in peers:
                    if (peer / HELD).exists():
                        alone.enter_context(held(peer))
                make_from(self._environment.directory, replica)
        except SourceUnavailableError:
            return False
        return True

    async def _try_to(self, write: Callable[[], int]) -> int:
        """Return what `write` returns, 0 if the disk has no room."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, write)
        except OSError as error:
            log.error("no checkpoint of %s: %s", self._cluster, error)
            return 0
