"""Opening the LMDB environment of a replica, as its one writer or as one of its many readers.

    <replica>/environment/data.mdb   LMDB's own; readers may read it
    <replica>/environment/board      storage.board; readers may read it
    <replica>/environment/lock.mdb   LMDB's own; nobody but the writer opens it (storage.pinned_pages)
    <replica>/environment/state      msgpack [boot, clean]: who opened it last for writing
    <replica>/trial                  storage.trial; locked by the writer

Nothing is synced while running. The page cache survives any death of a process, so an environment of
the current boot is whole; one of an earlier boot is trusted only if it was closed cleanly (synced).

The writer writes through its map (MDB_WRITEMAP): a commit of a few rows is then memory accesses
instead of a pwrite for each page, a third of the cost. The whole file has its blocks before it is mapped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
import msgspec

from dsql.control.atomic_file import PRIVATE, write_atomically
from dsql.rpc.memory_order import fence
from storage.board import HORIZON, WATERMARK, Board
from storage.databases import NAMES, open_databases
from storage.pinned_pages import PinnedPages
from storage.reader_slot import ReaderSlots
from storage.trial import WRITING, Trial

if TYPE_CHECKING:
    from storage.databases import LmdbTransaction

MAP_BYTES_MIN = 1024**2
_GROWTH_BYTES_MAX = 4 * 1024**3
READERS_MAP_BYTES = 16 * 1024**3  # address space only, so that readers seldom have to map anew
ENVIRONMENT = "environment"  # the directory's name within the replica's
META_KEY = b"position"


class DisorderError(Exception):
    """What an environment holds is not what applying the journal makes."""


class DamagedReplicaError(Exception):
    """A read met pages that are not what was written, and nobody has said where else to read."""


# When a file is not what was written; not when the disk is full or memory is short.
DAMAGED = (
    DisorderError,
    DamagedReplicaError,
    lmdb.InvalidError,
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
    lmdb.PanicError,
    lmdb.IncompatibleError,
    lmdb.NotFoundError,  # a database
    lmdb.CursorFullError,  # a tree that is deeper than any
    lmdb.PageFullError,
    lmdb.BadTxnError,
    lmdb.BadValsizeError,
    msgspec.DecodeError,
)


class WriterPresentError(Exception):
    """Another process already writes this replica."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """How far an environment has come: kept in it, changed in the transaction of the data."""

    watermark: int = 0
    sequence: int = 0
    horizon: int = 0


class _State(msgspec.Struct, array_like=True):
    boot: int
    clean: bool


_encode = msgspec.msgpack.Encoder().encode
_decode_position = msgspec.msgpack.Decoder(Position).decode
_decode_state = msgspec.msgpack.Decoder(_State).decode


def files_for_readers(replica: Path) -> list[Path]:
    """Return what a reader of the replica opens by name, read-only, in the directory ENVIRONMENT."""
    return [replica / ENVIRONMENT / name for name in ("data.mdb", "board")]


def _open_readonly(directory: Path) -> lmdb.Environment:
    return lmdb.open(
        str(directory),
        readonly=True,
        create=False,
        map_size=READERS_MAP_BYTES,
        max_dbs=len(NAMES),
        readahead=False,
        lock=False,
    )


def _open_writable(directory: Path, map_bytes: int) -> lmdb.Environment:
    # Only writers have it open, and there is one: what another one left says nothing.
    (directory / "lock.mdb").unlink(missing_ok=True)
    environment = lmdb.open(
        str(directory),
        map_size=map_bytes,
        max_dbs=len(NAMES),
        sync=False,
        metasync=False,
        writemap=True,
        readahead=False,
        mode=0o600,
    )
    _allocate(directory, map_bytes)
    return environment


def _allocate(directory: Path, size: int) -> None:
    """Give the data file real blocks: a hole that the disk cannot fill would be a SIGBUS later on.

    Raises OSError if the disk is too full.
    """
    descriptor = os.open(directory / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


def _claim(replica: Path) -> Trial:
    """Return what only the one writer has. Raises WriterPresentError."""
    try:
        return Trial(replica)
    except BlockingIOError:
        raise WriterPresentError from None


def environment_is_usable(directory: Path, boot: int) -> bool:
    """Return whether the environment in `directory` can be trusted without a checkpoint."""
    try:
        state = _decode_state((directory / "state").read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    return (directory / "data.mdb").exists() and (state.boot == boot or state.clean)


# LMDB allows an environment to be opened once per process, so readers in the writer's process share.
_writers: dict[Path, WritableEnvironment] = {}


class WritableEnvironment:
    """The environment as its only writer has it."""

    def __init__(
        self,
        directory: Path,
        boot: int,
        *,
        map_bytes: int = MAP_BYTES_MIN,
        restored: bool = False,
    ) -> None:
        """`map_bytes`: the file's size to begin with; it grows whenever it is full. `restored`: made anew.

        Raises WriterPresentError, OSError on a full disk, one of DAMAGED.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.restored = restored
        self._boot = boot
        with contextlib.ExitStack() as undo:
            self.trial = _claim(directory.parent)
            undo.callback(self.trial.close)
            self.board = Board(directory / "board", boot, create=True)
            undo.callback(self.board.close)
            self._write_state(clean=False)
            self.trial.words[WRITING] = 1
            undo.callback(self.trial.words.__setitem__, WRITING, 0)
            self._open(map_bytes, undo)
            self.trial.words[WRITING] = 0
            undo.pop_all()
        self.copying = threading.Lock()  # held by whoever copies: the map must not move meanwhile
        self.publish()
        _writers[directory.resolve()] = self

    def _open(self, map_bytes: int, undo: contextlib.ExitStack) -> None:
        data = self.directory / "data.mdb"
        is_new = not data.exists()
        self._map_bytes = max(map_bytes, 0 if is_new else data.stat().st_size)
        self.environment = _open_writable(self.directory, self._map_bytes)
        undo.callback(self.environment.close)
        # One that has lost a database is damaged; it must not go on as if that had been empty.
        self.databases = open_databases(self.environment, create=is_new)
        self.position = self._read_position()
        self.slots = ReaderSlots(self.directory.parent)
        self.pages = PinnedPages(self.environment, self.board, self.slots)

    def _write_state(self, *, clean: bool) -> None:
        write_atomically(self.directory / "state", _encode(_State(self._boot, clean)), PRIVATE)

    def _read_position(self) -> Position:
        with self.environment.begin(db=self.databases.meta) as transaction:
            content = transaction.get(META_KEY)
        return Position() if content is None else _decode_position(content)

    def put_position(self, transaction: LmdbTransaction, position: Position) -> None:
        """Write the position in the transaction whose data it describes."""
        transaction.put(META_KEY, _encode(position), db=self.databases.meta)

    def publish(self) -> None:
        """Show the committed position to the readers."""
        fence()  # behind the data
        words, position = self.board.words, self.position
        words[HORIZON] = position.horizon
        words[WATERMARK] = position.watermark

    def grow(self) -> None:
        """Enlarge the file. No transaction here may be open; readers elsewhere follow by themselves.

        Nor do the pins outlive this: the few reads that are under way just now are done again.
        Raises OSError on a full disk.
        """
        size = self._map_bytes + min(self._map_bytes, _GROWTH_BYTES_MAX)
        _allocate(self.directory, size)
        with self.copying:
            self.pages.close()
            self.environment.set_mapsize(size)
            self.pages = PinnedPages(self.environment, self.board, self.slots)
        self._map_bytes = size

    def close(self) -> None:
        """Sync, mark clean, close; after a running copy has ended."""
        with self.copying:
            self._close()

    def _close(self) -> None:
        del _writers[self.directory.resolve()]
        with contextlib.ExitStack() as last:  # whatever fails before
            last.callback(self.trial.close)
            last.callback(self.board.close)
            self.slots.close()
            self.pages.close()
            self.environment.sync(True)
            self.environment.close()
            self._write_state(clean=True)


class ReadableEnvironment:
    """The environment as a query processor maps it. Open it after the last fork only."""

    def __init__(self, directory: Path, boot: int) -> None:
        """Raises BoardUnavailableError while the replica has no writer's environment yet."""
        self.board = Board(directory / "board", boot)
        self._writer = _writers.get(directory.resolve()) if _writers else None
        try:
            if self._writer is not None:
                self.environment = self._writer.environment
                self.databases = self._writer.databases
            else:
                self.environment = _open_readonly(directory)
                self.databases = open_databases(self.environment, create=False)
        except BaseException:
            self.board.close()
            raise

    def follow_growth(self) -> None:
        """Map what the writer has grown to. No transaction may be open."""
        self.environment.set_mapsize(0)

    def close(self) -> None:
        """Unmap."""
        if self._writer is None:
            self.environment.close()
        self.board.close()


def discard(directory: Path, boot: int) -> None:
    """Take an environment away from under readers that may still have it mapped."""
    if not directory.exists():
        return
    with contextlib.suppress(OSError):
        board = Board(directory / "board", boot, create=True)
        board.retire()
        board.close()
    trash = directory.with_name(directory.name + ".discarded")
    shutil.rmtree(trash, ignore_errors=True)
    directory.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)
