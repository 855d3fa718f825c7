"""Threads for blocking disk work, with the result handed back to the event loop.

Those who have such work take a `DiskWork`, so that a simulation can do it in its own time.

A pool of `concurrent.futures` does the same for about twice the processor time per call, and a call
is made for every group commit of every replica.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")
Done = Callable[[Any, Exception | None], None]


class DiskWork(Protocol):
    """Where blocking work is done. Used from one event loop."""

    def submit(self, work: Callable[[], Result], done: Done) -> None:
        """Do `work` elsewhere, then call `done(result, error)` on the event loop."""
        ...

    def submit_patiently(self, work: Callable[[], Result], done: Done, seconds: float) -> None:
        """Submit, and stand still until it is done, but not for longer: then `done` was called on return.

        Nobody stands still while something that was not done in its time is still under way.
        """
        ...

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do `work` elsewhere and return its result, or raise its error."""
        ...

    def time(self) -> float:
        """Return seconds that pass while work is done, since whenever."""
        ...

    async def close(self) -> None:
        """Return when the work that was submitted is done."""
        ...


class _Job:
    """Work for a thread; `done` is called on the event loop."""

    def __init__(self, work: Callable[[], Any], done: Done) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self._work = work
        self._done = done

    def perform(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do it. Called by a thread."""
        try:
            self.result = self._work()
        except Exception as error:
            self.error = error
        self._tell(loop)

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(self._done, self.result, self.error)


class _AwaitedJob(_Job):
    """One that the event loop itself waits for; `done` is called there if it has stopped doing so."""

    def __init__(self, work: Callable[[], Any], done: Done) -> None:
        super().__init__(work, done)
        self._over = threading.Lock()
        self._over.acquire()
        self._first = threading.Lock()  # taken by the end of the work, or of the wait for it

    def wait(self, seconds: float) -> bool:
        """Return whether it is done after so long at most. Called by the event loop."""
        return self._over.acquire(timeout=seconds) or not self._first.acquire(blocking=False)

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._first.acquire(blocking=False):
            self._over.release()
        else:
            super()._tell(loop)


class DiskThreads:
    """Some threads that take work in order of its arrival, and one for what the event loop waits for.

    That has always the same thread, so that it is neither cold nor behind anything else.
    """

    def __init__(self, name: str, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._urgent: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._late = 0  # pieces of work that were waited for in vain, and are not done yet
        self._threads = [
            threading.Thread(target=_serve, args=(jobs, self._loop), name=thread, daemon=True)
            for thread, jobs in [
                *((f"{name}-{number}", self._work) for number in range(count)),
                (f"{name}-urgent", self._urgent),
            ]
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], Result], done: Done) -> None:
        """Run `work` in a thread, then `done(result, error)` on the event loop."""
        self._work.put(_Job(work, done))

    def submit_patiently(self, work: Callable[[], Result], done: Done, seconds: float) -> None:
        """See DiskWork. A thread that is waited for costs less than one that wakes the event loop."""
        if self._late:
            self.submit(work, done)
            return

        def done_late(result: Result, error: Exception | None) -> None:
            self._late -= 1
            done(result, error)

        job = _AwaitedJob(work, done_late)
        self._urgent.put(job)
        if job.wait(seconds):
            done(job.result, job.error)
        else:
            self._late += 1

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` in a thread and return its result."""
        future: asyncio.Future[Result] = self._loop.create_future()

        def done(result: Result, error: Exception | None) -> None:
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.submit(work, done)
        return await future

    def time(self) -> float:
        """See DiskWork."""
        return time.perf_counter()

    async def close(self) -> None:
        """Return when the work that was submitted is done and the threads have ended."""
        self._urgent.put(None)
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)


def _serve(jobs: queue.SimpleQueue[_Job | None], loop: asyncio.AbstractEventLoop) -> None:
    while (job := jobs.get()) is not None:
        job.perform(loop)
