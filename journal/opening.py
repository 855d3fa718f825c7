"""Opening a replica's log whatever state its files and its disk are in.

    AZ/ID/journal             the log
    AZ/ID/journal.damaged-N   what was found instead of a whole log, for a person to look at; the two newest
    clusters/ID/AZ.founded    says that there has been a log: a missing one has been lost, and is not new.
                              What is in it is a copy of the cluster's record

A log that cannot be proved whole, or whose disk has refused a write, is set aside, and a new one takes its
place that knows that it is lost: the other zones' replicas fill it. Where not even that is possible, the
disk being full or broken, it is tried again and again, more and more seldom.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from pathlib import Path

from dsql.control.atomic_file import write_atomically
from dsql.disk.files import SYSTEM_FILES, Files, read_file
from journal.disk_threads import DiskWork
from journal.log import DiskFullError, Log
from journal.recovery import LogDamagedError

log = logging.getLogger(__name__)

_KEPT = 2
_ATTEMPTS = 2  # with what seems to be sound of a damaged log, and without
_PAUSE_SECONDS_MIN = 0.1
_PAUSE_SECONDS_MAX = 5.0
FULL, FAILED = "full", "failed"


class LogOpener:
    """Opens one replica's log. `trouble` is FULL or FAILED while that is not possible, else empty."""

    def __init__(
        self,
        name: str,
        directory: Path,
        founded: Path,
        files: Files,
        work: DiskWork,
        record: bytes = b"",
    ) -> None:
        """`record`, the cluster's, is copied to the file `founded`."""
        self.trouble = ""
        self._name = name
        self._directory = directory
        self._founded = founded
        self._files = files
        self._work = work
        self._record = record
        self._pause = _PAUSE_SECONDS_MIN

    async def open(self) -> Log:
        """Return the log, open, however long it takes."""
        return await self._open_at_last(expected=False)

    async def _open_at_last(self, *, expected: bool) -> Log:
        while True:
            opening = asyncio.ensure_future(self._work.run(lambda: self._open(expected=expected)))
            try:
                disk = await asyncio.shield(opening)
            except asyncio.CancelledError:
                with contextlib.suppress(Exception):
                    (await opening).close()
                raise
            except Exception as error:
                await self._rest(error)
            else:
                self.trouble = ""
                return disk

    async def replace(self, failed: Log, error: Exception) -> Log:
        """Set aside a log whose disk has failed, and return a new one. Soon again, it takes longer."""
        await self._work.run(lambda: _abandon(failed))
        is_there = True
        while is_there:
            await self._rest(error)
            try:
                await self._work.run(lambda: set_aside(self._directory, [], self._files))
                is_there = False
            except OSError as again:
                error = again
        return await self._open_at_last(expected=True)

    def went_well(self) -> None:
        """The log is whole and works: trouble to come is not the same one again."""
        self._pause = _PAUSE_SECONDS_MIN

    def make_room(self) -> None:
        """The disk is full: what was set aside has to go."""
        for path in damaged_logs(self._directory, self._files):
            log.warning("%s: %s is deleted, for there is no room", self._name, path.name)
            self._files.remove_tree(path)

    async def _rest(self, error: Exception) -> None:
        trouble = FAILED
        if isinstance(error, DiskFullError) or getattr(error, "errno", 0) == errno.ENOSPC:
            trouble = FULL
            await self._work.run(self.make_room)
        if trouble != self.trouble:
            log.error("%s: %s; it is tried again", self._name, error)
        self.trouble = trouble
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _PAUSE_SECONDS_MAX)

    def _open(self, *, expected: bool) -> Log:
        """A log is durable before it is written down that there is one."""
        known = self._files.exists(self._founded)
        disk = open_log(self._directory, expected=known or expected, files=self._files)
        try:
            if not known or read_file(self._files, self._founded) != self._record:
                write_atomically(self._founded, self._record, files=self._files)
        except BaseException:
            disk.close()
            raise
        return disk


def open_log(directory: Path, *, expected: bool, files: Files = SYSTEM_FILES) -> Log:
    """Open the log in `directory`, see `Log`; or set it aside and return a new one, which is lost.

    Its sound beginning goes to the new one. Raises DiskFullError, OSError.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return Log(directory, expected=expected, files=files)
        except LogDamagedError as damage:
            log.error("%s; it counts as lost", damage)
            set_aside(directory, [] if attempt else damage.sound, files)
            expected = True
    return Log(directory, expected=True, files=files)


def set_aside(directory: Path, sound: list[Path], files: Files = SYSTEM_FILES) -> None:
    """Rename the folder of a closed log, but keep these of its segments, in order. Raises OSError."""
    others = damaged_logs(directory, files)
    number = 1 + max((int(path.name.rpartition("-")[2]) for path in others), default=0)
    aside = directory.with_name(f"{directory.name}.damaged-{number}")
    for path in others[: max(0, len(others) - _KEPT + 1)]:
        files.remove_tree(path)
    if files.exists(directory):
        files.rename(directory, aside)
        log.error("%s: what was there is kept as %s", directory, aside.name)
    files.make_directory(directory)
    for path in sound:
        files.rename(aside / path.name, path)
    files.sync_directory(directory)
    files.sync_directory(directory.parent)


def damaged_logs(directory: Path, files: Files = SYSTEM_FILES) -> list[Path]:
    """Return the folders that logs of `directory` were set aside to, the oldest first."""
    prefix = f"{directory.name}.damaged-"
    names = [name for name in files.list(directory.parent) if name.startswith(prefix)]
    numbers = sorted(int(name.removeprefix(prefix)) for name in names)
    return [directory.with_name(f"{prefix}{number}") for number in numbers]


def _abandon(failed: Log) -> None:
    failed.mark_failed()
    with contextlib.suppress(OSError):
        failed.close()
