"""Which clusters were awake in a zone when its process died: the next one opens these, and no others.

So whoever still reads there finds storage that goes on, and what was under way comes to its end without
anybody asking. A mark is an empty file, never synced: one that a crash of the machine takes along is of a
cluster that is woken by whoever comes next.
"""

from __future__ import annotations

import contextlib
from pathlib import Path


class AwakeMarks:
    """The marks in one folder, named by cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def left(self) -> list[str]:
        """Return the clusters that are marked, by whomever."""
        with contextlib.suppress(OSError):
            return sorted(path.name for path in self._folder.iterdir())
        return []

    def add(self, cluster: str) -> None:
        """Mark a cluster; on a full disk it goes without."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / cluster).touch()

    def remove(self, cluster: str) -> None:
        """Take a mark away."""
        with contextlib.suppress(OSError):
            (self._folder / cluster).unlink()
