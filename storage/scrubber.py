"""Looking for damage in an environment that is in use: every page and every row, a slice at a time.

A slice holds one LMDB transaction for about a millisecond, reads its pages from the file
(`storage.page_walk`), verifies the rows' checksums, and remembers the key to go on behind. So a pass sees
each key in some state, never holds pages for long, takes no part in what readers and the writer do, and
cannot be crashed by what it finds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from storage.checkpoint import Checkpoints
from storage.databases import NAMES
from storage.lmdb_format import read_meta
from storage.mvcc import verify
from storage.page_walk import DamagedPageError, Pages, Row

SLICE_SECONDS = 0.001


class Scrubber:
    """One pass after another over the environment in `directory`."""

    def __init__(self, directory: Path, checkpoints: Checkpoints) -> None:
        self._data = directory / "data.mdb"
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
            with self._checkpoints.pinned() as pin:
                for rows in self._leaves(pin.meta, name):
                    verify(name, rows)
                    if rows and time.perf_counter() >= deadline:
                        self._start = rows[-1][0] + b"\x00"
                        return False
        except OSError as error:
            raise DamagedPageError(str(error)) from error
        self._start = b""
        self._database = (self._database + 1) % len(NAMES)
        return self._database == 0

    def _leaves(self, content: bytes, name: bytes) -> Iterator[list[Row]]:
        meta = read_meta(content)
        assert meta is not None
        size = meta.page_bytes
        descriptor = os.open(self._data, os.O_RDONLY | os.O_CLOEXEC)
        try:
            pages = Pages(
                lambda number, count: os.pread(descriptor, count * size, number * size), meta
            )
            if not self._start:
                for _ in pages.free():
                    pass
            yield from pages.leaves(pages.tree(name), self._start)
        finally:
            os.close(descriptor)
