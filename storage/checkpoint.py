"""Checkpoints: states of an environment that survive the machine, without a copy of it.

    <replica>/environment/checkpoint   CRC32C, then msgpack Checkpoint
    <replica>/environment/superseded   storage.superseded
    <replica>/held                     locked by whoever copies from the file (storage.remaking)

The environment itself is never synced while it runs, so after a crash of the machine its pages may be
anything: what was written last, or not. A checkpoint is one LMDB transaction t of which nothing can have
been lost:

    pin t     a read transaction here keeps LMDB from using again any page that t leads to
    sync      all of the file that has changed, so also all pages of t: proportional to what was written
    record    t's meta page, in a file of its own, by an atomic replacement

LMDB overwrites nothing but its two meta pages, and pages of which every reader is younger than the
transaction that gave them up. So as long as t is pinned, every page that t leads to stays as it was
synced, on disk, too, whatever of the later pages gets there. A pin for long would have each commit take
fresh pages. So it moves on now and then (`make_way`):

    pin n     the newest transaction
    save      those pages that t leads to and that transactions up to n have given up: durably, elsewhere
    let go    of the pin before

What was given up after t is listed by transaction in LMDB's own table of free pages; of that, t leads to
what was not free in t, nor given up before already, nor behind t's last page. None of it has been used
again when it is saved, because the pin before still stands. So at any moment each page of t is in its
place or saved. With those put back, and t's meta page as both of LMDB's, the environment is at t; the
journal, which keeps what comes after t, does the rest.

A process that dies takes its pins along, but its pages are the kernel's: the next one of the same boot
finds the environment whole, and takes a checkpoint before it writes anything. Until that is recorded
nobody has written behind the old one. A record tells by its boot which of the two it is.

A sync that fails has lost pages that the kernel now takes for clean: then the environment is given up.
"""

from __future__ import annotations

import contextlib
import errno
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
from storage.lmdb_format import META_BYTES, Meta, meta_page, read_meta
from storage.page_walk import Pages
from storage.superseded import SupersededPages, read_superseded

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
    """A transaction that is held, what its meta page says, and the start of that."""

    transaction: LmdbTransaction
    position: Position
    meta: Meta
    content: bytes


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


def superseded_pages(
    environment: Path, checkpoint: Checkpoint, files: Files = SYSTEM_FILES
) -> dict[int, bytes]:
    """Return the pages of a checkpoint that are not in their places any more, by number.

    Raises DamagedLogError, OSError.
    """
    meta = meta_of(checkpoint)
    return read_superseded(
        environment, (checkpoint.opening, meta.transaction), meta.page_bytes, files
    )


def meta_of(checkpoint: Checkpoint) -> Meta:
    """Return what the meta page says."""
    meta = read_meta(checkpoint.meta)
    assert meta is not None, "no record without is believed"
    return meta


def put_back(environment: Path, checkpoint: Checkpoint, files: Files = SYSTEM_FILES) -> None:
    """Let the data file be as it was at the checkpoint. Raises DamagedLogError, OSError."""
    size = meta_of(checkpoint).page_bytes
    pages = superseded_pages(environment, checkpoint, files)
    pages |= {number: meta_page(checkpoint.meta, number, size) for number in (0, 1)}
    descriptor = os.open(environment / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
    try:
        for number, page in pages.items():
            os.pwrite(descriptor, page, number * size)
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
        self._closed = False
        self._opening = 1 if last is None else last.opening + 1
        self._superseded = SupersededPages(directory, files)
        self._pins: deque[Pin] = deque()
        self.meta: Meta | None = None  # of the newest that this has taken
        self._gone: set[int] = (
            set()
        )  # pages up to there that it does not lead to, or that are saved
        self.used_bytes = 0  # by the checkpoint, of the file
        self.sequence = 0  # up to which record the replica does not need the journal any more
        self.lock = threading.RLock()  # whoever has it may change the pins
        self._held = os.open(
            directory.parent / HELD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE
        )
        # Opened before anything is written, so that it is told of every page that could not be.
        self._data = os.open(directory / "data.mdb", os.O_RDWR | os.O_CLOEXEC)

    def take(self) -> int:
        """Take a checkpoint of what is committed now; return its sequence.

        Takes as long as the disk does: not on the event loop, but while others write. Raises
        LostWritesError, DamagedPageError, and OSError if it could not be recorded, which changes nothing.
        """
        with self.lock:
            pin = self._pin()
            try:
                gone = {page for pages in self._pages(pin).given_up() for page in pages}
                self.sync()
                self._record(pin)
            except BaseException:
                pin.transaction.abort()
                raise
            self._gone, self.meta = gone, pin.meta
            self.used_bytes = (pin.meta.last_page + 1 - len(gone)) * pin.meta.page_bytes
            self._superseded.begin((self._opening, pin.meta.transaction))
            self.sequence = pin.position.sequence
            self._move_to(pin)
            return self.sequence

    @property
    def free_pages(self) -> frozenset[int]:
        """The pages of the file that the checkpoint does not lead to, or that are saved."""
        return frozenset(self._gone)

    def make_way(self) -> int:
        """Let LMDB use again what was given up since the last time; return the bytes of what is saved.

        Not on the event loop. Raises DamagedPageError, and OSError, which changes nothing.
        """
        with self.lock:
            pin = self._pin()
            last_page = 0 if self.meta is None else self.meta.last_page
            try:
                pages = self._pages(pin)
                freed = pages.given_up(after=self._pins[-1].meta.transaction)
                new = {page for some in freed for page in some if page <= last_page}
                new -= self._gone
                saved = self._superseded.append((page, pages.content(page)) for page in sorted(new))
            except BaseException:
                pin.transaction.abort()
                raise
            self._gone |= new
            self._move_to(pin)
            return saved

    def _move_to(self, pin: Pin) -> None:
        self._pins.append(pin)
        if not is_locked(self._held):  # who locks it later finds everything saved
            while len(self._pins) > 1:
                self._pins.popleft().transaction.abort()

    def _pages(self, pin: Pin) -> Pages:
        size = pin.meta.page_bytes
        return Pages(
            lambda number, count: os.pread(self._data, count * size, number * size), pin.meta
        )

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
        with self.lock:  # what somebody still does in a thread ends before, or finds it closed
            self.let_go()
            self._closed = True
            self._superseded.close()
            os.close(self._data)
            os.close(self._held)

    @contextlib.contextmanager
    def pinned(self) -> Iterator[Pages]:
        """Hold the newest transaction for a moment: its pages."""
        with self.lock:
            pin = self._pin()
            try:
                yield self._pages(pin)
            finally:
                pin.transaction.abort()

    def _pin(self) -> Pin:
        """Pin the newest transaction, with its meta page: which stands there until the next but one."""
        if self._closed:
            raise OSError(errno.EBADF, "the environment is closed")
        for _ in range(_LOOKS_MAX):
            transaction = self._environment.begin()
            number = transaction.id() % 2
            content = os.pread(self._data, META_BYTES, number * self._environment.stat()["psize"])
            meta = read_meta(content)
            if meta is not None and meta.transaction == transaction.id():
                position = read_position(transaction, self._databases)
                return Pin(transaction, position, meta, content)
            transaction.abort()
        raise LostWritesError("the meta page of the newest transaction is not there")

    def _record(self, pin: Pin) -> None:
        content = _encode(Checkpoint(self._boot, self._opening, pin.position, pin.content))
        crc = google_crc32c.value(content).to_bytes(_CRC_BYTES, "big")
        write_atomically(self._directory / CHECKPOINT, crc + content, PRIVATE, self._files)
