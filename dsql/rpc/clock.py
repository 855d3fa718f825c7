"""Time as it is passed in: the `Clock` protocol, and the published commit timestamp of one host.

The published clock is a small file that the adjudicators map and that every query processor of the host
maps read-only. Native 64-bit words, so nobody ever sees half of one:

    format    a constant
    boot      in which boot of the machine a leader has published here
    slot      one for each zone, in the order of the cluster's record: the newest commit timestamp that
              this zone's adjudicator has acknowledged, and 8 check bits below it

A transaction starts at the greatest of the slots. Each slot has one writer, one adjudicator process, and
only rises. So there is nothing to take over and nothing to fence: a leader that was replaced while it
slept and publishes late stores into its own slot, and what it stores was committed under its epoch, hence
is in its successor's log and below the timestamp with which that one has opened. No store can set the
clock back, whenever it comes, and a reader needs no second look.

The file is never synced: after a crash of the machine it may be older than the last acknowledged commit.
No reader opens it before a leader of this boot has published. A slot whose check bits are wrong is
damage, and so is a clock that is behind what was read of it: nobody starts there, and readers wait until
the leader, which looks after the file, has mended it. Only what empties a slot, all of its 64 bits, can be
taken for what it is not, and only by who has not read it before.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dsql.rpc.memory_order import fence

_FORMAT, _BOOT, _SLOTS = range(3)  # words; the slots to the end
_FORMAT_WORD = 0x33_6B_63_6F_6C_63_71_64  # dqclock3
_WORD_BYTES = 8
_CHECK_BITS = 8  # leaves 56 for microseconds: two thousand years
_MENDING_SECONDS, _LOOK_SECONDS = 10.0, 0.005

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
    """No leader of this boot has published yet, or the file is damaged and not mended yet."""


def _slot_of(timestamp: int) -> int:
    check = zlib.crc32(timestamp.to_bytes(_WORD_BYTES, "little")) & ((1 << _CHECK_BITS) - 1)
    return timestamp << _CHECK_BITS | check


def _is_sound(slot: int) -> bool:
    """Return whether a slot is empty or what somebody has published."""
    return slot == 0 or slot == _slot_of(slot >> _CHECK_BITS)


class PublishedClock:
    """The clock file of one cluster, mapped to be read. `pause` is how who reads it waits."""

    def __init__(
        self, path: Path, boot: int, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Raises ClockUnavailableError."""
        self._pause = pause
        try:
            self._map = _map(path, os.O_RDONLY, mmap.ACCESS_READ, 0)
        except (FileNotFoundError, ValueError):
            raise ClockUnavailableError(str(path)) from None
        words = memoryview(self._map).cast("Q")
        self._slots = words[_SLOTS:]
        self._seen = [0] * len(self._slots)  # all of them sound
        self._latest = 0
        usable = words[_FORMAT] == _FORMAT_WORD and words[_BOOT] == boot
        words.release()
        if not (usable and all(map(_is_sound, self._slots))):
            self.close()
            raise ClockUnavailableError(str(path))

    def latest(self) -> int:
        """Return the newest acknowledged commit timestamp: every transaction comes here.

        Raises ClockUnavailableError if it is damaged and nobody mends it.
        """
        slots = self._slots.tolist()
        if slots != self._seen:
            self._look_closely(slots)
        return self._latest

    def _look_closely(self, slots: list[int]) -> None:
        """Somebody has published, or something is damaged: then wait until that is mended.

        A clock that is behind what was read of it before is damaged, even if every slot is sound.
        """
        deadline = time.monotonic() + _MENDING_SECONDS
        while not self._take(slots):
            if time.monotonic() > deadline:
                raise ClockUnavailableError("the clock file is damaged, and no leader mends it")
            self._pause(_LOOK_SECONDS)
            slots = self._slots.tolist()

    def _take(self, slots: list[int]) -> bool:
        """Go on from these slots, if all of them are sound."""
        for slot, seen in zip(slots, self._seen, strict=True):
            if slot != seen and not _is_sound(slot):
                return False
        latest = max(slots) >> _CHECK_BITS
        if latest < self._latest:
            return False
        self._seen, self._latest = slots, latest
        return True

    @property
    def zone(self) -> int:
        """The index of the zone that has published last: most likely the leader's."""
        slots = self._slots.tolist()
        return slots.index(max(slots))

    def close(self) -> None:
        """Unmap the file."""
        self._slots.release()
        self._map.close()


class ClockPublisher:
    """One zone's slot of a cluster's clock file, which is made if it is not there.

    For one process at a time: the zone's adjudicator.
    """

    def __init__(self, path: Path, boot: int, zone: int, zones: int) -> None:
        """Raises OSError."""
        size = (_SLOTS + zones) * _WORD_BYTES
        self._map = _map(path, os.O_RDWR | os.O_CREAT, mmap.ACCESS_WRITE, size)
        self._words = memoryview(self._map).cast("Q")
        self._boot = boot
        self._own = _SLOTS + zone
        self._slot = 0

    @property
    def latest(self) -> int:
        """The newest timestamp that this zone has published, 0 before the first."""
        return self._slot >> _CHECK_BITS

    def open(self, timestamp: int) -> None:
        """Publish a new leader's first timestamp; from here on readers may come."""
        self.publish(timestamp)
        fence()
        self.mend()

    def publish(self, timestamp: int) -> None:
        """Raise the clock. What an earlier leader of this zone has published is not above `timestamp`."""
        slot = _slot_of(timestamp)
        assert slot >= self._slot, "a zone's commit timestamps rise"
        self._slot = self._words[self._own] = slot

    def mend(self) -> bool:
        """Put right what is damaged; return whether anything was. Only where this zone has published.

        A slot of another zone that is damaged is emptied: what stood there is below what we published, or
        a newer leader publishes it again with its next commit.
        """
        words = self._words
        wanted = {_FORMAT: _FORMAT_WORD, _BOOT: self._boot, self._own: self._slot}
        wanted |= {index: 0 for index in range(_SLOTS, len(words)) if not _is_sound(words[index])}
        wanted[self._own] = self._slot
        damaged = [index for index, word in wanted.items() if words[index] != word]
        for index in sorted(damaged, reverse=True):  # the header last: it lets readers in
            words[index] = wanted[index]
        return bool(damaged)

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._map.close()


def _map(path: Path, flags: int, access: int, size: int) -> mmap.mmap:
    """Map a file of whole words, made as long as `size`. Raises OSError, ValueError if it is too short."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        if size and os.fstat(descriptor).st_size != size:
            os.ftruncate(descriptor, size)
        length = os.fstat(descriptor).st_size
        if length <= _SLOTS * _WORD_BYTES or length % _WORD_BYTES:
            raise ValueError(f"{length} bytes are no clock")
        return mmap.mmap(descriptor, length, access=access)
    finally:
        os.close(descriptor)
