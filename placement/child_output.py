"""What query processors write to stdout and stderr: marked, and no more of it than a log can bear.

Each has a pipe of its own to the seed, which passes whole lines on with the process id in front, so that
no line can look like the seed's own or another process's. Who writes too much waits, alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

BYTES_PER_SECOND_MAX = 16 * 1024  # of one child; its pipe holds some more
ALL_BYTES_PER_SECOND_MAX = 1024 * 1024
_READ_BYTES = 4096
_LINE_BYTES_MAX = 16 * 1024


class ChildOutput:
    """One child's lines. Owns the pipe's reading end, which does not block."""

    def __init__(self, process_id: int, descriptor: int) -> None:
        self.descriptor = descriptor
        self.taken = 0  # bytes in this second, of the pace's
        self._prefix = b"[%d] " % process_id
        self._line = b""

    def take(self) -> bytes | None:
        """Return the next whole lines, marked; None when the child has closed its end."""
        try:
            data = os.read(self.descriptor, _READ_BYTES)
        except BlockingIOError:
            return b""
        self.taken += len(data)
        *lines, self._line = (self._line + data).replace(b"\r", b" ").split(b"\n")
        if self._line and (not data or len(self._line) > _LINE_BYTES_MAX):
            lines.append(self._line)
            self._line = b""
        if not data and not lines:
            return None
        return b"".join(self._prefix + line + b"\n" for line in lines)


class Pace:
    """How much is read of a child, and written for all, in one second of a clock that counts seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._written = 0

    def is_next_second(self, outputs: Iterable[ChildOutput]) -> bool:
        """Return whether a second has begun in which all may write again."""
        second = int(self._clock())
        if second == self._second:
            return False
        self._second, self._written = second, 0
        for output in outputs:
            output.taken = 0
        return True

    def allows(self, output: ChildOutput) -> bool:
        """Return whether a child may write more in this second."""
        return output.taken < BYTES_PER_SECOND_MAX and self._written < ALL_BYTES_PER_SECOND_MAX

    def count(self, lines: bytes) -> None:
        """Add what was written for some child."""
        self._written += len(lines)
