"""Noticing that a process's loop stands still: it beats, and who watches counts the time without a beat.

Only time in which the process could have run counts. A loop that never gets the processor on a busy machine
does not stand still, nor does one that the kernel keeps waiting for a disk or that a debugger
holds; and after the whole machine has slept, the watcher included, nothing has been missed. What is left is
a loop that waits for something that does not come, or never comes back from a step, or was stopped by a
signal: nobody can wait for what a stopped process would do, whoever has stopped it.
"""

from __future__ import annotations

import faulthandler
import signal

from dsql.rpc.process import Condition

LOOK_SECONDS = 1.0
HANG_SECONDS = 10.0  # the default
DUMP_SIGNAL = signal.SIGUSR2
START_FACTOR = 30  # a process that starts may recover for long without a turn of its loop

_EXCUSED_STATES = "tDX"  # traced, waiting for a disk, gone: see proc(5)


def dump_on_signal() -> None:
    """Have all stacks of this process go to stderr on DUMP_SIGNAL."""
    # Written by the signal handler itself: it needs no turn of the loop and not even the interpreter.
    faulthandler.register(DUMP_SIGNAL, all_threads=True)


class Watchdog:
    """Watches one process: told of its beats, and asked every LOOK_SECONDS. Free of I/O.

    What the kernel says of the process is needed only where `has_beaten` says no.
    """

    def __init__(self, hang_seconds: float) -> None:
        self._hang_seconds = hang_seconds
        self._beats = 0
        self._counted = 0
        self._stood_seconds = 0.0
        self._waited_seconds = 0.0

    def beat(self, count: int) -> None:
        """The process has beaten. Until the first time it has START_FACTOR times as long."""
        self._beats += count

    def has_beaten(self) -> bool:
        """Return whether it has beaten since the last look."""
        has_beaten = self._beats != self._counted
        if has_beaten:
            self._counted, self._stood_seconds = self._beats, 0.0
        return has_beaten

    def is_hung(self, condition: Condition) -> bool:
        """Return whether it has stood still for too long, now that it has not beaten."""
        waited = condition.waited_seconds - self._waited_seconds
        self._waited_seconds = condition.waited_seconds
        if condition.state not in _EXCUSED_STATES:
            # However long ago the last look was: if that was longer, we have stood still ourselves.
            self._stood_seconds += max(0.0, LOOK_SECONDS - waited)
        limit = self._hang_seconds if self._beats else self._hang_seconds * START_FACTOR
        return self._stood_seconds >= limit > 0
