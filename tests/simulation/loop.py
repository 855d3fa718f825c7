"""asyncio's own event loop on virtual time: its selector waits in the world instead of the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import select
from asyncio import events
from collections.abc import Callable
from typing import Any

from .network import network_of
from .transport import Listening, Transport
from .world import Process, Thread

_TURN_MICROSECONDS = 3  # what a turn of the loop takes at least
_CONNECT_PAUSE = 0.05
_AWAITS_MAX = 100  # of a coroutine that is told to end
_real_poll = (
    select.poll
)  # before the world has put its own in its place; no descriptor is too large for it


class SimulatedTask(asyncio.Task):
    """A task whose place in a set does not depend on its address."""

    def __init__(self, coroutine: Any, *, loop: SimulatedLoop, context: Any) -> None:
        self._number = loop.process.world.number()
        super().__init__(coroutine, loop=loop, context=context)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.BaseEventLoop):
    """The event loop of a simulated process, run by the thread that makes it."""

    def __init__(self, process: Process, thread: Thread) -> None:
        super().__init__()
        self.process = process
        self.thread = thread
        self.signalled = False
        self._readers: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}
        self._alive: list[SimulatedTask] = []
        process.loops.append(self)
        self.set_task_factory(self._make_task)

    def _make_task(self, loop: Any, coroutine: Any, context: Any = None) -> SimulatedTask:
        task = SimulatedTask(coroutine, loop=loop, context=context)
        self._alive.append(task)
        if len(self._alive) > 64:
            self._alive = [one for one in self._alive if not one.done()]
        return task

    def time(self) -> float:
        """Return the machine's monotonic time."""
        return self.process.machine.monotonic()

    def run(self, main: Any) -> Any:
        """Run a coroutine to its end."""
        self.thread.loop = self
        events._set_running_loop(self)
        self._main = task = self.create_task(main)
        task.add_done_callback(lambda _: self.stop())
        try:
            while not self._stopping:
                self._turn()
        finally:
            self.thread.loop = None
            events._set_running_loop(None)
        return task.result()

    def _turn(self) -> None:
        """Wait until there is something to do, and do it, as BaseEventLoop's `_run_once` does."""
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False
        if ready:
            self.thread.sleep(_TURN_MICROSECONDS)
        elif not self.signalled:
            left = scheduled[0]._when - self.time() if scheduled else None
            self.thread.wait(None if left is None else max(0.0, left))
        self.signalled = False
        end = self.time() + self._clock_resolution
        while scheduled and scheduled[0]._when < end:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def interrupt(self) -> None:
        """Cancel what `run` runs, as a signal handler does."""
        self.call_soon_threadsafe(self._main.cancel)

    def _write_to_self(self) -> None:
        self.signalled = True
        self.thread.wake()

    # Descriptors of real FIFOs: whoever writes to one says so (kernel.py).

    def add_reader(self, descriptor: int, callback: Callable[..., None], *arguments: Any) -> None:
        self._readers[descriptor] = (callback, arguments)
        self._look(descriptor)

    def remove_reader(self, descriptor: int) -> bool:
        return self._readers.pop(descriptor, None) is not None

    def written(self, inode: int) -> None:
        """Something was written to the file behind a descriptor that is perhaps watched here."""
        for descriptor in list(self._readers):
            if os.fstat(descriptor).st_ino == inode:
                self._look(descriptor)

    def _look(self, descriptor: int) -> None:
        def call() -> None:
            if descriptor in self._readers and _is_readable(descriptor):
                callback, arguments = self._readers[descriptor]
                callback(*arguments)

        if _is_readable(descriptor):
            self.call_soon_threadsafe(call)

    # Sockets

    async def create_unix_server(
        self, factory: Any, path: Any = None, *, sock: Any = None, **_: Any
    ) -> Any:
        address = sock.address if sock is not None else str(path)
        return Listening(network_of(self.process.world), self, address, factory)

    async def create_unix_connection(self, factory: Any, path: Any = None, **_: Any) -> Any:
        network = network_of(self.process.world)
        address = str(path)
        chance = self.process.world.chance
        await asyncio.sleep(chance.randint(10, 200) / 1e6)
        while network.is_cut_off(self.process, address):
            await asyncio.sleep(_CONNECT_PAUSE)
        end = network.connect(self.process, address)
        protocol = factory()
        transport = Transport(self, end, protocol)
        protocol.connection_made(transport)
        transport.start()
        return transport, protocol

    def dispose(self) -> None:
        """Close what a dead process's tasks were in the midst of."""
        events._set_running_loop(self)
        for task in self._alive:
            task._log_destroy_pending = False
            coroutine = task.get_coro()
            for _ in range(_AWAITS_MAX):
                with contextlib.suppress(BaseException):
                    coroutine.close()
                if getattr(coroutine, "cr_frame", None) is None:
                    break
        events._set_running_loop(None)
        self._alive.clear()
        self._ready.clear()
        self._scheduled.clear()
        self._closed = True

    def __del__(self) -> None: ...

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        world = self.process.world
        world.remark(f"{self.process.name}: {context.get('message')}: {error!r}")
        if isinstance(error, AssertionError):
            world.violations.append(error)


def _is_readable(descriptor: int) -> bool:
    poll = _real_poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
