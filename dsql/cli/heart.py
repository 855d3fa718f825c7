"""A role's beats to its supervisor, which watches whether its loop turns: see `dsql.rpc.watchdog`."""

from __future__ import annotations

import asyncio
import contextlib
import os

from dsql.rpc.tick import until_tick
from dsql.rpc.watchdog import dump_on_signal

BEAT_SECONDS = 1.0
BEAT = b"."


class Heart:
    """A role's end of the pipe to its supervisor. On DUMP_SIGNAL all of its stacks go to stderr."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        dump_on_signal()

    def beat(self) -> None:
        """Say that the loop turns. Never waits."""
        with contextlib.suppress(OSError):
            os.write(self.descriptor, BEAT)

    def beat_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Beat now and with the loop from now on."""
        self.beat()
        loop.call_later(until_tick(loop.time(), BEAT_SECONDS), self.beat_on, loop)
