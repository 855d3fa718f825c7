"""What a replica's writer and the readers of its environment tell each other: a small mapped file.

    word 0  magic                       4  wanted: highest timestamp a reader waits for
         1  boot of the machine         5  delaying: the writer holds work back and wants a wake-up
         2  watermark                   6  retired: this environment has been replaced, open it again
         3  horizon                     7  sequence of the newest applied record
    from word 8 on: one word per reader, the start timestamp that it reads at, 0 for none

All words are u64 in native order and aligned, so each is read and written whole. The watermark is
published after the LMDB commit that it speaks of; whoever sees it sees the data.

A reader owns a slot by an open-file-description lock on one byte far behind the end of the file:
the kernel drops the lock with the process, and process namespaces do not matter. Slots only ever
hold garbage collection back. That reads below the horizon fail is ensured by reading the horizon
after the data (see `storage.snapshot`).
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from pathlib import Path

READERS_MAX = 2_000
MAGIC, BOOT, WATERMARK, HORIZON, WANTED, DELAYING, RETIRED, SEQUENCE = range(8)
FIRST_SLOT = 8

_MAGIC_VALUE = int.from_bytes(b"DSQLBRD1", "big")
_BYTES = (FIRST_SLOT + READERS_MAX) * 8
_LOCKS_OFFSET = 1 << 20
_WRITER = -1  # the lock next to the first reader's
_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length, pid


class BoardUnavailableError(Exception):
    """There is no board, or it was left by an earlier boot: the writer has not opened the replica yet."""


class WriterPresentError(Exception):
    """Another process already writes this replica."""


class Board:
    """The mapped file. `words` is the memory itself: `words[WATERMARK]` and so on."""

    def __init__(self, path: Path, boot: int, *, create: bool = False) -> None:
        """Map the board at `path`; with `create` as its writer, resetting what another boot left.

        Raises BoardUnavailableError for a reader that comes before the writer, WriterPresentError for
        a second writer.
        """
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        try:
            self._descriptor = os.open(path, flags, 0o600)
        except FileNotFoundError:
            raise BoardUnavailableError(str(path)) from None
        if create:
            self._claim_writer()
            os.ftruncate(self._descriptor, _BYTES)
        elif os.fstat(self._descriptor).st_size < _BYTES:
            os.close(self._descriptor)
            raise BoardUnavailableError(str(path))
        self._map = mmap.mmap(self._descriptor, _BYTES)
        self.words = memoryview(self._map).cast("Q")
        self.slot = 0
        if create:
            self._reset(boot)
        elif self.words[MAGIC] != _MAGIC_VALUE or self.words[BOOT] != boot:
            self.close()
            raise BoardUnavailableError(str(path))

    def _reset(self, boot: int) -> None:
        words = self.words
        if words[BOOT] != boot:
            for number in range(len(words)):
                words[number] = 0
        words[DELAYING] = 0
        words[BOOT] = boot
        words[MAGIC] = _MAGIC_VALUE

    @staticmethod
    def retire(path: Path) -> None:
        """Tell whoever has the board at `path` mapped that its environment has been replaced."""
        with path.open("r+b", buffering=0) as file:
            file.seek(RETIRED * 8)
            file.write((1).to_bytes(8, "little"))

    def claim_slot(self) -> int:
        """Own a slot until `close`; return the index of its word. Raises OSError if all are taken.

        Every process begins to look at another place: the first free slot of many costs many calls.
        """
        start = os.getpid() % READERS_MAX
        for number in (*range(start, READERS_MAX), *range(start)):
            with contextlib.suppress(BlockingIOError):
                self._lock(number)
                self.slot = FIRST_SLOT + number
                self.words[self.slot] = 0
                return self.slot
        raise OSError(f"all {READERS_MAX} reader slots are taken")

    def _claim_writer(self) -> None:
        try:
            self._lock(_WRITER)
        except BlockingIOError:
            os.close(self._descriptor)
            raise WriterPresentError from None

    def _lock(self, number: int) -> None:
        request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _LOCKS_OFFSET + number, 1, 0)
        fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, request)

    def _is_owned(self, number: int) -> bool:
        request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _LOCKS_OFFSET + number, 1, 0)
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, request)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def oldest_start(self, at_least: int) -> int | None:
        """Return the lowest start timestamp >= `at_least` that a living reader shows, None for none.

        Clears the slots of dead readers that it comes across.
        """
        oldest: int | None = None
        for index, start in enumerate(self.words[FIRST_SLOT:]):
            if start < at_least or start == 0 or (oldest is not None and start >= oldest):
                continue
            if self._is_owned(index):
                oldest = start
            else:
                self.words[FIRST_SLOT + index] = 0
        return oldest

    def close(self) -> None:
        """Give the slot up and unmap."""
        if self.slot:
            self.words[self.slot] = 0
        self.words.release()
        self._map.close()
        os.close(self._descriptor)
