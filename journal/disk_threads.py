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

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do `work` elsewhere and return its result, or raise its error."""
        ...

    def time(self) -> float:
        """Return seconds that pass while work is done, since whenever."""
        ...

    async def close(self) -> None:
        """Return when the work that was submitted is done."""
        ...


class DiskThreads:
    """Some threads that take work in order of its arrival."""

    def __init__(self, name: str, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Done] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], Result], done: Done) -> None:
        """Run `work` in a thread, then `done(result, error)` on the event loop."""
        self._work.put((work, done))

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
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, done = item
            result, failure = None, None
            try:
                result = work()
            except Exception as error:
                failure = error
            self._loop.call_soon_threadsafe(done, result, failure)
