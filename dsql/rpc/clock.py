"""Time as it is passed in: the `Clock` protocol, and the published commit timestamp of one host.

The published clock is a 16-byte file that the adjudicator's leader maps and that every query
processor of the host maps read-only: the newest acknowledged commit timestamp and the leader's
epoch. A transaction starts at that timestamp. Both words are aligned and written as native 64-bit
stores, so a reader never sees half of one.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path
from typing import Protocol

CLOCK_BYTES = 16

if sys.byteorder != "little":  # the file's format is little-endian and is accessed natively
    raise ImportError("the published clock needs a little-endian machine")


class Clock(Protocol):
    """A source of wall-clock time in microseconds since 1970-01-01 UTC."""

    def now(self) -> int:
        """Return the current time."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Return the machine's wall-clock time in microseconds."""
        return time.time_ns() // 1000


class PublishedClock:
    """The clock file of one cluster, mapped. Opened writable it is created if it does not exist."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
        try:
            if writable and os.fstat(descriptor).st_size < CLOCK_BYTES:
                os.ftruncate(descriptor, CLOCK_BYTES)
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(descriptor, CLOCK_BYTES, access=access)
        finally:
            os.close(descriptor)
        self._words = memoryview(self._map).cast("Q")

    def latest(self) -> int:
        """Return the newest acknowledged commit timestamp, 0 before the first."""
        return self._words[0]

    @property
    def epoch(self) -> int:
        """The epoch of the leader that published last."""
        return self._words[1]

    def claim(self, epoch: int) -> None:
        """Take the file over for a leader's epoch, so that an older leader stops publishing."""
        if epoch > self._words[1]:
            self._words[1] = epoch

    def publish(self, timestamp: int, epoch: int) -> bool:
        """Raise the timestamp; False, and nothing is written, if a newer epoch has claimed the file."""
        words = self._words
        if words[1] != epoch:
            return False
        if timestamp > words[0]:
            words[0] = timestamp
        return True

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._map.close()
