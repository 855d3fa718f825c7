"""Checkpoints: whole copies of an environment that survive the machine, and starting from one.

    <replica>/checkpoint-<sequence>/data.mdb   a compacted copy, complete and synced before it gets its name

The environment itself is never synced while it runs, so after a crash of the machine it may be anything.
A replica then starts from its newest checkpoint, from another AZ's if that is newer, or from nothing,
and replays the journal from there. The journal may drop only what every replica has checkpointed.

One that has crashed its process again and again (`storage.trial`) is set aside: first the environment, then
the checkpoints one by one.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from dsql.control.atomic_file import sync
from storage.environment import (
    DAMAGED,
    ENVIRONMENT,
    MAP_BYTES_MIN,
    WritableEnvironment,
    discard,
    environment_is_usable,
)
from storage.trial import COPYING, CRASHES_MAX, KINDS, READING, crashes

log = logging.getLogger(__name__)

_NAME = "checkpoint-"


def checkpoints(replica: Path) -> list[tuple[int, Path]]:
    """Return (sequence, directory) of the complete checkpoints of a replica, newest first."""
    found = []
    for path in replica.glob(f"{_NAME}*"):
        number = path.name.removeprefix(_NAME)
        if number.isdecimal():
            found.append((int(number), path))
    return sorted(found, reverse=True)


def durable_sequence(replica: Path) -> int:
    """Return the sequence up to which the replica no longer needs the journal, 0 without a checkpoint."""
    return max((sequence for sequence, _ in checkpoints(replica)), default=0)


def write_checkpoint(environment: WritableEnvironment, replica: Path, sequence: int) -> int:
    """Copy the environment, make the copy durable, remove older checkpoints; return its sequence.

    `sequence` is what the environment has applied at least (the copy may hold more). Runs for as long
    as the disk takes; call it outside of the event loop.
    """
    target = replica / f"{_NAME}{sequence}"
    if target.exists():
        return sequence
    temporary = replica / "copying"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    words = environment.trial.words
    with environment.copying:
        words[COPYING] = 1
        try:
            environment.environment.copy(str(temporary), compact=True)
        finally:
            words[COPYING] = 0
        environment.trial.passed(COPYING, READING)
    sync(temporary / "data.mdb")
    sync(temporary)
    temporary.rename(target)
    sync(replica)
    for older, path in checkpoints(replica):
        if older < sequence:
            shutil.rmtree(path, ignore_errors=True)
    return sequence


def open_replica(
    replica: Path,
    peers: Sequence[Path],
    boot: int,
    *,
    must_restore: bool = False,
    map_bytes: int = MAP_BYTES_MIN,
) -> WritableEnvironment:
    """Open a replica's environment for writing, from a checkpoint if its own cannot be trusted or opened.

    A checkpoint that is damaged itself is passed over; without any, the journal is replayed from the start.
    `peers` are the same cluster's replicas in other AZs whose checkpoints may be copied. `must_restore`:
    the own environment ends before the first record that the journal still has.
    """
    directory = replica / ENVIRONMENT
    set_aside = crashes(replica) // CRASHES_MAX
    if set_aside:
        log.error("%s has crashed its writers: it is made anew", directory)
    elif not must_restore and environment_is_usable(directory, boot):
        try:
            return WritableEnvironment(directory, boot, map_bytes=map_bytes)
        except DAMAGED as error:
            log.error("%s is damaged (%s): it is made anew", directory, error)
    candidates = sorted(
        (found for place in (replica, *peers) for found in checkpoints(place)[:1]), reverse=True
    )
    for _, checkpoint in candidates[max(0, set_aside - 1) :]:
        discard(directory, boot)
        try:
            _restore(checkpoint, directory)
            return WritableEnvironment(directory, boot, map_bytes=map_bytes, restored=True)
        except FileNotFoundError:
            continue  # just replaced by its owner's next one
        except DAMAGED as error:
            log.error("%s is damaged (%s): it is passed over", checkpoint, error)
    discard(directory, boot)
    environment = WritableEnvironment(directory, boot, map_bytes=map_bytes, restored=True)
    environment.trial.passed(*KINDS)  # this is none of those that crashed
    return environment


def _restore(checkpoint: Path, directory: Path) -> None:
    staging = directory.with_name("restoring")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    shutil.copyfile(checkpoint / "data.mdb", staging / "data.mdb")
    staging.rename(directory)
