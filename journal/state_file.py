"""What a replica knows of itself beside its log: the promise, and how far the log must reach.

One file of five blocks, each in a disk's page of its own and overwritten in place, so that a full disk does
not stand against it:

    promise, promise    CRC32C, length, MessagePack of [secret, epoch, candidate, whole]
    reach, reach        a sync mark (`journal.segment`), durable
    reach               a sync mark, not synced

Both copies of a promise are on disk before it is given: what a crash tears, or the disk loses, is one
of them, and the other says what was promised. If both are gone, so is the promise.

The reach is how a log proves that it is whole. An acknowledged record stands behind the last sync mark of
the segments until the next write brings one; damage there looks like a write that was torn and
never acknowledged. So before a write is acknowledged the mark that belongs behind it goes to the third
reach. That costs no sync: it is the kernel's when a process dies. When the machine dies with it, what the
other two say still holds; they are written within a second, whenever segments come or go, and, both,
before a log is made shorter. No reach ever says more than was synced. A log that ends before the
furthest of them, or begins behind what it has to keep, has lost something.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import google_crc32c
import msgspec

from dsql.disk.files import Files, Mapped, read_readable
from journal.replica import Promise
from journal.segment import MARK_BYTES, Frame, parse_mark

_BLOCK_BYTES = 4096
_PROMISES = (0, _BLOCK_BYTES)
_DURABLE = (2 * _BLOCK_BYTES, 3 * _BLOCK_BYTES)
_FRESH = 4 * _BLOCK_BYTES
_STATE_BYTES = 5 * _BLOCK_BYTES


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    secret: int
    epoch: int
    candidate: bytes
    whole: bool

    @property
    def promise(self) -> Promise:
        return Promise(self.epoch, self.candidate, self.whole)


_decoder = msgspec.msgpack.Decoder(_Kept)


class _Content:
    """What the file says: what is None is not sound in any copy. `damaged`: some copy is not."""

    def __init__(self, data: bytes) -> None:
        copies = [_parse_promise(data[block : block + _BLOCK_BYTES]) for block in _PROMISES]
        kept = max(filter(None, copies), key=lambda copy: (copy.epoch, copy.whole), default=None)
        self.kept = kept
        self.reach: Frame | None = None
        self.damaged = True
        if kept is not None:
            marks = [parse_mark(data, block, kept.secret) for block in (*_DURABLE, _FRESH)]
            self.reach = max(filter(None, marks), key=lambda mark: mark.first, default=None)
            damaged = None in marks or copies[0] != copies[1]
            self.damaged = damaged or len(data) < _STATE_BYTES


class StateFile:
    """The open file, made if it is not there.

    `promise` is None, and nothing else is known, if there is no sound copy of it. `secret` is that of the
    log's sync marks. `reach` is the furthest of them when the file was opened, None if none is sound.
    Methods raise OSError.
    """

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._mutex = threading.Lock()  # between those who write durably
        self._turn = 0
        self._descriptor = files.open(path, os.O_RDWR | os.O_CREAT)
        content = _Content(read_readable(files, self._descriptor))
        self._map: Mapped | None = None
        self.reach = content.reach
        self.secret = 0
        self.promise: Promise | None = None
        if (kept := content.kept) is not None:
            self.secret = kept.secret
            self.promise = kept.promise

    def create(self, secret: int, promise: Promise, mark: bytes) -> None:
        """Begin anew with a promise and a reach."""
        self.secret = secret
        for block in (*_DURABLE, _FRESH):
            self._put(block, mark.ljust(_BLOCK_BYTES, b"\0"))
        self.save_promise(promise)

    def save_promise(self, promise: Promise) -> None:
        """Replace the promise; it is durable on return."""
        with self._mutex:
            self._put_promise(promise)
            self.promise = promise

    def note(self, mark: bytes) -> None:
        """Note how far the log is durable now. Fast: this is not synced."""
        if self._map is None:  # a system call for each would cost more than all the rest of a write
            self._map = self._files.map(self._descriptor, _STATE_BYTES)
        self._map[_FRESH : _FRESH + MARK_BYTES] = mark

    def note_durably(self, mark: bytes) -> None:
        """Note how far the log is durable at least, also for after a crash of the machine."""
        with self._mutex:
            self._put(_DURABLE[self._turn], mark)
            self._turn = 1 - self._turn

    def shorten(self, mark: bytes) -> None:
        """Let every reach be this one, durably: the log will be made shorter, or begin later, or closed."""
        with self._mutex:
            for block in (*_DURABLE, _FRESH):
                self._put(block, mark)

    def mend(self, mark: bytes) -> bool:
        """Return whether the file can be read back as it should be; if not, write it anew."""
        with self._mutex:
            content = _Content(read_readable(self._files, self._descriptor))
            kept = content.kept
            sound = not content.damaged and kept is not None and kept.promise == self.promise
            if not sound and self.promise is not None:
                for block in (*_DURABLE, _FRESH):
                    self._put(block, mark.ljust(_BLOCK_BYTES, b"\0"))
                self._put_promise(self.promise)
            return sound

    def close(self) -> None:
        """Close the file."""
        if self._map is not None:
            self._map.close()
        self._files.close(self._descriptor)

    def _put_promise(self, promise: Promise) -> None:
        kept = _Kept(self.secret, promise.epoch, promise.candidate, promise.whole)
        body = msgspec.msgpack.encode(kept)
        head = google_crc32c.value(body).to_bytes(4, "little") + len(body).to_bytes(4, "little")
        for block in _PROMISES:
            self._put(block, head + body)

    def _put(self, offset: int, data: bytes) -> None:
        while data:
            taken = self._files.pwrite_durably(self._descriptor, data, offset)
            data = data[taken:]
            offset += taken


def _parse_promise(block: bytes) -> _Kept | None:
    body = block[8 : 8 + int.from_bytes(block[4:8], "little")]
    if not body or google_crc32c.value(body) != int.from_bytes(block[:4], "little"):
        return None
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return None
