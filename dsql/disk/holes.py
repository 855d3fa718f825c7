"""Giving parts of a file back to the file system."""

from __future__ import annotations

import ctypes
import os

_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h
_libc = ctypes.CDLL(None, use_errno=True)


def punch(descriptor: int, offset: int, size: int) -> None:
    """Have zeros stand there that take no room, whole blocks of them. Raises OSError where none can be."""
    result = _libc.fallocate(
        descriptor, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_int64(offset), ctypes.c_int64(size)
    )
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
