"""Opening a replica: its own environment if that can be believed, else one that is made anew.

    own environment of this boot                   as it is: a dead process has left it whole
    own environment of an earlier boot             as it was at its checkpoint
    damaged, condemned, behind the journal,        made anew from the checkpoint of a peer: the one that is
    or one that has crashed its writers            ahead, then the others
    none, and no peer that has anything            empty: the journal is replayed from its start

What is replaced goes only when its successor is complete. If peers have something and none of them can be
copied now, nothing is opened, and the caller tries again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import lmdb

from dsql.disk.files import SYSTEM_FILES, Files
from storage.checkpoint import put_back, read_checkpoint
from storage.environment import (
    DAMAGED,
    ENVIRONMENT,
    MAP_BYTES_MIN,
    WritableEnvironment,
    discard,
)
from storage.mvcc import DamagedRowError, verify
from storage.page_walk import DamagedPageError
from storage.remaking import SourceUnavailableError, remake
from storage.trial import CRASHES_MAX, KINDS, crashes

log = logging.getLogger(__name__)

_REMADE = "remade"
_NOT_COPIED = (SourceUnavailableError, DamagedPageError, DamagedRowError, lmdb.Error, OSError)


class NoSourceError(Exception):
    """The replica must be made anew, and none of its peers can be copied."""


def open_replica(
    replica: Path,
    peers: Sequence[Path],
    boot: int,
    *,
    must_restore: bool = False,
    map_bytes: int = MAP_BYTES_MIN,
    files: Files = SYSTEM_FILES,
) -> WritableEnvironment:
    """Open a replica's environment for writing. `peers`: the replicas of the other AZs on this host.

    `must_restore`: its own environment is damaged, or ends before the first record that the journal has.
    Takes as long as copying does. Raises NoSourceError, WriterPresentError, OSError.
    """
    directory = replica / ENVIRONMENT
    if crashes(replica) >= CRASHES_MAX:
        log.error("%s has crashed its writers: it is made anew", directory)
    elif not must_restore and (checkpoint := read_checkpoint(directory, files)) is not None:
        try:
            if checkpoint.boot != boot:
                put_back(directory, checkpoint, files)
            return WritableEnvironment(directory, boot, map_bytes=map_bytes, files=files)
        except (*DAMAGED, FileNotFoundError) as error:
            log.error("%s is damaged (%s): it is made anew", directory, error)
    if _make_from_any(peers, replica, files):
        return open_remade(replica, boot, map_bytes=map_bytes, files=files)
    discard(directory, boot)
    return _open_new(directory, boot, map_bytes, files)


def open_remade(
    replica: Path, boot: int, *, map_bytes: int = MAP_BYTES_MIN, files: Files = SYSTEM_FILES
) -> WritableEnvironment:
    """Put what `make_from` made in the place of the replica's environment, and open it."""
    directory = replica / ENVIRONMENT
    discard(directory, boot)
    (replica / _REMADE).rename(directory)
    return _open_new(directory, boot, map_bytes, files)


def _open_new(directory: Path, boot: int, map_bytes: int, files: Files) -> WritableEnvironment:
    environment = WritableEnvironment(
        directory, boot, map_bytes=map_bytes, restored=True, files=files
    )
    environment.trial.passed(*KINDS)  # this is not the one that crashed
    return environment


def make_from(source: Path, replica: Path, files: Files = SYSTEM_FILES) -> None:
    """Make an environment for a replica out of another one, or its own; see `remake` for what it raises."""
    target = replica / _REMADE
    shutil.rmtree(target, ignore_errors=True)
    remake(source, target, verify, files=files)


def _make_from_any(peers: Sequence[Path], replica: Path, files: Files) -> bool:
    """Make an environment from a peer's; return False if no peer has any.

    Raises NoSourceError.
    """
    sources = []
    for peer in peers:
        checkpoint = read_checkpoint(peer / ENVIRONMENT, files)
        if checkpoint is not None and checkpoint.position.sequence:
            sources.append((checkpoint.position.sequence, peer))
    for _, peer in sorted(sources, reverse=True):
        try:
            make_from(peer / ENVIRONMENT, replica, files)
            return True
        except _NOT_COPIED as error:
            log.warning("%s cannot be copied: %s", peer, error)
    if sources:
        raise NoSourceError("no other zone's replica can be copied")
    return False
