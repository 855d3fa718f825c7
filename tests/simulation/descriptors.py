"""Real files in the hands of simulated processes: descriptors that die with them, locks, syncs.

Files and maps are real. What a process had open is closed when it dies, and its locks go with it, without
any code of the product. A sync takes the time of the zone's disk, and what it has made safe is kept there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from pathlib import Path
from typing import Any

from .world import Process, running


def _descriptors(process: Process) -> set[int]:
    """Return the real descriptors that a process has open, to be closed when it dies."""
    opened: set[int] | None = process.local.get("descriptors")
    if opened is None:
        opened = process.local["descriptors"] = set()
        process.on_death.append(lambda: _close_all(opened))
    return opened


def _close_all(opened: set[int]) -> None:
    for descriptor in opened:
        _locks.pop(descriptor, None)
        with contextlib.suppress(OSError):
            _real_close(descriptor)
    opened.clear()


def _open(*arguments: Any, **options: Any) -> int:
    thread = running()
    descriptor = _real_open(*arguments, **options)
    if thread is not None:
        _descriptors(thread.process).add(descriptor)
    return descriptor


def _dup(descriptor: int) -> int:
    thread = running()
    copy = _real_dup(descriptor)
    if thread is not None:
        _descriptors(thread.process).add(copy)
    return copy


def _close(descriptor: int) -> None:
    thread = running()
    if thread is not None:
        opened = _descriptors(thread.process)
        if descriptor not in opened:
            raise OSError(9, "Bad file descriptor")
        opened.discard(descriptor)
        _locks.pop(descriptor, None)
    _real_close(descriptor)


def _write(descriptor: int, data: Any) -> int:
    thread = running()
    written = _real_write(descriptor, data)
    if thread is not None:
        inode = os.fstat(descriptor).st_ino
        for process in thread.process.world.processes:
            for loop in process.loops if process.alive else ():
                loop.written(inode)
    return written


def _fdatasync(descriptor: int) -> None:
    """Take the time of a disk, and remember what is safe now (`installation.Installation.crash`)."""
    thread = running()
    if thread is not None:
        disk = thread.process.local.get("disk")
        if disk is not None:
            disk.wait(thread, disk.sync_delay)
            disk.fail()
            status = os.fstat(descriptor)
            content = Path(f"/proc/self/fd/{descriptor}").read_bytes()
            disk.synced[status.st_dev, status.st_ino] = content
    _real_fdatasync(descriptor)


_real_open, _real_close, _real_dup, _real_write = os.open, os.close, os.dup, os.write
_real_fdatasync = os.fdatasync
_locks: dict[int, int] = {}  # descriptor: inode


def _fcntl(descriptor: int, command: int, argument: Any = 0) -> Any:
    """Answer for locks of open file descriptions: their owner is the descriptor here."""
    if running() is None or command not in (_SETLK, _GETLK):
        return _real_fcntl(descriptor, command, argument)
    inode = os.fstat(descriptor).st_ino
    held = any(other == inode and number != descriptor for number, other in _locks.items())
    if command == _GETLK:
        kind = fcntl.F_WRLCK if held else fcntl.F_UNLCK
        return struct.pack("h", kind) + bytes(argument)[2:]
    if held:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    _locks[descriptor] = inode
    return argument


_SETLK = getattr(fcntl, "F_OFD_SETLK", 37)
_GETLK = getattr(fcntl, "F_OFD_GETLK", 36)
_real_fcntl = fcntl.fcntl


def forget_locks() -> None:
    """The world is over."""
    _locks.clear()


REPLACED: list[tuple[Any, str, Any]] = [
    (os, "open", _open),
    (os, "close", _close),
    (os, "dup", _dup),
    (os, "write", _write),
    (os, "fdatasync", _fdatasync),
    (fcntl, "fcntl", _fcntl),
]
