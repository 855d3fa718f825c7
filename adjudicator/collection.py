"""Collecting cyclic garbage in a process that runs without the cyclic collector.

Its conflict sets hold millions of objects and no cycles, and one full collection would stop every commit
of every cluster for its whole duration. But what a cluster was that has gone to rest is full of cycles:
megabytes, with what LMDB had for it, which the C library keeps as well until it is told not to. So both
are let go of then: while nobody commits, and while there is little to look at, which is known beforehand by
the number of objects that were made.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator

_OBJECTS_MAX = 200_000  # some 20 ms

_libc = ctypes.CDLL(None)


class RestCollector:
    """What clusters at rest have left behind, to be collected when there is time."""

    def __init__(self) -> None:
        self._looks = 0  # until nothing more is to be expected
        self._turn = 0
        self._known = 0  # objects that the last collection has left

    def rested(self) -> None:
        """A cluster has gone to rest; its log and its storage are closed within the next looks."""
        self._looks = 4

    def look(self, *, is_busy: bool) -> None:
        """Collect, if there is anything, nobody commits and it does not take long. Once a second."""
        made = gc.get_count()[0]  # since the last collection, and not gone by themselves
        if not self._looks or is_busy or self._known + made > _OBJECTS_MAX:
            return
        self._looks -= 1
        self._turn += 1
        if self._turn % 2 == 0:
            self._known = max(0, self._known + made - gc.collect())
            with contextlib.suppress(AttributeError):  # it is glibc's
                _libc.malloc_trim(0)


@contextlib.contextmanager
def garbage_collector_off() -> Iterator[None]:
    """Run without the cyclic collector; what exists now is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
