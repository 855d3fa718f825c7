"""One cluster's replica in a storage server: follows the journal, applies, collects garbage, checkpoints.

When to apply. Each LMDB commit costs the same for one record as for fifty, so a replica nobody reads holds
records back for some milliseconds and applies them together. Where readers have lately had to wait, it
applies at once; in the leader's own process that is before the commits are published, so nobody waits
there any more. Superseded versions are cleared away apart from that, two for each that was written.

A reader that comes while records are held back finds `delaying` on the board and wakes
the writer through the FIFO, so it never waits for the delay to pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from journal.client import Journal, JournalTrimmedError
from journal.messages import Record
from storage.applier import GRACE_SECONDS, Applier, SequenceGapError
from storage.board import DELAYING, WANTED, WATERMARK
from storage.checkpoint import durable_sequence, open_replica, write_checkpoint
from storage.environment import WAKE, WritableEnvironment

log = logging.getLogger(__name__)

_READ_LATELY_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_COLLECT_SECONDS = 0.25
_COLLECT_DEBT = 64  # versions: what a transaction for garbage collection alone is worth
_COLLECT_STEP_MAX = 512
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class FollowerSettings:
    """`delay_seconds`: how long a replica without readers holds records back, up to `pending_bytes_max`.

    A checkpoint is written when the replica has applied `checkpoint_bytes` of payload since the last one,
    or anything at all within `checkpoint_seconds`.
    """

    delay_seconds: float = 0.02
    pending_bytes_max: int = 1024 * 1024
    checkpoint_bytes: int = 256 * 1024 * 1024
    checkpoint_seconds: float = 300.0
    grace_seconds: float = GRACE_SECONDS


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
        self._reached: list[tuple[int, asyncio.Future[None]]] = []
        self._open: asyncio.Future[_OpenReplica] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Follow until cancelled. What goes wrong is logged and tried again."""
        while True:
            try:
                await self._follow()
            except (SequenceGapError, JournalTrimmedError) as error:
                log.warning("replica of %s: %s", self._cluster, error)
                self._must_restore = isinstance(error, JournalTrimmedError)
            except Exception:
                log.exception("replica of %s failed; opening it again", self._cluster)
            await asyncio.sleep(_RETRY_SECONDS)

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
            words = environment.board.words
            words[WANTED] = max(words[WANTED], timestamp)
            reached = asyncio.get_running_loop().create_future()
            self._reached.append((timestamp, reached))
            self._open.result().hurry()
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
        replica = _OpenReplica(environment, self._settings, self._tell_waiting)
        try:
            self._open.set_result(replica)
            await self._say_durable()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_checkpoints(replica))
                group.create_task(replica.collect())
                first = environment.position.sequence + 1
                await self._journal.follow(self._cluster, first, replica.receive)
        except* (SequenceGapError, JournalTrimmedError) as group_of_errors:
            raise group_of_errors.exceptions[0] from None
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

    async def _say_durable(self) -> None:
        sequence = durable_sequence(self._directory)
        if sequence:
            with contextlib.suppress(OSError):  # it is said again with the next checkpoint
                await self._journal.checkpoint(self._cluster, sequence)

    async def _keep_checkpoints(self, replica: _OpenReplica) -> None:
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


class _OpenReplica:
    """The environment with its applier, and the decision when to apply."""

    def __init__(
        self,
        environment: WritableEnvironment,
        settings: FollowerSettings,
        applied: Callable[[int], None],
    ) -> None:
        self.environment = environment
        self.bytes_applied = 0
        self._applier = Applier(environment, time.monotonic, grace_seconds=settings.grace_seconds)
        self._settings = settings
        self._applied = applied
        self._words = environment.board.words
        self._pending: list[Record] = []
        self._pending_bytes = 0
        self._wanted_seen = 0
        self._wanted_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None
        self._collect_debt = 0
        self._collecting: asyncio.Handle | None = None
        self._busy = asyncio.Event()  # there may be garbage, or a failure
        self.applied = asyncio.Event()
        # Opened for writing too, so that it never reads as ended.
        self._wake = os.open(environment.directory / WAKE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop.add_reader(self._wake, self._on_wake)

    async def collect(self) -> None:
        """Collect garbage while there is any; raise what applying outside of the feed's task raised.

        An idle replica has none, and then nothing runs here until something is applied.
        """
        while True:
            await self._busy.wait()
            self._busy.clear()
            while self._failure is None and self._applier.collect():
                await asyncio.sleep(_COLLECT_SECONDS)
            if self._failure is not None:
                raise self._failure

    def receive(self, records: list[Record]) -> None:
        """Take records from the feed, and apply them now or soon."""
        self._pending += records
        self._pending_bytes += sum(len(record.payload) for record in records)
        if self._is_urgent():
            self._apply()
        elif self._timer is None:
            self._words[DELAYING] = 1
            if self._is_urgent():  # a reader came before it could see that it had to wake us
                self._apply()
            else:
                self._timer = self._loop.call_later(self._settings.delay_seconds, self.hurry)

    def hurry(self) -> None:
        """Apply what is held back."""
        if not self._pending:
            return
        try:
            self._apply()
        except Exception as error:
            self._failure = error
            self._busy.set()

    def _is_urgent(self) -> bool:
        wanted = self._words[WANTED]
        now = self._loop.time()
        if wanted != self._wanted_seen:
            self._wanted_seen, self._wanted_at = wanted, now
        return (
            wanted > self._words[WATERMARK]
            or now < self._wanted_at + _READ_LATELY_SECONDS
            or self._pending_bytes >= self._settings.pending_bytes_max
        )

    def _apply(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._words[DELAYING] = 0
        records, self._pending = self._pending, []
        self.bytes_applied += self._pending_bytes
        self._pending_bytes = 0
        self._collect_debt += 2 * self._applier.apply(records)
        if self._collect_debt >= _COLLECT_DEBT and self._collecting is None:
            self._collecting = self._loop.call_soon(self._pay_collect_debt)
        self._busy.set()
        self.applied.set()
        self._applied(self._applier.position.watermark)

    def _pay_collect_debt(self) -> None:
        """Collect about as much as was written, a little at a time."""
        self._collecting = None
        step = min(self._collect_debt, _COLLECT_STEP_MAX)
        try:
            more = self._applier.collect(step)
        except Exception as error:
            self._failure = error
            self._busy.set()
            return
        self._collect_debt = self._collect_debt - step if more else 0
        if self._collect_debt >= _COLLECT_DEBT:
            self._collecting = self._loop.call_soon(self._pay_collect_debt)

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        self.hurry()

    def close(self) -> None:
        """Apply nothing more, and leave the environment clean."""
        if self._collecting is not None:
            self._collecting.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._wake)
        os.close(self._wake)
        self.environment.close()
