"""How much memory a process has taken for itself.

What it maps of files does not count: the kernel takes those pages back as it likes, and a process that
reads a database of gigabytes has as much of it in its page tables before long.
"""

from __future__ import annotations

import os
import resource

# Seven numbers of pages (proc(5)): the second is what is resident, the third what of that is of files.
_STATM_BYTES_MAX = 128


class OwnMemory:
    """Looks at the process that made it, also when it can open nothing any more."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._page_bytes = resource.getpagesize()

    @property
    def resident_bytes(self) -> int:
        """What is in memory and no file's, pages that a fork shares with its parent included."""
        pages = os.pread(self._statm, _STATM_BYTES_MAX, 0).split()
        return (int(pages[1]) - int(pages[2])) * self._page_bytes

    def close(self) -> None:
        """Look no more."""
        os.close(self._statm)
