"""The signals of a query processor: each is passed on to the `Interrupts` of what runs at that moment.

SIGINT and SIGUSR1 cancel the running statement; SIGTERM ends the session, with a word to its client, and
then the process. The kernel's timer ticks with the processor time that this process uses: an idle one is
never woken, and no statement pays for it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from dsql.session.interrupts import Interrupts

_TICK_SECONDS = 0.01


def listen(running: Callable[[], Interrupts], end: Callable[[], None]) -> None:
    """Pass signals on from now on. Needs the main thread, where the sessions run as well.

    `end` has the process end once nothing runs any more.
    """

    def cancel(_number: int, frame: FrameType | None) -> None:
        running().cancel(frame)

    def tick(_number: int, frame: FrameType | None) -> None:
        running().tick(frame)

    def terminate(_number: int, frame: FrameType | None) -> None:
        end()
        running().terminate(frame)

    signal.signal(signal.SIGTERM, terminate)
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, cancel)
    signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, _TICK_SECONDS, _TICK_SECONDS)
