"""Time as it is passed in: the `Clock` protocol, and the published commit timestamp of one host.

The published clock is a 24-byte file that the adjudicator's leader maps and that every query
processor of the host maps read-only: the newest acknowledged commit timestamp, the leader's epoch,
and the boot in which a leader published last. A transaction starts at that timestamp. The words are
aligned and written as native 64-bit stores, so a reader never sees half of one.

The file is never synced: after a crash of the machine it may be older than the last acknowledged
commit. No reader opens it before a leader of this boot has published.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path
from typing import Protocol

from dsql.rpc.memory_order import fence

CLOCK_BYTES = 24
_TIMESTAMP, _EPOCH, _BOOT = range(3)

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


class ClockUnavailableError(Exception):
    """No leader of this boot has published yet."""


class PublishedClock:
    """The clock file of one cluster, mapped. Opened writable it is created if it does not exist."""

    def __init__(self, path: Path, boot: int, *, writable: bool = False) -> None:
        """Raises ClockUnavailableError for a reader that comes before the first publication."""
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            raise ClockUnavailableError(str(path)) from None
        try:
            if os.fstat(descriptor).st_size < CLOCK_BYTES:
                if not writable:
                    raise ClockUnavailableError(str(path))
                os.ftruncate(descriptor, CLOCK_BYTES)
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(descriptor, CLOCK_BYTES, access=access)
        finally:
            os.close(descriptor)
        self._words = memoryview(self._map).cast("Q")
        self._boot = boot
        if not writable and self._words[_BOOT] != boot:
            self.close()
            raise ClockUnavailableError(str(path))

    def latest(self) -> int:
        """Return the newest acknowledged commit timestamp, 0 before the first."""
        return self._words[0]  # _TIMESTAMP: every transaction comes here

    @property
    def epoch(self) -> int:
        """The epoch of the leader that published last."""
        return self._words[_EPOCH]

    def claim(self, epoch: int, timestamp: int) -> None:
        """Take the file over for a leader's epoch, so that an older leader stops publishing.

        `timestamp` is that of the newest commit of all earlier epochs; from here on readers may come.
        """
        if epoch > self._words[_EPOCH]:
            self._words[_EPOCH] = epoch
        if self.publish(timestamp, epoch):
            fence()
            self._words[_BOOT] = self._boot

    def publish(self, timestamp: int, epoch: int) -> bool:
        """Raise the timestamp; False, and nothing is written, if a newer epoch has claimed the file."""
        words = self._words
        if words[_EPOCH] != epoch:
            return False
        if timestamp > words[_TIMESTAMP]:
            words[_TIMESTAMP] = timestamp
        return True

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._map.close()
