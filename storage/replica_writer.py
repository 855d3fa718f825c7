"""The one writer of an open replica: applies what the journal feeds, and clears away what that supersedes.

When to apply. Each LMDB commit costs the same for one record as for fifty, so a replica nobody reads holds
records back for some milliseconds and applies them together. Where readers have lately had to wait, it
applies at once; in the leader's own process that is before the commits are published, so nobody waits
there any more. Superseded versions are cleared away apart from that, two for each that was written.

Where. Pages that nobody has touched for long may have left the memory, and the journal of the same
process shall not wait for them to come back. So records are applied in a thread, unless they are few and
that has lately been quick: then changing between threads costs more than the wait.

When the file is full it grows in a thread, too, and nobody in this process reads from it meanwhile
(`growing`).

A reader that comes while records are held back finds `delaying` on the board and wakes
the writer through the FIFO, so it never waits for the delay to pass. Who wakes without need has the writer
apply sooner and no more: it listens again after a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import lmdb

from dsql.disk.pace import Pace
from journal.messages import Record
from storage.applier import GRACE_SECONDS, Applier
from storage.board import DELAYING
from storage.environment import WritableEnvironment
from storage.reader_slot import CRASH, DAMAGE, open_wake

_READ_LATELY_SECONDS = 1.0
_DEAF_SECONDS = 0.001  # after a wake-up: so many of them cost a fraction of a processor at most
_COLLECT_SECONDS = 0.25
_COLLECT_DEBT = 64  # versions: what a transaction for garbage collection alone is worth
_COLLECT_STEP_MAX = 128  # or ten times as many keys of a keyspace: a millisecond
_ON_LOOP_BYTES = 8 * 1024  # at most some hundred small rows: a millisecond
_PAGES_PER_COMMIT = 8  # paths through the trees, free pages, names; and one for each version
_WAKE_BYTES = 64 * 1024  # all that a FIFO holds
_QUICK_SECONDS = 0.000_1  # for a version: some times what it takes with its page in memory


@dataclass(frozen=True, slots=True)
class FollowerSettings:
    """`delay_seconds`: how long a replica without readers holds records back, up to `pending_bytes_max`.

    A checkpoint is taken when `checkpoint_bytes` of the last one's pages have had to be saved, or anything
    at all was written within `checkpoint_seconds`; they are saved when about `pages_max` were written. All
    pages are looked at every `scrub_seconds`, with a share of `scrub_share` of a processor. The file is
    made smaller if it takes `spare_bytes` more than twice what is used of it.
    """

    delay_seconds: float = 0.02
    pending_bytes_max: int = 1024 * 1024
    pages_max: int = 4 * 1024
    checkpoint_bytes: int = 64 * 1024 * 1024
    checkpoint_seconds: float = 300.0
    grace_seconds: float = GRACE_SECONDS
    spare_bytes: int = 256 * 1024 * 1024
    scrub_seconds: float = 600.0
    scrub_share: float = 0.02


class ReplicaWriter:
    """The environment with its applier, and the decision when to apply.

    One thing is written at a time, on the loop or in a thread (`_behind`).
    """

    def __init__(
        self,
        environment: WritableEnvironment,
        settings: FollowerSettings,
        executor: Executor,
        applied: Callable[[int], None],
    ) -> None:
        self.environment = environment
        self.pages_written = 0  # about, since somebody set it to 0
        self.growing = False
        self._settings = settings
        self._executor = executor
        self._applied = applied
        self._words = environment.board.words
        self._pending: list[Record] = []
        self._taken: list[Record] = []  # what is being applied
        self._pending_bytes = self._taken_bytes = 0
        self._urgent_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._applier = Applier(environment, self._loop.time, grace_seconds=settings.grace_seconds)
        self._timer: asyncio.TimerHandle | None = None
        self._behind: Future[None] | None = None
        self._pace = Pace()  # of a version
        self._failure: Exception | None = None
        self._collect_debt = 0
        self._collecting: asyncio.Handle | None = None
        self._busy = asyncio.Event()  # there may be garbage, or a failure
        self.applied = asyncio.Event()
        self.crowded = asyncio.Event()  # that many pages were written that some should be saved
        self.suspected = asyncio.Event()  # a reader says that there is damage, or was crashed
        self._wake = open_wake(environment.directory.parent)
        self._deaf: asyncio.TimerHandle | None = None
        self._listen()

    async def collect(self) -> None:
        """Collect garbage while there is any; raise what applying outside of the feed's task raised.

        An idle replica has none, and then nothing runs here until something is applied.
        """
        more = False
        while True:
            if not more:
                await self._busy.wait()
                self._busy.clear()
            if self._failure is not None:
                raise self._failure
            more = self._behind is not None or self._collect_here(_COLLECT_STEP_MAX)
            if more:
                await asyncio.sleep(_COLLECT_SECONDS)

    def receive(self, records: list[Record]) -> None:
        """Take records from the feed, and apply them now or soon."""
        self._pending += records
        self._pending_bytes += sum(len(record.payload) for record in records)
        if self._is_urgent():
            self.hurry()
        elif self._timer is None:
            self._words[DELAYING] = 1
            self._timer = self._loop.call_later(self._settings.delay_seconds, self.hurry)

    def hurry(self) -> None:
        """Apply what is held back."""
        if self._behind is not None or not self._pending or self._failure is not None:
            return  # what has come while the thread writes follows by itself
        if self._pace.seconds < _QUICK_SECONDS and self._pending_bytes <= _ON_LOOP_BYTES:
            self._apply()
            return
        self._take_pending()

        def apply() -> None:
            self._write()
            while self._collect_debt >= _COLLECT_DEBT and self._collect(_COLLECT_STEP_MAX):
                pass

        self._run_behind(apply)

    def _run_behind(self, work: Callable[[], None]) -> None:
        self._behind = behind = self._executor.submit(work)
        behind.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._finish_behind, done)
        )

    def _write(self) -> None:
        """Apply what was taken. Raises lmdb.MapFullError."""
        began = time.perf_counter()
        versions = self._applier.apply(self._taken)
        self._taken = []
        self.pages_written += _PAGES_PER_COMMIT + versions
        self._collect_debt += 2 * versions
        if versions:
            seconds = (time.perf_counter() - began) / versions
            self._pace.observe(min(seconds, 10 * _QUICK_SECONDS))

    def _finish_behind(self, done: Future[None]) -> None:
        """Take note of what the thread has done."""
        self._behind = None
        self.growing = False
        if self._failure is not None:
            return
        error = done.exception()
        if isinstance(error, lmdb.MapFullError):
            self._grow()
        elif error is not None:
            assert isinstance(error, Exception)
            self.fail(error)
        else:
            self._tell_applied()
            self.hurry()

    def _grow(self) -> None:
        """Enlarge the file; what was taken is applied after it."""
        self._pending[:0], self._taken = self._taken, []
        self._pending_bytes += self._taken_bytes
        self.growing = True
        self._run_behind(self.environment.grow)

    def fail(self, error: Exception) -> None:
        """Apply nothing more; `collect` raises the error."""
        self._failure = error
        self._busy.set()

    def _is_urgent(self) -> bool:
        return (
            self._loop.time() < self._urgent_until
            or self._pending_bytes >= self._settings.pending_bytes_max
        )

    def _take_pending(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._words[DELAYING] = 0
        self._taken, self._pending = self._pending, []
        self._taken_bytes, self._pending_bytes = self._pending_bytes, 0

    def _apply(self) -> None:
        """Apply everything before returning, if there is room for it."""
        self._take_pending()
        try:
            self._write()
        except lmdb.MapFullError:
            self._grow()
            return
        except Exception as error:
            self.fail(error)
            return
        if self._collect_debt >= _COLLECT_DEBT and self._collecting is None:
            self._collecting = self._loop.call_soon(self._pay_collect_debt)
        self._tell_applied()

    def _tell_applied(self) -> None:
        self._look_at_pages()
        self._busy.set()
        self.applied.set()
        self._applied(self._applier.position.watermark)

    def _pay_collect_debt(self) -> None:
        """Collect about as much as was written, a little at a time."""
        self._collecting = None
        if self._behind is not None:
            return  # the thread does it
        more = self._collect_here(min(self._collect_debt, _COLLECT_STEP_MAX))
        if more and self._collect_debt >= _COLLECT_DEBT:
            self._collecting = self._loop.call_soon(self._pay_collect_debt)

    def _collect_here(self, versions_max: int) -> bool:
        """Collect on the loop; return whether there is more to collect."""
        try:
            more = self._collect(versions_max)
            self._look_at_pages()
            return more
        except lmdb.MapFullError:
            self._grow()
            return True
        except Exception as error:
            self.fail(error)
            return False

    def _look_at_pages(self) -> None:
        if self.pages_written >= self._settings.pages_max:
            self.crowded.set()

    def _collect(self, versions_max: int) -> bool:
        """Collect as a part of the debt; return whether there is more to collect."""
        self.pages_written += _PAGES_PER_COMMIT
        more = self._applier.collect(versions_max)
        self._collect_debt = max(0, self._collect_debt - versions_max) if more else 0
        return more

    def wake(self) -> None:
        """A reader waits: apply what is held back, and for some time hold nothing back."""
        self._urgent_until = self._loop.time() + _READ_LATELY_SECONDS
        self.hurry()

    def _listen(self) -> None:
        self._deaf = None
        self._loop.add_reader(self._wake, self._on_wake)

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            said = os.read(self._wake, _WAKE_BYTES)
            if DAMAGE in said or (CRASH in said and self.environment.slots.has_lost_reader()):
                self.suspected.set()
        self._loop.remove_reader(self._wake)
        self._deaf = self._loop.call_later(_DEAF_SECONDS, self._listen)
        self.wake()

    async def close(self) -> None:
        """Apply nothing more, and leave the environment clean."""
        self.fail(RuntimeError("closed"))
        for handle in (self._collecting, self._timer, self._deaf):
            if handle is not None:
                handle.cancel()
        self._loop.remove_reader(self._wake)
        os.close(self._wake)
        if self._behind is not None:
            await asyncio.wait([asyncio.wrap_future(self._behind)])
        await self._loop.run_in_executor(self._executor, self.environment.close)
