"""The signals of a query processor.

SIGTERM ends its sessions, with a word to their clients, and then the process. SIGIO says that the agent has
said something. DUMP_SIGNAL has a process that hangs write down where. The kernel's timer ticks with the
processor time that this process uses: an idle one is never woken, and no statement pays for it. What runs
for longer than a tick gives way to others.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from dsql.rpc.watchdog import dump_on_signal

_TICK_SECONDS = 0.002


class Listener(Protocol):
    """Who is told. `frame` is where the signal came."""

    def tick(self, frame: FrameType) -> None:
        """Some processor time has been used."""
        ...

    def terminate(self, frame: FrameType) -> None:
        """Everything is to end."""
        ...

    def hear(self, frame: FrameType) -> None:
        """The agent has said something."""
        ...


def listen(listener: Listener) -> None:
    """Pass signals on from now on. Needs the main thread, where everything runs."""

    def passed_on(act: Callable[[FrameType], None]) -> Callable[[int, FrameType | None], None]:
        def handle(_number: int, frame: FrameType | None) -> None:
            if frame is not None:
                act(frame)

        return handle

    dump_on_signal()
    signal.signal(signal.SIGTERM, passed_on(listener.terminate))
    signal.signal(signal.SIGIO, passed_on(listener.hear))
    signal.signal(signal.SIGPROF, passed_on(listener.tick))
    signal.setitimer(signal.ITIMER_PROF, _TICK_SECONDS, _TICK_SECONDS)
