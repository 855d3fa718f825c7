"""Whether the disk still has room for another transaction.

A full disk is told before it is full: what is under way by then, and what the storage replicas have still
to apply, finds its place in a reserve, and nobody is left with a commit of unknown outcome.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

RESERVE_BYTES = 32 * 1024 * 1024
_LOOK_SECONDS = 0.02  # far less than it takes to fill the reserve


class DiskSpace:
    """The disk that `path` is on. Looks at it now and then, and every time while space is low."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._look_at = 0.0
        self._low = False

    @property
    def low(self) -> bool:
        """True if only the reserve is left."""
        now = self._monotonic()
        if self._low or now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            status = os.statvfs(self._path)
            self._low = status.f_bavail * status.f_frsize < RESERVE_BYTES
        return self._low
