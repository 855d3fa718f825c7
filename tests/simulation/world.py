"""Virtual time, seeded chance, and processes whose threads take turns.

Everything that happens is an event of one heap, in the order of virtual time. A thread of a simulated
process is a greenlet: it runs until it waits, in no virtual time, and then the next event has its turn.
So code that blocks (sleeps, reads a socket, waits for a lock or the disk) runs as it is, and one seed
gives one order of events.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import heapq
import math
import random
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import greenlet

MICROSECOND = 1
MILLISECOND = 1_000
SECOND = 1_000_000

_EPOCH = 1_800_000_000 * SECOND  # the wall clock's time when a world begins
_EVENTS_MAX = 600_000  # a world that needs more turns in a circle


class ViolationError(Exception):
    """A promise of the product was broken."""


class StuckError(Exception):
    """So many events have happened that something turns in a circle."""


class World:
    """One simulated world. `now` is in microseconds; `running` the thread that has its turn.

    `violations` collects what was noticed in the midst of the product, where an exception would only
    be handled; `run` raises the first one.
    """

    def __init__(self, seed: int, *, tracing: bool = False) -> None:
        self.chance = random.Random(seed)
        self.now = 0
        self.running: Thread | None = None
        self.over = False
        self.events = 0
        self.violations: list[BaseException] = []
        self.lines: list[str] | None = [] if tracing else None
        self.processes: list[Process] = []
        self.hub = greenlet.getcurrent()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._counter = 0
        self._until = 0  # the end of `run`
        self._trace = hashlib.sha256()

    @property
    def trace(self) -> str:
        """A hash of everything noted so far."""
        return self._trace.hexdigest()

    def note(self, what: str) -> None:
        """Add a line to the trace."""
        self._trace.update(f"{self.now} {what}\n".encode())
        if self.lines is not None:
            self.remark(what)

    def remark(self, what: str) -> None:
        """Add a line for people, which the hash does not see."""
        if self.lines is not None:
            self.lines.append(f"{self.now / SECOND:12.6f}  {what}")

    def later(self, delay: int, action: Callable[[], None]) -> None:
        """Do something in `delay` microseconds."""
        self._counter += 1
        heapq.heappush(self._heap, (self.now + max(0, delay), self._counter, action))

    def number(self) -> int:
        """Return a number that nothing else in this world has."""
        self._counter += 1
        return self._counter

    def pass_alone(self, duration: int) -> bool:
        """Let time pass if nothing else happens in it: who has the turn keeps it. Return whether it did."""
        then = self.now + duration
        heap = self._heap
        if then > self._until or self.violations or (heap and heap[0][0] <= then):
            return False
        self.now = then
        self.events += 1
        return self.events <= _EVENTS_MAX

    def run(self, duration: int) -> None:
        """Let time pass. Raises the first violation that was noticed."""
        self._until = until = self.now + duration
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, action = heapq.heappop(heap)
            self.events += 1
            action()
            if self.violations:
                raise self.violations[0]
            if self.events > _EVENTS_MAX:
                raise StuckError(f"{self.events} events by {self.now / SECOND:.3f} s")
        self.now = until

    def run_until(self, done: Callable[[], bool], bound: int, what: str) -> None:
        """Let time pass until `done`. Raises ViolationError after `bound` microseconds."""
        until = self.now + bound
        while not done():
            if self.now >= until:
                raise ViolationError(f"not within {bound / SECOND:g} s: {what}")
            self.run(20 * MILLISECOND)

    def stacks(self) -> list[str]:
        """Return where each thread of each living process waits."""
        lines: list[str] = []
        for process in self.processes:
            for thread in process.threads if process.alive else ():
                lines.append(f"{process.name}, thread {thread.name}:")
                lines += [line.rstrip() for line in thread.stack()]
        return lines

    def end(self) -> None:
        """End every process, so that nothing of this world stays behind in the real one."""
        self.over = True
        self._heap.clear()
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.dispose()
        self.processes.clear()


@dataclass
class Machine:
    """What processes share that run on one machine: clocks and boot.

    `offset` is how far its wall clock is off, in microseconds; `rate` how fast its clocks run.
    """

    world: World
    name: str
    offset: int = 0
    rate: float = 1.0
    boot: int = 1
    cache: dict[str, Any] = field(default_factory=dict)

    def monotonic(self) -> float:
        """Return the seconds of its monotonic clock."""
        return 1_000.0 + self.world.now * self.rate / SECOND

    def wall(self) -> int:
        """Return the microseconds of its wall clock."""
        return _EPOCH + int(self.world.now * self.rate) + self.offset

    def microseconds(self, seconds: float) -> int:
        """Return how much world time passes while its clocks count `seconds`, rounded up: time moves on."""
        return max(1, math.ceil(seconds * SECOND / self.rate))


class Process:
    """A simulated process. `on_death` is told, last first, when it dies; what it holds goes with it."""

    def __init__(self, world: World, name: str, machine: Machine) -> None:
        self.world = world
        self.name = name
        self.number = len(world.processes) + 1
        self.machine = machine
        self.alive = True
        self.paused_until = 0
        self.deferred: list[Callable[[], None]] = []  # what waits for the end of a pause
        self.threads: list[Thread] = []
        self.loops: list[Any] = []
        self.on_death: list[Callable[[], None]] = []
        self.local: dict[str, Any] = {}
        world.processes.append(self)

    def spawn(self, work: Callable[[], None], name: str = "main") -> Thread:
        """Start a thread."""
        thread = Thread(self, work, name)
        self.threads.append(thread)
        thread.wake()
        return thread

    def pause(self, duration: int) -> None:
        """Let no thread run for `duration` microseconds, as SIGSTOP and SIGCONT do."""
        self.paused_until = max(self.paused_until, self.world.now + duration)
        self.world.later(duration, self._go_on)

    def resume(self) -> None:
        """End a pause now."""
        self.paused_until = 0
        self._go_on()

    def _go_on(self) -> None:
        if self.world.now >= self.paused_until:
            deferred, self.deferred = self.deferred, []
            for action in deferred:
                self.world.later(0, action)

    @property
    def state(self) -> str:
        """How its main thread is, in a letter of proc(5)."""
        if not self.alive:
            return "X"
        if self.world.now < self.paused_until:
            return "T"
        return "D" if self.threads and self.threads[0].is_stuck else "S"

    def kill(self) -> None:
        """End at once, as SIGKILL does: nothing of the process runs any more."""
        if not self.alive:
            return
        self.alive = False
        while self.on_death:
            self.on_death.pop()()

    def dispose(self) -> None:
        """Let go of what the dead process's code still holds. The world is over, so it can do no harm."""
        if self.threads:
            self.world.running = self.threads[0]
            for loop in self.loops:
                loop.dispose()
            for thread in self.threads:
                thread.dispose()
            self.world.running = None
        self.threads.clear()
        self.loops.clear()
        self.local.clear()


