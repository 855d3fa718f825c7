"""One thread, many tasks: each runs until it waits, and the hub runs those whose wait is over.

    spawn --> ready --turn--> running --wait--> waiting --event, wake, deadline--> ready
                                 |--`give_way`, in a signal handler--> ready
                                 |--end

A task is a greenlet: plain code that blocks. One round of the hub gives every ready task one turn, in the
order in which they became ready, does what has been put off to the end of a round, and then asks the
kernel once (epoll) what has happened meanwhile to all that is watched.

A process with a single task does without: as long as `alone` is True, a task may block in a system call
for `BRIEF_SECONDS`, which saves the question to the kernel. A task that joins it from a signal handler has
`hurry` end such a call.

Descriptors are watched edge-triggered, from their first wait on. A task's timer stays in the heap as long
as it would not come too late.

A signal handler may call `spawn`, `wake` and `give_way` anywhere. What comes for a task that does not wait,
because it runs or has given way, ends its next wait before it begins: it may have looked for that already.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import TypeVar

from greenlet import getcurrent

from dsql.hub.task import Task, Timer
from dsql.hub.waiter import NEVER, Activity, Source

_EVENTS_AT_ONCE = 256
_IN = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_READ = select.EPOLLIN | _GONE
_POLL_STEP_SECONDS = 0.001  # epoll counts in these
_VOID_TIMERS_MAX = 64

_Seen = TypeVar("_Seen")


class Hub:
    """Implements `dsql.hub.waiter.Waiter`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self.alone = False
        self.current: Task | None = None
        self.at_round_end: Callable[[], None] | None = None
        self._greenlet = getcurrent()
        self._tasks: set[Task] = set()
        self._replaced: list[Task] = []
        self._ready: deque[Task] = deque()
        self._timers: list[Timer] = []  # a heap; those that no task has any more are void
        self._numbers = itertools.count()
        self._epoll = select.epoll()
        self._asleep = False
        self._alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._alarm, select.EPOLLIN | select.EPOLLET)
        self._sources: dict[int, Source] = {}

    # ------------------------------------------------------------ from outside

    def run(self, until: Callable[[], bool]) -> None:
        """Run tasks until `until` says so after a round. Needs the thread that made the hub."""
        assert getcurrent() is self._greenlet, "a hub runs where it was made"
        while True:
            self._take_turns()
            if until():
                return
            self._sleep()
            self._fire_timers()

    def spawn(self, run: Callable[[], None]) -> Task:
        """Start a task; it has its first turn in the next round. What it raises is logged."""
        task = Task(run, self._end)
        task.parent = self._greenlet
        self._tasks.add(task)
        self._make_ready(task)
        self.alone = len(self._tasks) == 1
        if self.current is not None:
            self.current.hurry()
        return task

    def on_hurry(self, hurry: Callable[[], None]) -> None:
        """Say how to end a system call that the running task blocks in when it is alone."""
        assert self.current is not None, "only tasks block"
        self.current.hurry = hurry

    def close(self) -> None:
        """Watch nothing any more."""
        self._epoll.close()
        os.close(self._alarm)

    @property
    def tasks(self) -> int:
        """How many have not ended."""
        return len(self._tasks)

    @property
    def ready(self) -> int:
        """How many wait for their turn, as far as it was looked."""
        return len(self._ready)

    def give_way(self) -> None:
        """Let others have their turn, if there are any: for a signal handler of a task that runs on."""
        task = self.current
        if task is None or getcurrent() is not task or task.waits:
            return
        self._look(0)
        self._fire_timers()
        if self._ready:
            self._make_ready(task)
            self._greenlet.switch()

    def replace(self, activity: Activity, act: Callable[[], _Seen | None]) -> _Seen | None:
        """Act in the place of a task that waits for something; None if it does not, or `act` says so.

        Else the task never has a turn again. For a signal handler of a task that holds up all others.
        """
        assert isinstance(activity, Task), "others have no turns"
        if not activity.waits or activity.is_ready or activity is getcurrent():
            return None
        done = (activity.gr_context or Context()).run(act)
        if done is not None:
            self._tasks.discard(activity)
            self._replaced.append(activity)  # else it would be unwound
            self.alone = len(self._tasks) <= 1
        return done

    # ------------------------------------------------------------ from tasks

    def wait(self, deadline: float) -> None:
        """See Waiter."""
        task = self.current
        assert task is not None, "only tasks wait"
        task.waits = True
        if not task.is_woken:
            task.deadline = deadline
            if deadline < NEVER and (task.timer is None or deadline < task.timer[0]):
                self._set_timer(task)
            self._greenlet.switch()
        task.waits = task.is_woken = False

    def wake(self, activity: Activity | None) -> None:
        """See Waiter."""
        if isinstance(activity, Task):
            if activity.waits:
                self._make_ready(activity)
            else:
                activity.is_woken = True

    def watch(self, descriptor: int, notify: Callable[[], None] | None = None) -> Source:
        """See Waiter."""
        assert descriptor not in self._sources, "whoever closes a descriptor forgets it before"
        source = Source(descriptor, notify)
        self._sources[descriptor] = source
        self._epoll.register(descriptor, _IN)
        return source

    def forget(self, source: Source) -> None:
        """See Waiter."""
        if self._sources.pop(source.descriptor, None) is source:
            self._epoll.unregister(source.descriptor)

    def await_input(self, source: Source, deadline: float) -> bool:
        """See Waiter."""
        if not (source.readable or source.gone):
            source.activity = self.current
            self.wait(deadline)
            source.activity = None
        return source.readable or source.gone

    def await_room(self, source: Source, deadline: float) -> bool:
        """See Waiter."""
        source.writable = False
        source.activity = self.current
        self._epoll.modify(source.descriptor, _IN | select.EPOLLOUT)
        self.wait(deadline)
        source.activity = None
        if self._sources.get(source.descriptor) is source:
            self._epoll.modify(source.descriptor, _IN)
        return source.writable or source.gone

    # ------------------------------------------------------------ rounds

    def _take_turns(self) -> None:
        ready = self._ready
        for _ in range(len(ready)):
            self._resume(ready.popleft())
        if self.at_round_end is not None:
            self.at_round_end()

    def _resume(self, task: Task) -> None:
        task.is_ready = False
        task.deadline = NEVER
        self.current = task
        task.switch()
        self.current = None

    def _end(self, task: Task) -> None:
        task.waits = True  # for nothing: it gives way no more
        task.timer = None
        self._tasks.discard(task)
        self.alone = len(self._tasks) <= 1

    def _make_ready(self, task: Task) -> None:
        if not task.is_ready and task in self._tasks:
            task.is_ready = True
            self._ready.append(task)
            if self._asleep:  # a signal handler runs, behind which the kernel would be asked on
                os.eventfd_write(self._alarm, 1)

    def _sleep(self) -> None:
        """Let time pass until something happens, or not at all if a task is ready."""
        self._asleep = True
        patience = None if not self._timers else max(0.0, self._timers[0][0] - self.monotonic())
        self._look(0 if self._ready else patience)

    def _look(self, seconds: float | None) -> None:
        """See what has happened to what is watched, after so many seconds at most; None: all the time."""
        if seconds is not None and 0 < seconds < _POLL_STEP_SECONDS:
            select.select((self._epoll,), (), (), seconds)  # which counts finer
            seconds = 0
        happened = self._epoll.poll(seconds, _EVENTS_AT_ONCE)
        self._asleep = False
        sources = self._sources
        told = []
        for descriptor, events in happened:
            source = sources.get(descriptor)
            if source is None:
                continue
            if events & _READ:
                source.readable = True
                if events & _GONE:
                    source.gone = True
            if events & select.EPOLLOUT:
                source.writable = True
            if source.notify is not None:
                told.append(source)
            elif source.activity is not None:
                self.wake(source.activity)
        # Only now: who is told may close a descriptor, and have another source under its number.
        for source in told:
            notify = source.notify
            if notify is not None and sources.get(source.descriptor) is source:
                notify()

    def _set_timer(self, task: Task) -> None:
        if len(self._timers) > _VOID_TIMERS_MAX + 2 * len(self._tasks):
            self._timers = [timer for timer in self._timers if timer[2].timer is timer]
            heapq.heapify(self._timers)
        task.timer = timer = task.deadline, next(self._numbers), task
        heapq.heappush(self._timers, timer)

    def _fire_timers(self) -> None:
        if not self._timers:
            return
        now = self.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)
            task = timer[2]
            if timer is task.timer:
                task.timer = None
                if task.deadline <= now:
                    self._make_ready(task)
                elif task.deadline < NEVER:
                    self._set_timer(task)
