"""A set that can be asked at any time, also while it grows, and goes on in temporary space.

What is written out is in buckets by hash, a chunk of a run each. In memory stay two bytes of each key's
hash: a key that is not there is hardly ever looked for on disk, and one that is, in one place. Neighbouring
numbers share a bucket, and the one that was read last stays: who asks for one key often asks for the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from dsql.executor.memory import SET_ENTRY_BYTES, Held, StatementMemory
from dsql.executor.runs import Run
from dsql.types.size import size_of

Key = Any

_MARK_BYTES = 2
_BUCKET_KEYS = 16  # of one run, on average: they are read together
_BUCKET_BYTES = 16 * 1024  # or fewer, if these are large
_EMPTY_BUCKET_BYTES = 64
_NEIGHBOUR_BITS = 6  # of a number, which do not matter for its bucket


class KeySet:
    """Generated code adds to `recent`, calls `sample` and `large`, and asks `older` if it is not empty."""

    __slots__ = ("_held", "_marks", "_marks_held", "_memory", "_number", "_read", "older", "recent")

    def __init__(self, memory: StatementMemory) -> None:
        self.recent: set[Key] = set()
        self.older: list[Run] = []
        self._marks: list[bytearray] = []  # of each bucket's keys, those of one run after the other
        self._memory = memory
        self._held = Held(memory)
        self._number = -1  # of the bucket of which a chunk was read last
        self._read: set[Key] = set()

    def sample(self, key: Key) -> None:
        """Account for the last `SAMPLE_EVERY` keys by this one."""
        self._held.sample_entry(key)
        self._look()

    def add(self, key: Key) -> None:
        """Add a key of whatever size, if it is not there."""
        if key in self:
            return
        self.recent.add(key)
        self._held.add(SET_ENTRY_BYTES + size_of(key))
        self._look()

    def __contains__(self, key: Key) -> bool:
        return key in self.recent or (bool(self.older) and self.has_written(key))

    def __bool__(self) -> bool:
        return bool(self.recent or self.older)

    def __iter__(self) -> Iterator[Key]:
        return chain(self.recent, *self.older)

    def large(self, value: Any) -> None:
        """Account for a large value in the last key."""
        self._held.large(value)
        self._look()

    def has_written(self, key: Key) -> bool:
        """Return whether a key is among those that were written out; some were."""
        bucket = _group(key) % len(self._marks)
        if bucket == self._number and key in self._read:
            return True
        marks, mark = self._marks[bucket], _mark(key)
        found = marks.find(mark)
        while found >= 0:
            if not found % _MARK_BYTES and key in self._chunk(bucket, found // _MARK_BYTES):
                return True
            found = marks.find(mark, found + 1)
        return False

    def _chunk(self, bucket: int, place: int) -> set[Key]:
        """Return the keys of a bucket that were written out together with the one at a place."""
        for run in self.older:
            count = run.lengths[bucket]
            if place < count:
                self._number, self._read = bucket, set(run.chunk(bucket))
                return self._read
            place -= count
        raise AssertionError("there is a mark for each key")

    def _look(self) -> None:
        if self._memory.is_share(self._held.bytes):
            self._spill()

    def _spill(self) -> None:
        if not self._marks:
            count = max(len(self.recent) // _BUCKET_KEYS, self._held.bytes // _BUCKET_BYTES, 1)
            self._marks_held = Held(self._memory)
            self._marks_held.add(count * _EMPTY_BUCKET_BYTES)
            self._marks = [bytearray() for _ in range(count)]
        self._marks_held.add(len(self.recent) * _MARK_BYTES)
        run = Run(self._memory)
        for bucket in self._buckets():
            run.append_chunk(bucket)
        run.finish()
        self.older.append(run)
        self._number = -1
        self.recent.clear()
        self._held.clear()

    def _buckets(self) -> Iterator[list[Key]]:
        """Yield the recent keys by their buckets, and mark them there."""
        marks = self._marks
        buckets: list[list[Key]] = [[] for _ in marks]
        for key in self.recent:
            place = _group(key) % len(marks)
            buckets[place].append(key)
            marks[place] += _mark(key)
        return iter(buckets)


def _group(key: Key) -> int:
    """Return what chooses a key's bucket: of a hash, which is the number itself where it is of a number."""
    first = key[0] if type(key) is tuple and len(key) == 1 else key
    return hash((hash(first) >> _NEIGHBOUR_BITS,))


def _mark(key: Key) -> bytes:
    """Return bits of the key's hash; a tuple's is mixed, an integer's is not."""
    return (hash((key,)) >> 40 & 0xFFFF).to_bytes(_MARK_BYTES, "big")
