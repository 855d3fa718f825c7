"""The system calls that Python has no name for, through the C library, with errno as an exception."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform

MACHINE = platform.machine()
_libc = ctypes.CDLL(None, use_errno=True)

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Make a raw system call. Bytes are passed as a pointer. Raises OSError."""
    converted = [
        ctypes.c_long(argument) if isinstance(argument, int) else ctypes.c_char_p(argument)
        for argument in arguments
    ]
    return _check(_libc.syscall(ctypes.c_long(number), *converted))


def prctl(option: int, argument: int | bytes) -> None:
    """Set an attribute of the process. Raises OSError."""
    if isinstance(argument, bytes):
        _check(_libc.prctl(option, ctypes.c_char_p(argument), 0, 0, 0))
    else:
        zero = ctypes.c_ulong(0)
        _check(_libc.prctl(option, ctypes.c_ulong(argument), zero, zero, zero))


def give_back_large_blocks() -> None:
    """Have every allocation of 128 KiB or more go back to the system when it is freed.

    Else the C library raises that size as it goes, and a freed gigabyte may lie below one used byte.
    """
    with contextlib.suppress(AttributeError):  # not every C library has it
        _libc.mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def share_one_heap() -> None:
    """Have all threads allocate from the same memory, so that what one gives back another finds."""
    with contextlib.suppress(AttributeError):
        _libc.mallopt(_M_ARENA_MAX, 1)


def unshare(flags: int) -> None:
    """Move the process into new namespaces. Raises OSError."""
    _check(_libc.unshare(flags))


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send a signal when the parent ends; lost again when the user changes."""
    prctl(PR_SET_PDEATHSIG, signal_number)


def step_back(steps: int) -> None:
    """Raise the process's nice value: whoever else wants a processor is to have most of it.

    The kernel may share processors out among login sessions first, and each role has its own (sched(7)).
    """
    niceness = os.nice(steps)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write(str(niceness))


def set_name(name: str) -> None:
    """Set the name that ps and top show (15 bytes)."""
    prctl(PR_SET_NAME, name.encode()[:15])
