"""A set that can be asked at any time, also while it grows, and goes on in temporary space.

What is written out is sorted by hash, and only the hashes stay in memory, eight bytes each: a key that is
not there is hardly ever looked for on disk.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from dsql.executor.memory import Held, StatementMemory
from dsql.executor.runs import write_run
from dsql.executor.sorting import Sorter
from dsql.executor.spill import RowsByPlace

Key = Any

_HASH_BYTES = 8
_CHUNK_KEYS = 16  # one key is looked for at a time


class KeySet:
    """Generated code adds to `recent`, calls `sample` and `large`, and asks `older` if it is not empty."""

    __slots__ = ("_hashes", "_held", "_memory", "older", "recent")

    def __init__(self, memory: StatementMemory) -> None:
        self.recent: set[Key] = set()
        self.older: list[_Written] = []
        self._memory = memory
        self._held = Held(memory)
        self._hashes = Held(memory)

    def sample(self, key: Key) -> None:
        """Account for the last `SAMPLE_EVERY` keys by this one."""
        self._held.sample_entry(key)
        self._look()

    def large(self, value: Any) -> None:
        """Account for a large value in the last key."""
        self._held.large(value)
        self._look()

    def has_written(self, key: Key) -> bool:
        """Return whether a key is among those that were written out."""
        return any(key in written for written in self.older)

    def _look(self) -> None:
        if self._memory.is_share(self._held.bytes):
            self._spill()

    def _spill(self) -> None:
        keys = list(self.recent)
        sorter = Sorter(self._memory.check_cancel, _by_hash, hash, reverse=False)
        sorter.sort(keys)
        self._hashes.add(len(keys) * _HASH_BYTES)
        hashes = array("q", map(hash, keys))
        self.older.append(
            _Written(hashes, RowsByPlace([write_run(self._memory, keys, _CHUNK_KEYS)]))
        )
        self.recent.clear()
        self._held.clear()


def _by_hash(keys: list[Key]) -> None:
    keys.sort(key=hash)


class _Written:
    """Keys in temporary space, in the order of their hashes."""

    __slots__ = ("_hashes", "_keys")

    def __init__(self, hashes: array[int], keys: Sequence[Key]) -> None:
        assert len(hashes) == len(keys)
        self._hashes = hashes
        self._keys = keys

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def __contains__(self, key: Key) -> bool:
        wanted, hashes = hash(key), self._hashes
        place = bisect_left(hashes, wanted)
        while place < len(hashes) and hashes[place] == wanted:
            if self._keys[place] == key:
                return True
            place += 1
        return False