class Thread:
    """One thread of a process: a greenlet that gives its turn away by waiting.

    `loop` is the event loop that runs in it, if one does.
    """

    def __init__(self, process: Process, work: Callable[[], None], name: str) -> None:
        self.process = process
        self.name = name
        self.loop: asyncio.AbstractEventLoop | None = None
        self.ended = False
        self._work = work
        self._world = process.world
        self._greenlet = greenlet.greenlet(self._run, self._world.hub)
        self._waiting = 1  # the number of the wait that is going on; 0: none
        self._waits = 1
        self._woken = False
        self._joining: list[Thread] = []

    def wait(self, seconds: float | None) -> bool:
        """Give the turn away until `wake`, or until `seconds` of the machine's time have passed.

        Return True if woken.
        """
        machine = self.process.machine
        duration = None if seconds is None else machine.microseconds(seconds)
        return self._wait(duration, wakeable=True)

    def sleep(self, duration: int) -> None:
        """Give the turn away for a number of microseconds of the world's time; nothing wakes it."""
        self._wait(duration, wakeable=False)

    def _wait(self, duration: int | None, *, wakeable: bool) -> bool:
        if self._world.over:
            raise greenlet.GreenletExit
        if duration is not None and self.process.alive and self._world.pass_alone(duration):
            return False
        self._waits += 1
        number = self._waiting = self._waits
        self._woken = not wakeable
        if duration is not None:
            self._world.later(duration, partial(self._resume, number, woken=False))
        self._world.hub.switch()
        return self._woken

    def wake(self) -> None:
        """End the wait that is going on, if any, in the next event. Whoever waits looks again himself."""
        number = self._waiting
        if number and not self._woken:
            self._woken = True
            self._world.later(0, partial(self._resume, number, woken=True))

    def join(self, seconds: float | None = None) -> None:
        """Wait, in another thread of the process, until this one has ended."""
        me = self._world.running
        assert me is not None
        while not self.ended:
            self._joining.append(me)
            if not me.wait(seconds) and seconds is not None:
                return

    def stack(self) -> list[str]:
        """Return where the thread waits, as a traceback's lines."""
        frame = self._greenlet.gr_frame
        return [] if frame is None else traceback.format_stack(frame)[-8:]

    @property
    def is_stuck(self) -> bool:
        """True while it waits for something that nothing can hurry, as a disk."""
        return bool(self._waiting) and self._woken

    def _resume(self, number: int, *, woken: bool) -> None:
        process = self.process
        if number != self._waiting or not process.alive:
            return
        if self._world.now < process.paused_until:
            process.deferred.append(partial(self._resume, number, woken=woken))
            return
        self._waiting = 0
        self._woken = woken
        self._world.running = self
        if self.loop is not None:
            asyncio._set_running_loop(self.loop)
        try:
            self._greenlet.switch()
        finally:
            if self.loop is not None:
                asyncio._set_running_loop(None)
            self._world.running = None

    def _run(self) -> None:
        try:
            self._work()
        except greenlet.GreenletExit:
            raise
        except Exception as error:
            if not self._world.over:
                error.add_note(f"in thread {self.name} of {self.process.name}")
                self._world.violations.append(error)
        self.ended = True
        self._waiting = 0
        for thread in self._joining:
            thread.wake()

    def dispose(self) -> None:
        """End the greenlet of a dead process; what the dying code raises concerns nobody."""
        if not self._greenlet.dead:
            asyncio._set_running_loop(self.loop)
            with contextlib.suppress(BaseException):
                self._greenlet.throw(greenlet.GreenletExit)
        asyncio._set_running_loop(None)
        self._work = lambda: None
        self.loop = None
        self._joining.clear()


_world: World | None = None


def running() -> Thread | None:
    """Return the simulated thread that has its turn, None outside of any."""
    return None if _world is None else _world.running


def world_of_now() -> World | None:
    """Return the world that is inhabited, None outside of any."""
    return _world


@contextlib.contextmanager
def inhabited(world: World) -> Iterator[None]:
    """Let `running` answer for a world until the end of the block. One world at a time."""
    global _world
    assert _world is None, "one world at a time"
    _world = world
    try:
        yield
    finally:
        _world = None
