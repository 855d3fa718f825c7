"""Stopping a running statement: CancelRequest and statement_timeout.

A signal handler calls `request`. While a compiled program runs, the error is raised on the spot, in the
middle of whatever loop that is: programs need no checks, and what they had half done goes with their
transaction. Anything else, a commit above all, is never interrupted: there the request is only noted, and
`check` raises at a place of its own choosing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from threading import get_ident
from types import FrameType

from dsql.errors import SqlError

_BY_USER = "canceling statement due to user request"
_BY_TIMEOUT = "canceling statement due to statement timeout"


class Cancellation:
    """One per query processor."""

    __slots__ = ("_expired", "_interruptible", "_timed", "requested")

    def __init__(self) -> None:
        self.requested = False
        self._interruptible = 0  # the thread that may be interrupted, 0 for none
        self._timed = False
        self._expired = False  # while something was held

    def request(self) -> None:
        """Cancel what is running, if anything is."""
        self._interrupt(_BY_USER)

    def _interrupt(self, message: str) -> None:
        if self._interruptible and self._interruptible == get_ident():
            self._interruptible = 0
            self.requested = False
            raise SqlError("57014", message)
        self.requested = True

    def check(self) -> None:
        """Raise SqlError 57014 if the statement was cancelled."""
        if self.requested:
            self.requested = False
            raise SqlError("57014", _BY_USER)

    def enter(self, timeout_seconds: float) -> None:
        """Say that a program runs now, which may be interrupted, and must be after this time (0: never)."""
        if self.requested:
            self.check()
        if timeout_seconds and threading.current_thread() is threading.main_thread():
            self._timed = True
            self._expired = False
            signal.signal(signal.SIGALRM, self._on_alarm)
            signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
        self._interruptible = get_ident()

    def leave(self) -> None:
        """Say that the program has ended."""
        self._interruptible = 0
        if self._timed:
            self._timed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def hold(self, act: Callable[[], None]) -> None:
        """Do something in the middle of a program that must not be cut short, such as sending."""
        thread, self._interruptible = self._interruptible, 0
        try:
            act()
        finally:
            self._interruptible = thread
        if thread and (self.requested or (self._timed and self._expired)):
            self._interrupt(_BY_USER if self.requested else _BY_TIMEOUT)

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._interruptible:
            self._interrupt(_BY_TIMEOUT)
        self._expired = True
