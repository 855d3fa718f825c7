"""One cluster's replica in a storage server: opens it, follows the journal, takes checkpoints."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import lmdb

from dsql.disk.files import SYSTEM_FILES, Files
from journal.client import Journal, JournalTrimmedError
from storage.applier import SequenceGapError
from storage.environment import DAMAGED, WritableEnvironment
from storage.opening import open_replica
from storage.replica_writer import FollowerSettings, ReplicaWriter
from storage.scrubber import SLICE_SECONDS, Scrubber
from storage.trial import READING, SOUND_SECONDS, WRITING

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.1  # doubled with each failure in a row, up to
_RETRY_SECONDS_MAX = 10.0
_LOOK_SECONDS = 0.25
_FAILURES_MAX = 5
_ATTEMPTS_COUNTED = 10
_SUSPICIOUS_SHARE = 0.25  # of a processor, when somebody has met damage
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
        files: Files = SYSTEM_FILES,
    ) -> None:
        self._files = files
        self.repaired = 0  # how often the replica was made anew because it was damaged
        self._cluster = cluster
        self._directory = directory
        self._peers = peers
        self._journal = journal
        self._executor = executor
        self._boot = boot
        self._settings = settings
        self._must_restore = False
        self._failures = 0  # of LMDB
        self._attempts = 0  # to open or to follow, in a row
        self.is_damaged = False  # until it has been made anew
        self.scrubbed_at = 0.0  # when every page had been looked at last, in seconds since 1970
        self._reached: list[tuple[int, asyncio.Future[None]]] = []
        self._open: asyncio.Future[ReplicaWriter] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Follow until cancelled. What goes wrong is logged and tried again, less and less often."""
        while True:
            try:
                await self._follow()
            except (SequenceGapError, JournalTrimmedError) as error:
                log.warning("replica of %s: %s", self._cluster, error)
                self._must_restore |= isinstance(error, JournalTrimmedError)
            except DAMAGED as error:
                log.error("replica of %s is damaged (%s): it is made anew", self._cluster, error)
                self._must_restore = self.is_damaged = True
            except Exception as error:
                log.exception("replica of %s failed; opening it again", self._cluster)
                self._count(error)
            await asyncio.sleep(min(_RETRY_SECONDS * 2**self._attempts, _RETRY_SECONDS_MAX))
            self._attempts = min(self._attempts + 1, _ATTEMPTS_COUNTED)

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
        """Return the environment once its watermark has reached `timestamp`.

        It may be read until the caller waits for anything else.
        """
        replica = await asyncio.shield(self._open)
        while replica.environment.position.watermark < timestamp or replica.growing:
            reached = asyncio.get_running_loop().create_future()
            self._reached.append((timestamp, reached))
            replica.wake()
            await reached
            replica = await asyncio.shield(self._open)
        return replica.environment

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
            await self._say_durable(environment)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_checkpoints(replica))
                group.create_task(replica.collect())
                group.create_task(self._outlive(environment))
                group.create_task(self._scrub(replica))
                # From the record that was applied last on, to see that the journal has the same.
                first = max(1, environment.position.sequence)
                await self._journal.follow(self._cluster, first, replica.receive)
        except ExceptionGroup as failures:  # what is raised in an `except*` would be a group again
            error = failures.exceptions[0]
            if isinstance(error, DAMAGED):
                environment.condemn()
            raise error from None
        finally:
            self._open = loop.create_future()
            await asyncio.shield(replica.close())

    def _open_environment(self) -> WritableEnvironment:
        environment = open_replica(
            self._directory,
            self._peers,
            self._boot,
            must_restore=self._must_restore,
            files=self._files,
        )
        self.repaired += self.is_damaged
        self._must_restore = self.is_damaged = False
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
        self._failures = self._attempts = 0
        environment.trial.passed(WRITING)

    async def _scrub(self, replica: ReplicaWriter) -> None:
        """Look for damage, pass after pass; raise it."""
        loop, settings = asyncio.get_running_loop(), self._settings
        environment = replica.environment
        scrubber = Scrubber(environment.checkpoints)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.scrub_seconds):
                    await replica.suspected.wait()
            share = _SUSPICIOUS_SHARE if replica.suspected.is_set() else settings.scrub_share
            replica.suspected.clear()
            complete = False
            while not complete:
                complete = await loop.run_in_executor(self._executor, scrubber.slice)
                await asyncio.sleep(SLICE_SECONDS / share)
            self.scrubbed_at = time.time()
            environment.trial.passed(READING)

    async def _say_durable(self, environment: WritableEnvironment) -> None:
        sequence = environment.checkpoints.sequence - 1  # the journal keeps what it is compared by
        if sequence > 0:
            with contextlib.suppress(OSError):  # it is said again with the next checkpoint
                await self._journal.checkpoint(self._cluster, sequence)

    async def _keep_checkpoints(self, replica: ReplicaWriter) -> None:
        """Take checkpoints, and save their pages in between, as long as the environment is written."""
        loop, settings = asyncio.get_running_loop(), self._settings
        checkpoints = replica.environment.checkpoints
        while True:
            due_at = loop.time() + settings.checkpoint_seconds
            saved = 0
            await replica.applied.wait()
            replica.applied.clear()
            while loop.time() < due_at and saved < settings.checkpoint_bytes:
                await asyncio.sleep(min(_LOOK_SECONDS, settings.checkpoint_seconds))
                if replica.pages_written >= settings.pages_max:
                    replica.pages_written = 0
                    saved = await self._try_to(checkpoints.make_way)
            await self._try_to(checkpoints.take)
            await self._say_durable(replica.environment)

    async def _try_to(self, write: Callable[[], int]) -> int:
        """Return what `write` returns, 0 if the disk has no room."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, write)
        except OSError as error:
            log.error("no checkpoint of %s: %s", self._cluster, error)
            return 0
