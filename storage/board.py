"""What a replica's writer tells the readers of its environment: a small file that they map read-only.

    word 0  magic                       4  kept: the oldest LMDB transaction that has its pages
         1  boot of the machine         5  releases: how often the horizon or `kept` has risen
         2  watermark                   6  delaying: the writer holds work back and wants a wake-up
         3  horizon                     7  retired: this environment is given up, leave it

All words are u64 in native order and aligned, so each is read and written whole. The watermark is
published after the LMDB commit that it speaks of; whoever sees it sees the data. What is let go of,
superseded versions or pages, is published before it goes; whoever read something that was gone sees that
when the read is over, and reads again or fails. Nothing here depends on what readers do. What they may
say themselves lies elsewhere (`storage.reader_slot`).
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from dsql.rpc.memory_order import fence

MAGIC, BOOT, WATERMARK, HORIZON, KEPT, RELEASES, DELAYING, RETIRED = range(8)

_MAGIC_VALUE = int.from_bytes(b"DSQLBRD2", "big")
_BYTES = 8 * 8


class BoardUnavailableError(Exception):
    """There is no board, or it was left by an earlier boot: the writer has not opened the replica yet."""


class Board:
    """The mapped file. `words` is the memory itself: `words[WATERMARK]` and so on."""

    def __init__(self, path: Path, boot: int, *, create: bool = False) -> None:
        """Map the board at `path`; with `create` as its writer, resetting what another boot left.

        Raises BoardUnavailableError for a reader that comes before the writer.
        """
        flags = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise BoardUnavailableError(str(path)) from None
        try:
            if create:
                os.ftruncate(descriptor, _BYTES)
            elif os.fstat(descriptor).st_size < _BYTES:
                raise BoardUnavailableError(str(path))
            access = mmap.ACCESS_WRITE if create else mmap.ACCESS_READ
            self._map = mmap.mmap(descriptor, _BYTES, access=access)
        finally:
            os.close(descriptor)
        self.words = memoryview(self._map).cast("Q")
        if create:
            self._reset(boot)
        elif self.words[MAGIC] != _MAGIC_VALUE or self.words[BOOT] != boot:
            self.close()
            raise BoardUnavailableError(str(path))

    def _reset(self, boot: int) -> None:
        words = self.words
        if words[BOOT] != boot or words[MAGIC] != _MAGIC_VALUE:
            for number in range(len(words)):
                words[number] = 0
        words[DELAYING] = words[RETIRED] = 0
        words[BOOT] = boot
        fence()
        words[MAGIC] = _MAGIC_VALUE

    def retire(self) -> None:
        """Tell whoever reads the environment to leave it, in the midst of a read or before the next one.

        Nothing is asked for this on the way of a read: the watermark falls below every timestamp, and
        the running reads take it for something let go.
        """
        self.words[RETIRED] = 1
        fence()
        self.let_go(WATERMARK, 0)

    def let_go(self, word: int, value: int) -> None:
        """Raise HORIZON or KEPT, before what they no longer promise is taken away."""
        self.words[word] = value
        fence()
        self.words[RELEASES] += 1
        fence()

    def close(self) -> None:
        """Unmap."""
        self.words.release()
        self._map.close()
