"""How code that waits does so: giving way to whatever else its thread has to do, or blocking it.

Whoever may have to wait is handed a `Waiter`. A process with many activities hands out its `Hub`; where
there is nothing else to do, `Blocking` does.

A wait may end for no reason that its caller can see: it is always one step of a loop that asks again.
Deadlines are absolute, in seconds of the waiter's `monotonic`; `NEVER` is none.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from typing import Protocol

NEVER = float("inf")
BRIEF_SECONDS = 0.05  # how long an activity that is alone may block in a system call
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Activity(Protocol):
    """What waits and can be woken."""


class Waiter(Protocol):
    """See the module."""

    @property
    def alone(self) -> bool:
        """Whether nothing else would run meanwhile: then a short blocking call is as good as a wait."""
        ...

    @property
    def monotonic(self) -> Callable[[], float]:
        """The clock of deadlines."""
        ...

    @property
    def current(self) -> Activity | None:
        """The activity that runs."""
        ...

    def wait(self, deadline: float) -> None:
        """Return at the deadline, or when the activity is woken."""
        ...

    def wake(self, activity: Activity | None) -> None:
        """Have an activity go on that waits; one that does not finds nothing changed."""
        ...

    def watch(self, descriptor: int, notify: Callable[[], None] | None = None) -> Source:
        """Return the state of a socket or the like, kept up to date; `notify` is called at each change.

        Without `notify`, whoever waits for the source is woken.
        """
        ...

    def await_input(self, source: Source, deadline: float) -> bool:
        """Wait until there may be something to read; False at the deadline or if woken before."""
        ...

    def await_room(self, source: Source, deadline: float) -> bool:
        """Wait until there may be room to write; False at the deadline or if woken before."""
        ...

    def forget(self, source: Source) -> None:
        """Watch it no more. To be called before the descriptor is closed or given away."""
        ...


class Source:
    """A watched descriptor.

    `readable` is True until its reader has found nothing more to read and says so by setting it to False.
    `gone`: the other end has closed, or the connection is broken.
    """

    __slots__ = ("activity", "descriptor", "gone", "notify", "readable", "writable")

    def __init__(self, descriptor: int, notify: Callable[[], None] | None = None) -> None:
        self.descriptor = descriptor
        self.notify = notify
        self.readable = True
        self.writable = True
        self.gone = False
        self.activity: Activity | None = None  # who waits for it


class Blocking:
    """The waiter of a thread that has nothing else to do. It watches only who waits."""

    alone = True

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.monotonic = monotonic
        self._sleep = sleep

    @property
    def current(self) -> Activity | None:
        """See Waiter."""
        return threading.get_ident()

    def wait(self, deadline: float) -> None:
        """See Waiter."""
        assert deadline != NEVER, "nobody could wake it"
        self._sleep(max(0.0, deadline - self.monotonic()))

    def wake(self, activity: Activity | None) -> None:
        """See Waiter."""

    def watch(self, descriptor: int, notify: Callable[[], None] | None = None) -> Source:
        """See Waiter."""
        return Source(descriptor, notify)

    def await_input(self, source: Source, deadline: float) -> bool:
        """See Waiter."""
        source.readable = self._poll(source, select.POLLIN | select.POLLRDHUP, deadline)
        return source.readable

    def await_room(self, source: Source, deadline: float) -> bool:
        """See Waiter."""
        source.writable = self._poll(source, select.POLLOUT, deadline)
        return source.writable

    def forget(self, source: Source) -> None:
        """See Waiter."""

    def _poll(self, source: Source, events: int, deadline: float) -> bool:
        poll = select.poll()
        poll.register(source.descriptor, events)
        left = None if deadline == NEVER else max(0.0, deadline - self.monotonic()) * 1000
        happened = poll.poll(left)
        source.gone = any(event & _GONE for _, event in happened)
        return bool(happened)
