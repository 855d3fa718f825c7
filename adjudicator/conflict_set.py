"""Who wrote what last, and whether a transaction may commit: optimistic concurrency control, free of I/O.

For every key committed within the window the set knows the last commit timestamp in each mode class.
A transaction conflicts if one of its keys was committed after the transaction's start in a class
that its own mode meets (the matrix of `dsql.transaction.interface.Mode`). What is decided counts at
once, before it is durable: if it never becomes durable, neither does anything that comes after it.

A transaction may rest on more than its start (`Premises`): what it writes may have been found as it is
later than that, and what it has read must not have been written since. Who has read ranges of keys meets
every key that was written in them, those of BLIND entries, too.

The set forgets. `floor` is at least the timestamp of everything forgotten, and a transaction that
started below it is a conflict, because nobody can tell any more. Keys are kept in buckets by when they
came, in elapsed time: a wall clock that runs ahead or steps makes nothing older. An expired bucket is taken
apart a few keys with each decision, so that there is never a pause.
A set that has just been made after a change of leaders knows nothing, and its floor is the last
timestamp in the journal that was taken over. It falls as older commits are recalled from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import repeat

from adjudicator.messages import NO_PREMISES, KeyEntry, PremisesRead, WriteSetKeys
from adjudicator.recent_writes import DisjointRanges, RecentWrites
from dsql.limits import TRANSACTION_AGE_SECONDS_MAX
from dsql.transaction.interface import Mode

DATA_CONFLICT = 0
SCHEMA_CONFLICT = -1

_CLOCK_SKEW_SECONDS = 10
WINDOW_MICROSECONDS = (TRANSACTION_AGE_SECONDS_MAX + _CLOCK_SKEW_SECONDS) * 1_000_000
KEYS_MAX = 2_000_000  # about 200 bytes each; with more, the window becomes shorter
_BUCKET_MICROSECONDS = 1_000_000
_EXPIRED_PER_DECISION = 64  # and some for each key: expiry must keep up
_EXPIRED_PER_KEY = 2
_MANY = 64  # entries from which on it pays to look at all of them together

_EXCLUSIVE, _NON_KEY, _SHARE = int(Mode.EXCLUSIVE), int(Mode.NON_KEY), int(Mode.SHARE)
_BLIND, _CATALOG = int(Mode.BLIND), int(Mode.CATALOG)
_MODES = frozenset(map(int, Mode))


class _Bucket:
    """The keys of commits up to `end`, by class (EXCLUSIVE, NON_KEY, SHARE); the first came at `since`.

    `blind` is how many more were written, BLIND.
    """

    __slots__ = ("blind", "end", "keys", "since", "written")

    def __init__(self, since: int) -> None:
        self.since = since
        self.end = 0
        self.blind = 0
        self.written = RecentWrites()
        self.keys: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])


class ConflictSet:
    """The last commits of one cluster's keys.

    `last` is the newest commit timestamp given, `met` that of the commit which the last conflict met.
    `elapsed` is the time that has passed, in microseconds from anywhere; whoever decides keeps it going.
    """

    def __init__(
        self, floor: int, last: int, *, window: int = WINDOW_MICROSECONDS, keys_max: int = KEYS_MAX
    ) -> None:
        self.floor = floor
        self.last = last
        self.met = 0
        self.elapsed = 0
        self._has_forgotten = False
        self._window = window
        self._keys_max = keys_max
        self._exclusive: dict[bytes, int] = {}
        self._non_key: dict[bytes, int] = {}
        self._share: dict[bytes, int] = {}
        self._classes = (self._exclusive, self._non_key, self._share)
        self._blind = 0
        self._buckets: deque[_Bucket] = deque()

    def __len__(self) -> int:
        return len(self._exclusive) + len(self._non_key) + len(self._share) + self._blind

    def decide(
        self,
        start: int,
        checks: list[KeyEntry],
        writes: list[KeyEntry],
        now: int,
        premises: PremisesRead = NO_PREMISES,
    ) -> int:
        """Return the commit timestamp of a transaction, DATA_CONFLICT or SCHEMA_CONFLICT.

        Timestamps rise strictly, and above what the transaction has seen. Raises ValueError for a mode that
        does not exist, and for premises of another write set.
        """
        self.met = 0
        schema_conflict = False
        data_conflict = start < self.floor or self._has_read_more(start, premises)
        for entries, found in (
            (checks, _found_at(start, checks, premises.check_delays)),
            (writes, _found_at(start, writes, premises.write_delays)),
        ):
            if len(entries) >= _MANY and self._all_unknown(entries):
                continue
            for entry, found_at in zip(entries, found, strict=False):
                newest = self._newest_met(entry.key, entry.mode)
                if newest > found_at:
                    self.met = max(newest, self.met)
                    if entry.mode == _CATALOG:
                        schema_conflict = True
                    else:
                        data_conflict = True
        self._expire(_EXPIRED_PER_DECISION + _EXPIRED_PER_KEY * len(writes))
        if schema_conflict:  # to run again on the outdated catalog would be in vain
            return SCHEMA_CONFLICT
        if data_conflict:
            return DATA_CONFLICT
        timestamp = self.next_timestamp(max(now, premises.newest(start) + 1))
        self._record(timestamp, checks, writes)
        return timestamp

    def recall(self, older: list[tuple[int, WriteSetKeys]], floor: int) -> bool:
        """Take in the commits (timestamp, keys) right below the floor, which falls to `floor`.

        Return whether more can be recalled: not once the set is full, or has begun to forget.
        """
        if self._has_forgotten:
            return False
        bucket = _Bucket(self.elapsed)
        bucket.end = self.floor
        for timestamp, keys in reversed(older):
            for entries in (keys.checks, keys.writes):
                for entry in entries:
                    mode = entry.mode
                    if mode <= _SHARE and entry.key not in self._classes[mode]:
                        self._classes[mode][entry.key] = timestamp
                        bucket.keys[mode].append(entry.key)
        for timestamp, keys in older:
            self._note_writes(bucket, timestamp, keys.writes)
        self._buckets.appendleft(bucket)
        self.floor = floor
        return len(self) < self._keys_max

    def next_timestamp(self, now: int) -> int:
        """Return a timestamp that is used up by this: `now`, or one more than the last."""
        self.last = timestamp = max(now, self.last + 1)
        return timestamp

    def _all_unknown(self, entries: list[KeyEntry]) -> bool:
        """Return whether the set knows none of the keys in any class, as in a bulk load."""
        keys = [entry.key for entry in entries]
        return {entry.mode for entry in entries} <= _MODES and all(
            known.keys().isdisjoint(keys) for known in self._classes if known
        )

    def _has_read_more(self, start: int, premises: PremisesRead) -> bool:
        """Return whether something that was read was written since."""
        newest = 0
        for key in premises.keys:
            newest = max(newest, self._exclusive.get(key, 0), self._non_key.get(key, 0))
        if premises.ranges and newest <= start:
            ranges = DisjointRanges(premises.ranges)
            for bucket in reversed(self._buckets):
                if bucket.end <= start or newest > start:
                    break
                newest = bucket.written.newest_within(ranges, start)
        if newest <= start:
            return False
        self.met = newest
        return True

    def _newest_met(self, key: bytes, mode: int) -> int:
        """Return the newest commit of `key` in the classes that `mode` meets, 0 if there is none."""
        if mode == _BLIND:
            return 0
        newest = self._exclusive.get(key, 0)
        if mode in (_SHARE, _CATALOG):
            return newest
        newest = max(newest, self._non_key.get(key, 0))
        if mode == _NON_KEY:
            return newest
        if mode == _EXCLUSIVE:
            return max(newest, self._share.get(key, 0))
        raise ValueError(f"there is no mode {mode}")

    def _record(self, timestamp: int, checks: list[KeyEntry], writes: list[KeyEntry]) -> None:
        buckets = self._buckets
        if not buckets or self.elapsed - buckets[-1].since >= _BUCKET_MICROSECONDS:
            buckets.append(_Bucket(self.elapsed))
        bucket = buckets[-1]
        bucket.end = timestamp
        self._note_writes(bucket, timestamp, writes)
        for entries in (checks, writes):
            if len(entries) >= _MANY:
                for mode, known in enumerate(self._classes):
                    keys = [entry.key for entry in entries if entry.mode == mode]
                    known.update(dict.fromkeys(keys, timestamp))
                    bucket.keys[mode].extend(keys)
                continue
            for entry in entries:
                mode = entry.mode
                if mode <= _SHARE:
                    self._classes[mode][entry.key] = timestamp
                    bucket.keys[mode].append(entry.key)

    def _note_writes(self, bucket: _Bucket, timestamp: int, writes: list[KeyEntry]) -> None:
        """Note what was written, for who reads ranges."""
        blind = 0
        for entry in writes:
            blind += entry.mode == _BLIND
            bucket.written.keys.append(entry.key)
        bucket.written.end_commit(timestamp)
        bucket.blind += blind
        self._blind += blind

    def _expire(self, budget: int) -> None:
        """Forget up to `budget` keys if there is something to forget."""
        if not self._buckets:
            return
        oldest = self._buckets[0]
        newest_since = oldest.since + _BUCKET_MICROSECONDS
        if newest_since >= self.elapsed - self._window and len(self) <= self._keys_max:
            return
        self._has_forgotten = True
        self.floor = max(self.floor, oldest.end)
        for known, keys in zip(self._classes, oldest.keys, strict=True):
            while keys and budget:
                key = keys.pop()
                budget -= 1
                if known.get(key, oldest.end + 1) <= oldest.end:  # not written again since
                    del known[key]
        if budget:
            self._blind -= oldest.blind
            self._buckets.popleft()


def _found_at(start: int, entries: list[KeyEntry], delays: tuple[int, ...]) -> Iterable[int]:
    """Return when each entry was found as it is. Raises ValueError if the delays are of others."""
    if not delays:
        return repeat(start)
    if len(delays) != len(entries):
        raise ValueError(f"{len(delays)} delays for {len(entries)} entries")
    return [start + delay for delay in delays]
