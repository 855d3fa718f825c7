"""One cluster's replica in a storage server: opens it, follows the journal, takes checkpoints."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

import lmdb

from dsql.disk.files import SYSTEM_FILES, Files
from journal.client import Journal, JournalTrimmedError
from storage.applier import SequenceGapError
from storage.comparison import Peers
from storage.databases import Position
from storage.environment import (
    DAMAGED,
    WritableEnvironment,
)
from storage.opening import open_remade, open_replica
from storage.replica_writer import FollowerSettings, ReplicaWriter
from storage.suspicion import Suspicion
from storage.trial import SOUND_SECONDS, WRITING
from storage.upkeep import SmallerError, Upkeep

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.1  # doubled with each failure in a row, up to
_RETRY_SECONDS_MAX = 10.0
_FAILURES_MAX = 5
_ATTEMPTS_COUNTED = 10
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
        *,
        sockets: Sequence[Path] = (),
    ) -> None:
        """`sockets` are those of the other AZs' storage servers, to be compared with."""
        self._files = files
        self._sockets = sockets
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
        self._has_smaller = False  # one has been made to take the environment's place
        self._waited_for = (0, 0.0)  # a published timestamp, since when it was not reached
        self.scrubbed_at = 0.0  # when every page had been looked at last, in seconds since 1970
        self._reached: list[tuple[int, asyncio.Future[None]]] = []
        self._open: asyncio.Future[ReplicaWriter] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Follow until cancelled. What goes wrong is logged and tried again, less and less often."""
        while True:
            try:
                await self._follow_until_cancelled()
            except SmallerError:
                continue
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
    def position(self) -> Position | None:
        """How far the replica has come, None while it is not open."""
        return self._open.result().environment.position if self.is_open else None

    @property
    def is_new(self) -> bool:
        """True for a replica that is to be made anew, or was made anew by this process."""
        return self._must_restore or (self.is_open and self._open.result().environment.restored)

    @property
    def is_suspected(self) -> bool:
        """True while readers are sent to other zones, and its pages are looked at."""
        return self.is_open and self._open.result().environment.avoided

    def behind_seconds(self, published: int) -> float:
        """Return for how long the replica is known to lack something `published`, 0.0 if it does not.

        By the monotonic clock: timestamps differ by years if a wall clock was ahead.
        """
        position, now = self.position, asyncio.get_running_loop().time()
        watermark = -1 if position is None else position.watermark
        if watermark >= self._waited_for[0]:
            self._waited_for = (published, now)
        return 0.0 if watermark >= published else now - self._waited_for[1]

    @property
    def is_open(self) -> bool:
        """True while the environment is open."""
        return self._open.done()

    @property
    def may_rest(self) -> bool:
        """Whether it can be closed without losing sight of anything that is wrong with it."""
        return self.is_open and not (self.is_damaged or self.is_suspected or self._reached)

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

    async def _follow_until_cancelled(self) -> None:
        """Follow until something fails; a cancel is one, whatever fails behind it."""
        try:
            await self._follow()
        except Exception:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from None
            raise

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
            upkeep = Upkeep(self._cluster, replica, self._settings, self._executor)
            async with asyncio.TaskGroup() as group:
                group.create_task(upkeep.keep_checkpoints(self._journal, self._peers))
                group.create_task(
                    upkeep.scrub(
                        Peers(self._cluster, self._sockets),
                        Suspicion(environment, self._peers, self._boot),
                        self._tell_scrubbed,
                    )
                )
                group.create_task(replica.collect())
                group.create_task(self._outlive(environment))
                # From the record that was applied last on, to see that the journal has the same. If it is
                # shorter, from its newest one on: what follows that is applied already, or another history.
                first = max(1, environment.position.sequence)
                await self._journal.follow(
                    self._cluster, first, replica.receive, lambda: environment.position.sequence
                )
        except ExceptionGroup as failures:  # what is raised in an `except*` would be a group again
            error = failures.exceptions[0]
            if isinstance(error, DAMAGED):
                environment.condemn()
            self._has_smaller = isinstance(error, SmallerError)
            raise error from None
        finally:
            self._open = loop.create_future()
            await asyncio.shield(replica.close())

    def _open_environment(self) -> WritableEnvironment:
        if self._has_smaller:
            self._has_smaller = False
            return open_remade(self._directory, self._boot, files=self._files)
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

    def _tell_scrubbed(self) -> None:
        self.scrubbed_at = time.time()
