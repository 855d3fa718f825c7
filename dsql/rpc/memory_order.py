"""The order of stores into a mapped file, as processes see it that only load.

x86-64 shows stores in the order in which they were made, and loads in order, too; then `fence` does
nothing. Elsewhere, as on aarch64, it is the system call membarrier(2): every processor that runs anything
passes through a full barrier, so that readers need none themselves. It takes milliseconds, and is right.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable

_MEMBARRIER = {"x86_64": 324, "aarch64": 283}
_GLOBAL = 1  # MEMBARRIER_CMD_GLOBAL: needs no registration of whoever reads
_KEEP_ORDER = ("x86_64",)


def membarrier() -> None:
    """Make all earlier stores visible before all later ones. Raises OSError where the kernel cannot."""
    number = _MEMBARRIER[platform.machine()]
    if _libc.syscall(
        ctypes.c_long(number), ctypes.c_int(_GLOBAL), ctypes.c_uint(0), ctypes.c_int(0)
    ):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def fence_of(machine: str) -> Callable[[], None]:
    """Return what separates two stores on a machine. Raises ImportError for one that is not known."""
    if machine in _KEEP_ORDER:
        return lambda: None
    if machine in _MEMBARRIER:
        return membarrier
    raise ImportError(f"nobody has looked at the order of stores on {machine}")


_libc = ctypes.CDLL(None, use_errno=True)
fence = fence_of(platform.machine())
