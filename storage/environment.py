"""Opening the LMDB environment of a replica, as its one writer or as one of its many readers.

    <replica>/environment/data.mdb     LMDB's own; readers may read it
    <replica>/environment/board        storage.board; readers may read it
    <replica>/environment/lock.mdb     LMDB's own; nobody but the writer opens it (storage.pinned_pages)
    <replica>/environment/checkpoint   storage.checkpoint
    <replica>/trial                    storage.trial; locked by the writer

The writer writes through its map (MDB_WRITEMAP): a commit of a few rows is then memory accesses
instead of a pwrite for each page, a third of the cost. The whole file has its blocks before it is mapped,
so a full disk is an error of `grow` and no signal.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
import msgspec

from dsql.disk.files import SYSTEM_FILES, Files
from dsql.disk.holes import punch
from dsql.rpc.memory_order import fence
from storage.board import HORIZON, KEPT, RETIRED, WATERMARK, Board
from storage.checkpoint import Checkpoints, LostWritesError
from storage.databases import NAMES, Position, open_databases, read_position, write_position
from storage.mvcc import DamagedRowError
from storage.page_walk import DamagedPageError
from storage.pinned_pages import PinnedPages
from storage.reader_slot import ReaderSlots
from storage.superseded import DamagedLogError
from storage.trial import WRITING, Trial

if TYPE_CHECKING:
    from storage.databases import LmdbTransaction

log = logging.getLogger(__name__)

MAP_BYTES_MIN = 1024**2
_PINS_MAX = 512
_GROWTH_BYTES_MAX = 4 * 1024**3
READERS_MAP_BYTES = 16 * 1024**3  # address space only, so that readers seldom have to map anew
ENVIRONMENT = "environment"  # the directory's name within the replica's


class DisorderError(Exception):
    """What an environment holds is not what applying the journal makes."""


class DamagedReplicaError(Exception):
    """A read met pages that are not what was written, and nobody has said where else to read."""


# When a file is not what was written; not when the disk is full or memory is short.
DAMAGED = (
    DisorderError,
    DamagedReplicaError,
    DamagedLogError,
    DamagedPageError,
    DamagedRowError,
    LostWritesError,
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


def _open_writable(directory: Path, map_bytes: int, undo: contextlib.ExitStack) -> lmdb.Environment:
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
        max_readers=_PINS_MAX,
    )
    undo.callback(environment.close)
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
        files: Files = SYSTEM_FILES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`map_bytes`: the file's size to begin with; it grows whenever it is full. `restored`: made anew.

        Takes as long as what has changed since the last checkpoint takes to be synced. Raises
        WriterPresentError, OSError on a full disk, one of DAMAGED.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.restored = restored
        self._monotonic = monotonic
        self._condemned = False
        self.avoided = False  # readers are told to leave, for now
        with contextlib.ExitStack() as undo:
            self.trial = _claim(directory.parent)
            undo.callback(self.trial.close)
            self.board = Board(directory / "board", boot, create=True)
            undo.callback(self.board.close)
            self.trial.words[WRITING] = 1
            undo.callback(self.trial.words.__setitem__, WRITING, 0)
            self._open(map_bytes, undo)
            self.checkpoints = Checkpoints(directory, boot, self.environment, self.databases, files)
            undo.callback(self.checkpoints.close)
            self.trial.words[WRITING] = 0
            self.checkpoints.take()  # before anything is written
            undo.pop_all()
        self.publish()
        _writers[directory.resolve()] = self

    def _open(self, map_bytes: int, undo: contextlib.ExitStack) -> None:
        data = self.directory / "data.mdb"
        is_new = not data.exists()
        self._map_bytes = max(map_bytes, 0 if is_new else data.stat().st_size)
        self.environment = _open_writable(self.directory, self._map_bytes, undo)
        # One that has lost a database is damaged; it must not go on as if that had been empty.
        self.databases = open_databases(self.environment, create=is_new)
        with self.environment.begin() as transaction:
            self.position = read_position(transaction, self.databases)
        self.slots = ReaderSlots(self.directory.parent)
        undo.callback(self.slots.close)
        self._pin()
        undo.callback(lambda: self.pages.close())

    def _pin(self) -> None:
        self.pages = PinnedPages(self.environment, self.board, self.slots, self._monotonic)

    @property
    def file_bytes(self) -> int:
        """How much of the disk the data file takes."""
        return self._map_bytes

    def put_position(self, transaction: LmdbTransaction, position: Position) -> None:
        """Write the position in the transaction whose data it describes."""
        write_position(transaction, self.databases, position)

    def publish(self) -> None:
        """Show the committed position to the readers."""
        fence()  # behind the data
        words, position = self.board.words, self.position
        words[HORIZON] = position.horizon
        words[WATERMARK] = 0 if self.avoided else position.watermark

    def grow(self) -> None:
        """Enlarge the file, outside of the event loop: nothing else may use the map meanwhile.

        Readers in other processes follow by themselves. Pins do not outlive this. So the few reads that are
        under way just now are done again, and before anything is written there is a new checkpoint.
        Raises OSError on a full disk.
        """
        size = self._map_bytes + min(self._map_bytes, _GROWTH_BYTES_MAX)
        _allocate(self.directory, size)
        with self.checkpoints.lock:
            self.checkpoints.sync()  # what is clean is unmapped ten times as fast
            self.pages.close()
            self.checkpoints.let_go()
            self.environment.set_mapsize(size)
            self._map_bytes = size
            self._pin()
            self.checkpoints.take()

    def avoid(self) -> None:
        """Have readers leave until `offer`."""
        self.avoided = True
        self.board.retire()

    def offer(self) -> None:
        """Let readers come again, unless the environment is condemned."""
        if self.avoided and not self._condemned:
            self.avoided = False
            self.board.words[RETIRED] = 0
            self.publish()

    def condemn(self) -> None:
        """Have readers leave, and let the environment never be opened again once it is closed."""
        self.board.retire()
        self._condemned = True

    def close(self) -> None:
        """Take a last checkpoint, unless the environment is condemned, and close.

        Not on the event loop: it takes as long as the disk does.
        """
        del _writers[self.directory.resolve()]
        self._is_saved = False
        with contextlib.ExitStack() as last:  # whatever fails before
            last.callback(self.trial.close)
            last.callback(self.board.close)
            last.callback(self._give_back)
            last.callback(self.environment.close)
            last.callback(self.slots.close)
            last.callback(self.pages.close)
            last.callback(self.checkpoints.close)
            try:
                if self._condemned:
                    self.checkpoints.forget()
                else:
                    self.checkpoints.take()
                    self._is_saved = True
            except (
                OSError,
                *DAMAGED,
            ) as error:  # the last record stands: nothing is written any more
                log.error("no last checkpoint of %s: %s", self.directory, error)

    def _give_back(self) -> None:
        """Let a small file take no more room than its pages in use, as long as nobody writes it.

        There may be many at rest. Who opens one gives it all its blocks again.
        """
        meta = self.checkpoints.meta
        if self._map_bytes > MAP_BYTES_MIN or meta is None or not self._is_saved:
            return
        self.board.let_go(KEPT, meta.transaction)  # as if the free pages were used again
        with contextlib.suppress(OSError), (self.directory / "data.mdb").open("r+b") as data:
            data.truncate((meta.last_page + 1) * meta.page_bytes)
            for page in self.checkpoints.free_pages:
                punch(data.fileno(), page * meta.page_bytes, meta.page_bytes)


class ReadableEnvironment:
    """The environment as a query processor maps it. Open it after the last fork only.

    It is unmapped by `close`, or when nobody has it any more.
    """

    def __init__(self, directory: Path, boot: int) -> None:
        """Raises BoardUnavailableError while the replica has no writer's environment yet."""
        self.directory = directory
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
