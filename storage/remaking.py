"""Making an environment anew from the file of another one: a peer's, or an own one that is too large.

Rows are taken from the pages of the other's checkpoint, which its writer holds as long as `held` is
locked, and put into a new environment in the order of their keys. So what arrives is whole and dense:
nothing damaged spreads, and free pages stay behind. The other's writer goes on meanwhile. Nothing here
looks into its map, and this thread rests as long as it works, because it shares the interpreter with an
event loop.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb

from dsql.disk.files import SYSTEM_FILES, Files
from storage.checkpoint import HELD, Checkpoint, meta_of, read_checkpoint, superseded_pages
from storage.databases import NAMES, open_databases
from storage.file_lock import lock
from storage.lmdb_format import Tree
from storage.page_walk import DamagedPageError, Pages, Row
from storage.superseded import DamagedLogError

_MAP_BYTES = 1 << 40  # address space for the new file: it is written, not mapped for writing
_COMMIT_BYTES = 8 * 1024 * 1024
_PIECE_SECONDS = 0.001

Verify = Callable[[bytes, list[Row]], None]


class SourceUnavailableError(Exception):
    """The other environment cannot be copied just now: try again, or another one."""


@contextlib.contextmanager
def held(replica: Path) -> Iterator[None]:
    """Have a replica's writer hold its checkpoints. Raises SourceUnavailableError if somebody else does."""
    try:
        descriptor = os.open(replica / HELD, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SourceUnavailableError(str(error)) from None
    try:
        lock(descriptor)
        yield
    except BlockingIOError:
        raise SourceUnavailableError(f"{replica} is being copied") from None
    finally:
        os.close(descriptor)


def remake(
    source: Path,
    target: Path,
    verify: Verify,
    *,
    files: Files = SYSTEM_FILES,
    sleep: Callable[[float], None] = time.sleep,
) -> Checkpoint:
    """Fill `target`, a new directory, with the environment in `source` as of its checkpoint; return that.

    `verify` takes a database's name and rows, and raises what is wrong with them. Raises DamagedPageError,
    SourceUnavailableError, lmdb.DiskError on a full disk.
    """
    with held(source.parent):
        checkpoint, superseded = _locate(source, files)
        try:
            with _reading(source, checkpoint, superseded) as pages, _filling(target) as put_all:
                for name in NAMES:
                    _copy(pages, name, verify, put_all, _rests(sleep))
        finally:
            after = read_checkpoint(source, files)
            if after is None or after.opening != checkpoint.opening:
                raise SourceUnavailableError(f"{source} was opened anew, or has grown, meanwhile")
    return checkpoint


def _copy(
    pages: Pages,
    name: bytes,
    verify: Verify,
    put_all: Callable[[bytes, list[Row]], None],
    rest: Callable[[], None],
) -> None:
    tree: Tree = pages.tree(name)
    count = 0
    for rows in pages.leaves(tree):
        verify(name, rows)
        put_all(name, rows)
        count += len(rows)
        rest()
    if count != tree.entries:
        raise DamagedPageError(f"{count} rows of {tree.entries}")


def _locate(source: Path, files: Files) -> tuple[Checkpoint, dict[int, bytes]]:
    """Return a checkpoint, and the pages of it that are not in their places any more."""
    while True:
        checkpoint = read_checkpoint(source, files)
        if checkpoint is None:
            raise SourceUnavailableError(f"{source} has no checkpoint")
        try:
            superseded = superseded_pages(source, checkpoint, files)
        except (OSError, DamagedLogError) as error:
            raise SourceUnavailableError(str(error)) from None
        if read_checkpoint(source, files) == checkpoint:
            return checkpoint, superseded


@contextlib.contextmanager
def _reading(source: Path, checkpoint: Checkpoint, superseded: dict[int, bytes]) -> Iterator[Pages]:
    meta = meta_of(checkpoint)
    size = meta.page_bytes
    try:
        descriptor = os.open(source / "data.mdb", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SourceUnavailableError(str(error)) from None

    def read(number: int, count: int) -> bytes:
        found = os.pread(descriptor, count * size, number * size)
        for index in range(count):
            if (page := superseded.get(number + index)) is not None:
                found = found[: index * size] + page + found[(index + 1) * size :]
        return found

    try:
        yield Pages(read, meta)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _filling(target: Path) -> Iterator[Callable[[bytes, list[Row]], None]]:
    """Yield what puts rows, in the order of their keys, into a database of a new environment."""
    target.mkdir(parents=True)
    environment = lmdb.open(
        str(target), map_size=_MAP_BYTES, max_dbs=len(NAMES), sync=False, mode=0o600, lock=False
    )
    try:
        opened = open_databases(environment, create=True)
        databases = {name: getattr(opened, name.decode()) for name in NAMES}
        transaction = environment.begin(write=True)
        pending = 0

        def put_all(name: bytes, rows: list[Row]) -> None:
            nonlocal transaction, pending
            transaction.cursor(db=databases[name]).putmulti(rows, append=True)
            pending += sum(len(key) + len(value) for key, value in rows)
            if pending >= _COMMIT_BYTES:
                transaction.commit()
                transaction, pending = environment.begin(write=True), 0

        yield put_all
        transaction.commit()
    finally:
        environment.close()


def _rests(sleep: Callable[[float], None]) -> Callable[[], None]:
    """Return what gives the interpreter away for as long as it has been used, now and then."""
    began = time.perf_counter()

    def rest() -> None:
        nonlocal began
        if (worked := time.perf_counter() - began) >= _PIECE_SECONDS:
            sleep(worked)
            began = time.perf_counter()

    return rest
