"""Checkpoints: states of an environment that survive the machine, without a copy of it.

    <replica>/environment/checkpoint   CRC32C, then msgpack Checkpoint
    <replica>/held                     locked by whoever copies from the file (storage.remaking)

The environment itself is never synced while it runs, so after a crash of the machine its pages may be
anything: what was written last, or not. A checkpoint is one LMDB transaction t of which nothing can have
been lost:

    pin t     a read transaction here keeps LMDB from using again any page that t leads to
    sync      all of the file that has changed, so also all pages of t: proportional to what was written
    record    t's meta page, in a file of its own, by an atomic replacement
    let go    of the pin of the checkpoint before

Why that is enough. LMDB writes a page again only when the transaction that gave it up is older than every
reader, and overwrites nothing else but its two meta pages. t is pinned from before the sync until a later
checkpoint is recorded, so between its record and the next one every page that t leads to stays as it was
synced, on disk, too, whatever of the later pages gets there. With t's meta page put back as both of
LMDB's, the environment therefore is at t, and the journal, which keeps what comes after t, does the rest.

A process that dies takes its pins along, but its pages are the kernel's: the next one of the same boot
finds the environment whole, and takes a checkpoint before it writes anything. Until that is recorded
nobody has written behind the old one. A record tells by its boot which of the two it is.

A sync that fails has lost pages that the kernel now takes for clean: then the environment is given up.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c
import lmdb
import msgspec

from dsql.control.atomic_file import PRIVATE, write_atomically
from dsql.disk.files import SYSTEM_FILES, Files, read_file
from storage.databases import Databases, Position, read_position
from storage.file_lock import is_locked
from storage.lmdb_format import META_BYTES, meta_page, read_meta

if TYPE_CHECKING:
    from storage.databases import LmdbTransaction

CHECKPOINT = "checkpoint"
HELD = "held"
_CRC_BYTES = 4
_LOOKS_MAX = 1_000


class LostWritesError(Exception):
    """The disk has not taken what was written to the environment, and nobody knows what."""


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """`opening` counts how often all pins were given up; `meta` begins a meta page."""

    boot: int
    opening: int
    position: Position
    meta: bytes


@dataclass(frozen=True, slots=True)
class Pin:
    """A transaction that is held, and the start of its meta page."""

    transaction: LmdbTransaction
    position: Position
    meta: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Checkpoint).decode


def read_checkpoint(environment: Path, files: Files = SYSTEM_FILES) -> Checkpoint | None:
    """Return the checkpoint of an environment's directory; None if there is none that can be believed."""
    try:
        content = read_file(files, environment / CHECKPOINT)
        if google_crc32c.value(content[_CRC_BYTES:]) != int.from_bytes(content[:_CRC_BYTES], "big"):
            return None
        checkpoint = _decode(content[_CRC_BYTES:])
    except (OSError, msgspec.DecodeError):
        return None
    return checkpoint if read_meta(checkpoint.meta) is not None else None


def put_back(environment: Path, checkpoint: Checkpoint) -> None:
    """Let the data file be as it was at the checkpoint. Raises OSError."""
    meta = read_meta(checkpoint.meta)
    assert meta is not None
    descriptor = os.open(environment / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
    try:
        for number in (0, 1):
            page = meta_page(checkpoint.meta, number, meta.page_bytes)
            os.pwrite(descriptor, page, number * meta.page_bytes)
    finally:
        os.close(descriptor)


class Checkpoints:
    """The checkpoints of an environment that is open for writing, and what they pin."""

    def __init__(
        self,
        directory: Path,
        boot: int,
        environment: lmdb.Environment,
        databases: Databases,
        files: Files,
    ) -> None:
        self._directory = directory
        self._boot = boot
        self._environment = environment
        self._databases = databases
        self._files = files
        last = read_checkpoint(directory, files)
        self._opening = 1 if last is None else last.opening + 1
        self._pins: deque[Pin] = deque()
        self.lock = threading.RLock()  # whoever has it may change the pins
        self._held = os.open(
            directory.parent / HELD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE
        )
        # Opened before anything is written, so that it is told of every page that could not be.
        self._data = os.open(directory / "data.mdb", os.O_RDWR | os.O_CLOEXEC)

    @property
    def sequence(self) -> int:
        """The record up to which the replica does not need the journal any more."""
        return self._pins[-1].position.sequence if self._pins else 0

    def take(self) -> int:
        """Take a checkpoint of what is committed now; return its sequence.

        Takes as long as the disk does: not on the event loop, but while others write. Raises
        LostWritesError, and OSError if it could not be recorded, which changes nothing.
        """
        with self.lock:
            pin = self._pin()
            try:
                self.sync()
                self._record(pin)
            except BaseException:
                pin.transaction.abort()
                raise
            self._pins.append(pin)
            if not is_locked(self._held):
                while len(self._pins) > 1:
                    self._pins.popleft().transaction.abort()
            return pin.position.sequence

    def sync(self) -> None:
        """Write what has changed to the disk. Raises LostWritesError."""
        try:
            os.fdatasync(self._data)
        except OSError as error:
            raise LostWritesError(str(error)) from error

    def let_go(self) -> None:
        """Give up the pins, as a new opening would. Until the next checkpoint nothing may be written."""
        self._opening += 1
        while self._pins:
            self._pins.popleft().transaction.abort()

    def forget(self) -> None:
        """Remove the record: the environment is not to be opened again. Raises OSError."""
        self._files.unlink(self._directory / CHECKPOINT)
        self._files.sync_directory(self._directory)

    def close(self) -> None:
        """Let go, and close the files."""
        self.let_go()
        os.close(self._data)
        os.close(self._held)

    @contextlib.contextmanager
    def pinned(self) -> Iterator[Pin]:
        """Hold the newest transaction for a moment."""
        with self.lock:
            pin = self._pin()
            try:
                yield pin
            finally:
                pin.transaction.abort()

    def _pin(self) -> Pin:
        """Pin the newest transaction, with its meta page: which stands there until the next but one."""
        for _ in range(_LOOKS_MAX):
            transaction = self._environment.begin()
            number = transaction.id() % 2
            content = os.pread(self._data, META_BYTES, number * self._environment.stat()["psize"])
            meta = read_meta(content)
            if meta is not None and meta.transaction == transaction.id():
                return Pin(transaction, read_position(transaction, self._databases), content)
            transaction.abort()
        raise LostWritesError("the meta page of the newest transaction is not there")

    def _record(self, pin: Pin) -> None:
        content = _encode(Checkpoint(self._boot, self._opening, pin.position, pin.meta))
        crc = google_crc32c.value(content).to_bytes(_CRC_BYTES, "big")
        write_atomically(self._directory / CHECKPOINT, crc + content, PRIVATE, self._files)
