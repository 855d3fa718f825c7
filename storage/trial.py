"""Whether work on a replica ends the process that does it: marks in a file, which outlive the process.

LMDB does not check its pages. A damaged one may crash the process, or keep it in a loop until it is killed,
and with it go all replicas of the zone; opened again, the replica would do the same. So its writer marks
what it is doing, by stores into a mapped file, and whoever opens the replica next counts a mark that is
still there as a crash. After CRASHES_MAX in a row the environment is not opened any more but made anew.

    word 0  writing, or being opened    2  crashes while it was writing
         1  being read, for afar        3  crashes while it was read

Crashes are forgotten when the same work has gone well: writing after SOUND_SECONDS, reading when every
page has been looked at. The file is locked by the replica's writer for as long as it lives, and nobody
else writes it. A word that is not true, because the writer was killed in the middle or the disk lies,
costs a new copy of the data and no more.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path

from storage.file_lock import lock

TRIAL = "trial"
WRITING, READING = KINDS = range(2)
CRASHES_MAX = 2
SOUND_SECONDS = 30.0  # garbage is collected by then, too

_COUNTED_MAX = 1 << 16  # more is no number that was counted
_WORDS = 2 * len(KINDS)
_BYTES = 8 * _WORDS


class Trial:
    """The mapped file, as the replica's writer has it. `words[WRITING] = 1` marks, 0 unmarks."""

    def __init__(self, replica: Path) -> None:
        """Lock the file, count what the last writer left. Raises BlockingIOError if there is a writer."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(replica / TRIAL, flags, 0o600)
        try:
            lock(self._descriptor)
            os.ftruncate(self._descriptor, _BYTES)
            self._map = mmap.mmap(self._descriptor, _BYTES)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.words = memoryview(self._map).cast("Q")
        for kind in KINDS:
            if self.words[kind]:
                self.words[len(KINDS) + kind] = self._crashes(kind) + 1
                self.words[kind] = 0

    def _crashes(self, kind: int) -> int:
        return min(self.words[len(KINDS) + kind], _COUNTED_MAX)

    def passed(self, *kinds: int) -> None:
        """Forget the crashes of these kinds of work."""
        for kind in kinds:
            self.words[len(KINDS) + kind] = 0

    def close(self) -> None:
        """Unlock."""
        self.words.release()
        self._map.close()
        os.close(self._descriptor)


def crashes(replica: Path) -> int:
    """Return how many writers of the replica in a row have ended in the middle of their work."""
    content = b""
    with contextlib.suppress(FileNotFoundError):
        content = (replica / TRIAL).read_bytes()
    words = memoryview(content.ljust(_BYTES, b"\0")[:_BYTES]).cast("Q")
    return max(words[len(KINDS) + kind] + bool(words[kind]) for kind in KINDS)
