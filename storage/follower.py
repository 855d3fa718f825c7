"""One cluster's replica in a storage server: opens it, follows the journal, writes checkpoints."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

import lmdb

from journal.client import Journal, JournalTrimmedError
from storage.applier import SequenceGapError
from storage.checkpoint import durable_sequence, open_replica, write_checkpoint
from storage.environment import DAMAGED, WritableEnvironment
from storage.replica_writer import FollowerSettings, ReplicaWriter
from storage.trial import SOUND_SECONDS, WRITING

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_FAILURES_MAX = 5
_SHORTAGES = (lmdb.DiskError, lmdb.MemoryError)  # they pass; a new copy would not fit either


class Follower:
    """`directory` is this AZ's replica, `peers` the other AZs' that lie on the same host."""

    def __init__(
        self,
        cluster: str,
        directory: Path,
        peers: Sequence[Path],
        journal: Journal,
        executor: Executor,
        boot: int,
        settings: FollowerSettings,
    ) -> None:
        self._cluster = cluster
        self._directory = directory
        self._peers = peers
        self._journal = journal
        self._executor = executor
        self._boot = boot
        self._settings = settings
        self._must_restore = False
        self._failures = 0
        self._reached: list[tuple[int, asyncio.Future[None]]] = []
        self._open: asyncio.Future[ReplicaWriter] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Follow until cancelled. What goes wrong is logged and tried again."""
        while True:
            try:
                await self._follow()
            except (SequenceGapError, JournalTrimmedError) as error:
                log.warning("replica of %s: %s", self._cluster, error)
                self._must_restore = isinstance(error, JournalTrimmedError)
            except DAMAGED as error:
                log.error("replica of %s is damaged (%s): it is made anew", self._cluster, error)
                self._must_restore = True
            except Exception as error:
                log.exception("replica of %s failed; opening it again", self._cluster)
                self._count(error)
            await asyncio.sleep(_RETRY_SECONDS)

    def _count(self, error: Exception) -> None:
        """Make the replica anew if LMDB goes on failing in a way that only damage explains."""
        if isinstance(error, lmdb.Error) and not isinstance(error, _SHORTAGES):
            self._failures += 1
        if self._failures >= _FAILURES_MAX:
            self._failures = 0
            self._must_restore = True

    def condemn(self, damage: Exception) -> None:
        """Have the replica made anew: a read has met damage in it."""
        if self.is_open:
            self._open.result().fail(damage)

    @property
    def is_open(self) -> bool:
        """True while the environment is open."""
        return self._open.done()

    async def opened(self) -> WritableEnvironment:
        """Return the environment once it is open."""
        return (await asyncio.shield(self._open)).environment

    async def reach(self, timestamp: int) -> WritableEnvironment:
        """Return the environment once its watermark has reached `timestamp`."""
        environment = await self.opened()
        while environment.position.watermark < timestamp:
            reached = asyncio.get_running_loop().create_future()
            self._reached.append((timestamp, reached))
            self._open.result().wake()
            await reached
            environment = await self.opened()
        return environment

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(self._executor, self._open_environment)
        try:
            environment = await asyncio.shield(opening)
        except asyncio.CancelledError:
            (await opening).close()
            raise
        replica = ReplicaWriter(environment, self._settings, self._executor, self._tell_waiting)
        try:
            self._open.set_result(replica)
            await self._say_durable()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_checkpoints(replica))
                group.create_task(replica.collect())
                group.create_task(self._outlive(environment))
                first = environment.position.sequence + 1
                await self._journal.follow(self._cluster, first, replica.receive)
        except ExceptionGroup as failures:  # what is raised in an `except*` would be a group again
            raise failures.exceptions[0] from None
        finally:
            self._open = loop.create_future()
            replica.close()

    def _open_environment(self) -> WritableEnvironment:
        environment = open_replica(
            self._directory, self._peers, self._boot, must_restore=self._must_restore
        )
        self._must_restore = False
        return environment

    def _tell_waiting(self, watermark: int) -> None:
        if self._reached:
            waiting, self._reached = self._reached, []
            for timestamp, reached in waiting:
                if timestamp > watermark:
                    self._reached.append((timestamp, reached))
                elif not reached.done():
                    reached.set_result(None)

    async def _outlive(self, environment: WritableEnvironment) -> None:
        """Forget earlier failures and crashes, once the environment has been worked on for long enough."""
        await asyncio.sleep(SOUND_SECONDS)
        self._failures = 0
        environment.trial.passed(WRITING)

    async def _say_durable(self) -> None:
        sequence = durable_sequence(self._directory)
        if sequence:
            with contextlib.suppress(OSError):  # it is said again with the next checkpoint
                await self._journal.checkpoint(self._cluster, sequence)

    async def _keep_checkpoints(self, replica: ReplicaWriter) -> None:
        settings = self._settings
        loop = asyncio.get_running_loop()
        written_at = loop.time()
        while True:
            await replica.applied.wait()
            replica.applied.clear()
            due_at = written_at + settings.checkpoint_seconds
            while loop.time() < due_at and replica.bytes_applied < settings.checkpoint_bytes:
                await asyncio.sleep(min(_LOOK_SECONDS, settings.checkpoint_seconds))
            replica.bytes_applied = 0
            sequence = replica.environment.position.sequence
            await loop.run_in_executor(
                self._executor, write_checkpoint, replica.environment, self._directory, sequence
            )
            written_at = loop.time()
            await self._say_durable()
