"""What the replicas of a journal hold, and founding it anew on one of them. For when nobody can lead.

A journal most of whose replicas are lost has no leader, because acknowledged commits may be gone with them.
Who accepts that chooses one log: it counts as whole from then on, and so do copies of it in the place of
all others. That is done while nothing runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dsql.disk.files import SYSTEM_FILES, SystemFiles
from journal.log import DiskFullError, Log
from journal.opening import damaged_logs, set_aside
from journal.recovery import LogDamagedError
from journal.replica import Promise

_NOT_COPIED = ("lock", "failed")


class LogReport(msgspec.Struct):
    """What a replica's folder holds.

    Records `first` to `last`, the last of `epoch` and, in microseconds since 1970, of `timestamp`; the
    epoch that it has `promised`; whether it is `whole`; what is `wrong`, "" for nothing; and the folders to
    which former logs of it were set aside.
    """

    az: str
    first: int = 0
    last: int = 0
    epoch: int = 0
    timestamp: int = 0
    promised: int = 0
    whole: bool = False
    wrong: str = ""
    aside: list[str] = msgspec.field(default_factory=list)


class NotUsableError(Exception):
    """A journal cannot be founded on this log; the text says why."""


def inspect(az: str, directory: Path) -> LogReport:
    """Return what a folder holds. Changes nothing, and may be called while the replica runs."""
    report = LogReport(az)
    if directory.parent.exists():
        report.aside = [path.name for path in damaged_logs(directory)]
    if not directory.exists():
        report.wrong = "missing"
        return report
    try:
        with contextlib.closing(Log(directory, expected=True, files=_Untouched())) as log:
            extent = log.extent
            report.first, report.last = extent.first_sequence, extent.last_sequence
            report.timestamp = extent.last_timestamp
            report.epoch = extent.epochs[-1][0] if extent.epochs else 0
            report.promised, report.whole = log.promise.epoch, log.promise.whole
            gaps = ", ".join(f"{first} to {last}" for first, last in log.damaged)
            report.wrong = f"damaged within records {gaps}" if gaps else ""
    except (LogDamagedError, DiskFullError, OSError) as error:
        report.wrong = str(error)
    if not (report.whole or report.wrong):
        report.wrong = "lost"
    return report


def refound(chosen: Path, others: Sequence[Path], epoch: int) -> None:
    """Let the log in `chosen` count, with `epoch` as its promise, and put copies in the place of `others`.

    What was there is set aside. If this is interrupted, nobody can lead, as before: do it again. Raises
    NotUsableError, BlockingIOError if a replica runs, OSError.
    """
    try:
        log = Log(chosen, expected=True)
    except LogDamagedError as error:
        raise NotUsableError(str(error)) from error
    with contextlib.closing(log):
        if log.damaged:
            raise NotUsableError(f"{chosen}: records are missing within {log.damaged}")
        log.settle()
        for other in others:
            _check_at_rest(other)
        copies = [_copy(chosen, other.with_name("journal.new")) for other in others]
    for copy, other in zip(copies, others, strict=True):
        _declare_whole(copy, epoch)
        set_aside(other, [])
        other.rmdir()
        SYSTEM_FILES.rename(copy, other)
        SYSTEM_FILES.sync_directory(other.parent)
    _declare_whole(chosen, epoch)


def _check_at_rest(directory: Path) -> None:
    """Raise BlockingIOError if somebody has the log open."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = SYSTEM_FILES.open(directory / "lock", os.O_RDWR)
        try:
            SYSTEM_FILES.lock(descriptor)
        finally:
            SYSTEM_FILES.close(descriptor)


def _copy(source: Path, target: Path) -> Path:
    """Copy a log, durably."""
    SYSTEM_FILES.remove_tree(target)
    SYSTEM_FILES.make_directory(target)
    for name in SYSTEM_FILES.list(source):
        if name not in _NOT_COPIED:
            shutil.copyfile(source / name, target / name)
            descriptor = SYSTEM_FILES.open(target / name, os.O_RDWR)
            SYSTEM_FILES.datasync(descriptor)
            SYSTEM_FILES.close(descriptor)
    SYSTEM_FILES.sync_directory(target)
    return target


def _declare_whole(directory: Path, epoch: int) -> None:
    with contextlib.closing(Log(directory, expected=True)) as log:
        log.save_promise(Promise(max(epoch, log.promise.epoch), b"", whole=True))


class _Untouched(SystemFiles):
    """The machine's files, which are only looked at."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:  # noqa: ARG002
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:  # noqa: ARG002
        return len(data)

    def pwrite_durably(self, descriptor: int, data: bytes, offset: int) -> int:  # noqa: ARG002
        return len(data)

    def truncate(self, descriptor: int, size: int) -> None:
        pass

    def datasync(self, descriptor: int) -> None:
        pass

    def rename(self, old: Path, new: Path) -> None:
        pass

    def unlink(self, path: Path) -> None:
        pass

    def make_directory(self, path: Path) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass

    def lock(self, descriptor: int) -> None:
        pass
