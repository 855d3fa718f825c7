"""Locks of an open file description: the kernel drops them with the last process that has it open.

Process namespaces do not matter to them, and a description that is passed on takes its lock along.
"""

from __future__ import annotations

import fcntl
import os
import struct

_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length, pid
_WHOLE_FILE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def lock(descriptor: int) -> None:
    """Lock the whole file for writing. Raises BlockingIOError if somebody has it."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)


def is_locked(descriptor: int) -> bool:
    """Return whether another description holds a lock on the file. Never waits."""
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE_FILE)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
