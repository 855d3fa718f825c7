"""Looking for damage in an environment that is in use: every page and every row, a slice at a time.

A slice holds one LMDB transaction for about a millisecond, reads its pages from the file
(`storage.page_walk`), verifies the rows' checksums, and remembers the key to go on behind. So a pass sees
each key in some state, never holds pages for long, takes no part in what readers and the writer do, and
cannot be crashed by what it finds.
"""

from __future__ import annotations

import time

from storage.checkpoint import Checkpoints
from storage.databases import NAMES
from storage.mvcc import verify
from storage.page_walk import DamagedPageError

SLICE_SECONDS = 0.001


class Scrubber:
    """One pass after another over an environment."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._database = 0  # of NAMES
        self._start = b""

    def slice(self) -> bool:
        """Look at some pages; return whether the pass is complete, and the next one begins.

        To be called outside of the event loop. Raises DamagedPageError, DamagedRowError.
        """
        deadline = time.perf_counter() + SLICE_SECONDS
        name = NAMES[self._database]
        try:
            with self._checkpoints.pinned() as pages:
                if not self._start:
                    for _ in pages.given_up():
                        pass
                for rows in pages.leaves(pages.tree(name), self._start):
                    verify(name, rows)
                    if rows and time.perf_counter() >= deadline:
                        self._start = rows[-1][0] + b"\x00"
                        return False
        except OSError as error:
            raise DamagedPageError(str(error)) from error
        self._start = b""
        self._database = (self._database + 1) % len(NAMES)
        return self._database == 0
