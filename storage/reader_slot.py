"""What readers tell a replica's writer: each shows a timestamp in a file of its own and may wake it.

    <replica>/readers/NAME    u64: the start timestamp that the reader reads at, 0 for none
                              u64: not 0 while it reads that from another replica
    <replica>/wake            a FIFO: a byte ends the writer's delay; DAMAGE asks it to look at its pages,
                              CRASH tells that some reader has been crashed

A reader shows its timestamp to all replicas that it may have to go to, so that each keeps the versions; the
pages are kept by that which it reads from.

Readers are not trusted. Whoever confines them opens both files for them (`open_slot`); by name they reach
neither. The writer maps nothing that they can write: it reads two words, takes them for a hint, and
a wish to be woken for no more than that. The worst that a slot can say holds superseded versions back until
the transaction age limit. A slot is its reader's as long as the description that was opened for it
lives, which is locked; the writer only ever asks whether it is.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import struct
import threading
from pathlib import Path
from typing import Self

from storage.file_lock import is_locked, lock

READERS = "readers"
WAKE = "wake"
DAMAGE = b"d"
CRASH = b"c"

START, ELSEWHERE = range(2)

_WORDS = struct.Struct("<QQ")
_OWNER_ONLY = 0o600
_numbers = itertools.count(1)

SlotDescriptors = tuple[int, int]  # the slot, the FIFO


def open_slot(replica: Path) -> SlotDescriptors:
    """Make a slot for a new reader of the replica, and open the FIFO for writing only. Raises OSError."""
    folder = replica / READERS
    folder.mkdir(0o700, parents=True, exist_ok=True)
    slot = _make_slot(folder)
    try:
        return slot, _open_wake(replica)
    except OSError:
        os.close(slot)
        raise


def _make_slot(folder: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        with contextlib.suppress(FileExistsError):  # of a process that had our id before us
            slot = os.open(folder / f"{os.getpid()}.{next(_numbers)}", flags, _OWNER_ONLY)
            lock(slot)
            os.pwrite(slot, bytes(_WORDS.size), 0)
            if os.fstat(slot).st_nlink:
                return slot
            os.close(slot)  # before it was locked the writer took it for a dead reader's


def _open_wake(replica: Path) -> int:
    reading = open_wake(replica)  # a FIFO that nobody reads cannot be opened for writing
    try:
        return os.open(replica / WAKE, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(reading)


def open_wake(replica: Path) -> int:
    """Return the writer's end of the FIFO, made if need be; it never reads as ended."""
    replica.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkfifo(replica / WAKE, _OWNER_ONLY)
    return os.open(replica / WAKE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def report_crash(replica: Path) -> None:
    """Tell the replica's writer, if there is one, that a reader has crashed, perhaps one of this."""
    with contextlib.suppress(OSError):
        wake = os.open(replica / WAKE, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(wake, CRASH)
        finally:
            os.close(wake)


class ReaderSlot:
    """A reader's end: `words[START]` is the timestamp that it shows. Owns the descriptors."""

    def __init__(self, descriptors: SlotDescriptors) -> None:
        self._slot, self._wake = descriptors
        self._map = mmap.mmap(self._slot, _WORDS.size)
        self.words = memoryview(self._map).cast("Q")

    @classmethod
    def claim(cls, replica: Path) -> Self:
        """Return a slot that is made here. Raises OSError."""
        return cls(open_slot(replica))

    def wake_writer(self) -> None:
        """End the writer's delay, if there is a writer."""
        self._say(b"w")

    def report_damage(self) -> None:
        """Tell the writer, if there is one, that its pages are worth a look."""
        self._say(DAMAGE)

    def _say(self, byte: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, byte)

    def close(self) -> None:
        """Give the slot up."""
        self.words[START] = 0
        self.words.release()
        self._map.close()
        os.close(self._slot)
        os.close(self._wake)


class ReaderSlots:
    """The slots of a replica, as its writer looks at them."""

    def __init__(self, replica: Path) -> None:
        self._folder = replica / READERS
        self._folder.mkdir(0o700, parents=True, exist_ok=True)
        self._slots: dict[str, int] = {}
        self._lock = threading.Lock()  # the writer looks from its event loop and from threads
        self._died_reading = False
        self._listed = 0  # the folder's mtime then

    def reading(self) -> dict[int, int]:
        """Return the start timestamps of those who read from this replica, by slot; dead ones' too."""
        with self._lock:
            if self._folder.stat().st_mtime_ns != self._listed:
                self._list()
            shown = ((slot, *self._words(slot)) for slot in self._slots.values())
            return {slot: start for slot, start, elsewhere in shown if start and not elsewhere}

    def oldest_start(self, at_least: int) -> int | None:
        """Return the lowest start timestamp >= `at_least` that a living reader shows, None for none.

        Removes the slots of dead readers.
        """
        with self._lock:
            self._bury()
            starts = (self._words(slot)[START] for slot in self._slots.values())
            return min((start for start in starts if start and start >= at_least), default=None)

    def has_lost_reader(self) -> bool:
        """Return whether a reader has died in a transaction, reading here, since this was asked last."""
        with self._lock:
            self._bury()
            died, self._died_reading = self._died_reading, False
            return died

    def _bury(self) -> None:
        self._list()
        for name, slot in list(self._slots.items()):
            if not is_locked(slot):
                start, elsewhere = self._words(slot)
                self._died_reading |= bool(start and not elsewhere)
                (self._folder / name).unlink(missing_ok=True)
                os.close(self._slots.pop(name))

    @staticmethod
    def _words(slot: int) -> tuple[int, ...]:
        """Return what a slot says; what its reader has cut off reads as 0."""
        return _WORDS.unpack(os.pread(slot, _WORDS.size, 0).ljust(_WORDS.size, b"\0"))

    def close(self) -> None:
        """Look no more."""
        for slot in self._slots.values():
            os.close(slot)
        self._slots.clear()

    def _list(self) -> None:
        self._listed = self._folder.stat().st_mtime_ns
        for name in os.listdir(self._folder):
            if name not in self._slots:
                with contextlib.suppress(
                    OSError
                ):  # it goes unseen for now: reads take care of themselves
                    flags = os.O_RDWR | os.O_CLOEXEC  # asking about a lock takes what locking would
                    self._slots[name] = os.open(self._folder / name, flags)
