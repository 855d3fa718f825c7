"""Opening the LMDB environment of a replica, as its one writer or as one of its many readers.

    <replica>/environment/data.mdb, lock.mdb   LMDB's own
    <replica>/environment/board                storage.board
    <replica>/environment/wake                 a FIFO: readers wake a writer that holds work back
    <replica>/environment/state                msgpack [boot, clean]: who opened it last for writing

Nothing is synced while running. The page cache survives any death of a process, so an environment of
the current boot is whole; one of an earlier boot is trusted only if it was closed cleanly (synced).
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

from storage.board import HORIZON, READERS_MAX, SEQUENCE, WATERMARK, Board
from storage.databases import Databases, open_databases

if TYPE_CHECKING:
    from storage.databases import LmdbTransaction

MAP_BYTES = 16 * 1024**3  # address space only; the file grows as it is used, and the map with it
ENVIRONMENT = "environment"  # the directory's name within the replica's
META_KEY = b"position"
WAKE = "wake"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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


def current_boot() -> int:
    """Return a number that changes when the machine starts anew."""
    return int(_BOOT_ID.read_text().replace("-", "")[:15], 16)


def _open(
    directory: Path, *, readonly: bool, map_bytes: int = 0
) -> tuple[lmdb.Environment, Databases]:
    environment = lmdb.open(
        str(directory),
        readonly=readonly,
        map_size=map_bytes or MAP_BYTES,
        max_dbs=4,
        max_readers=READERS_MAX,
        sync=False,
        metasync=False,
        readahead=False,
        create=not readonly,
        mode=0o600,
    )
    return environment, open_databases(environment, create=not readonly)


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

    def __init__(self, directory: Path, boot: int, *, map_bytes: int = MAP_BYTES) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._boot = boot
        self._write_state(clean=False)
        present = directory / "data.mdb"
        size = present.stat().st_size if present.exists() else 0
        self._map_bytes = max(map_bytes, size * 2)
        self.environment, self.databases = _open(
            directory, readonly=False, map_bytes=self._map_bytes
        )
        self.environment.reader_check()
        self.position = self._read_position()
        with contextlib.suppress(FileExistsError):
            os.mkfifo(directory / WAKE, 0o600)
        self.board = Board(directory / "board", boot, create=True)
        self.copying = threading.Lock()  # held by whoever copies: the map must not move meanwhile
        self.publish()
        _writers[directory.resolve()] = self

    def _write_state(self, *, clean: bool) -> None:
        _write_durably(self.directory / "state", _encode(_State(self._boot, clean)))

    def _read_position(self) -> Position:
        with self.environment.begin(db=self.databases.meta) as transaction:
            content = transaction.get(META_KEY)
        return Position() if content is None else _decode_position(content)

    def put_position(self, transaction: LmdbTransaction, position: Position) -> None:
        """Write the position in the transaction whose data it describes."""
        transaction.put(META_KEY, _encode(position), db=self.databases.meta)

    def publish(self) -> None:
        """Show the committed position to the readers."""
        words, position = self.board.words, self.position
        words[HORIZON] = position.horizon
        words[SEQUENCE] = position.sequence
        words[WATERMARK] = position.watermark

    def grow(self) -> None:
        """Double the map. No transaction of this process may be open; readers follow by themselves."""
        self._map_bytes *= 2
        with self.copying:
            self.environment.set_mapsize(self._map_bytes)

    def close(self) -> None:
        """Sync, mark clean, close; after a running copy has ended."""
        with self.copying:
            self._close()

    def _close(self) -> None:
        del _writers[self.directory.resolve()]
        self.environment.sync(True)
        self.environment.close()
        self.board.close()
        self._write_state(clean=True)


class ReadableEnvironment:
    """The environment as a query processor maps it. Open it after the last fork only."""

    def __init__(self, directory: Path, boot: int) -> None:
        """Raises BoardUnavailableError while the replica has no writer's environment yet."""
        self.board = Board(directory / "board", boot)
        self._writer = _writers.get(directory.resolve())
        try:
            if self._writer is not None:
                self.environment = self._writer.environment
                self.databases = self._writer.databases
            else:
                self.environment, self.databases = _open(directory, readonly=True)
            self.slot = self.board.claim_slot()
        except BaseException:
            self.board.close()
            raise
        self._wake = directory / WAKE

    def follow_growth(self) -> None:
        """Map what the writer has grown to. No transaction may be open."""
        self.environment.set_mapsize(0)

    def wake_writer(self) -> None:
        """End the writer's delay, if it listens."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self._wake, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"w")
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Unmap."""
        if self._writer is None:
            self.environment.close()
        self.board.close()


def discard(directory: Path) -> None:
    """Take an environment away from under readers that may still have it mapped."""
    if not directory.exists():
        return
    with contextlib.suppress(OSError):
        Board.retire(directory / "board")
    trash = directory.with_name(directory.name + ".discarded")
    shutil.rmtree(trash, ignore_errors=True)
    directory.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames and new files in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
