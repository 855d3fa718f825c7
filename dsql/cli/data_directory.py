"""The data directory as a supervisor uses it: made, checked for room, and locked."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from dsql.cli.errors import CommandError, reason
from dsql.control.layout import Layout

PROBE_BYTES = 1024 * 1024


class Lock(NamedTuple):
    """Held as long as its descriptor is open; the kernel frees it with the process."""

    descriptor: int

    def release(self) -> None:
        """Let go."""
        os.close(self.descriptor)


def claim(layout: Layout) -> Lock:
    """Make the data directory, check that it can be written, and lock it.

    Raises CommandError if it cannot be used or another supervisor holds it.
    """
    try:
        for folder in (layout.root, layout.root / "run", layout.root / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(layout)
        try:
            _check_room(layout.root / ".room")
        except OSError:
            lock.release()
            raise
    except OSError as error:
        raise CommandError(f"cannot write to {layout.root}: {reason(error)}") from error
    return lock


def holder(layout: Layout) -> int | None:
    """Return the process id of the running supervisor, None if there is none."""
    try:
        descriptor = os.open(layout.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"cannot read {layout.lock}: {reason(error)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(descriptor, 32) or 0)
    finally:
        os.close(descriptor)
    return None


def _lock(layout: Layout) -> Lock:
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        process_id = os.read(descriptor, 32).decode().strip()
        os.close(descriptor)
        raise CommandError(
            f"already running on {layout.root} (process {process_id}); "
            f"stop it with: dsql down --data {layout.root}"
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return Lock(descriptor)


def _check_room(path: Path) -> None:
    """Find a full disk now, with a clear error, instead of later in a role's log."""
    try:
        with path.open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, PROBE_BYTES)
    finally:
        path.unlink(missing_ok=True)
