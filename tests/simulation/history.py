"""What clients saw, and whether the journal agrees: the white-box checker.

The journal gives the total order of all commits, so every rule is one pass over it.
"""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass, field

import msgspec

from dsql.transaction.interface import Mode, WriteSet
from journal.messages import Record, RecordKind

from .world import ViolationError

decode_write_set = msgspec.msgpack.Decoder(WriteSet).decode

_MEETS = {
    Mode.EXCLUSIVE: (Mode.EXCLUSIVE, Mode.NON_KEY, Mode.SHARE),
    Mode.NON_KEY: (Mode.EXCLUSIVE, Mode.NON_KEY),
    Mode.SHARE: (Mode.EXCLUSIVE,),
    Mode.BLIND: (),
    Mode.CATALOG: (Mode.EXCLUSIVE,),
}

Rows = list[tuple[bytes, bytes]]

READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE = LEVELS = (
    "read committed",
    "repeatable read",
    "serializable",
)


@dataclass
class Attempt:
    """One transaction as its client knows it. Times are the world's; `outcome` "" is none yet.

    "unknown" (the client was told so, or has died) may be committed or not; "failed" did not get so far.
    Reads and scans end with the timestamp of their snapshot; `found_at` has those of writes and checks.
    """

    client: str
    begun_at: int
    level: str
    start: int = 0
    started_at: int = 0
    ended_at: int = 0
    timestamp: int = 0
    outcome: str = ""
    error: str = ""
    transaction_ids: list[bytes] = field(default_factory=list)
    reads: list[tuple[bytes, bytes | None, int]] = field(default_factory=list)
    scans: list[tuple[bytes, bytes, Rows, int]] = field(default_factory=list)
    found_at: dict[bytes, int] = field(default_factory=dict)
    checks: list[tuple[bytes, Mode]] = field(default_factory=list)
    writes: list[tuple[bytes, Mode, bytes | None]] = field(default_factory=list)
    misled: bool = False  # it may have read rows that were damaged, and not looked at yet

    def __str__(self) -> str:
        return (
            f"{self.outcome} {self.error} {self.level} start {self.start} commit {self.timestamp}"
        )


class Versions:
    """Every version of every key, as the journal's records make them."""

    def __init__(self, journal: list[Record]) -> None:
        self._stamps: dict[bytes, list[int]] = {}
        self._values: dict[bytes, list[bytes | None]] = {}
        for record in journal:
            if record.kind == RecordKind.DATA:
                for key, _, value in decode_write_set(record.payload).writes:
                    self._stamps.setdefault(key, []).append(record.timestamp)
                    self._values.setdefault(key, []).append(value)

    def at(self, key: bytes, timestamp: int) -> bytes | None:
        """Return the newest value of a key at or below a timestamp."""
        index = bisect.bisect_right(self._stamps.get(key, []), timestamp)
        return self._values[key][index - 1] if index else None

    def changed_within(self, low: bytes, high: bytes, after: int, before: int) -> bool:
        """Return whether a key with low <= key < high has a version from between two timestamps."""
        return any(
            bisect.bisect_right(stamps, after) < bisect.bisect_left(stamps, before)
            for key, stamps in self._stamps.items()
            if low <= key < high
        )

    def rows(self, low: bytes, high: bytes, timestamp: int) -> Rows:
        """Return what a scan at a timestamp must see."""
        keys = sorted(key for key in self._stamps if low <= key < high)
        rows = [(key, self.at(key, timestamp)) for key in keys]
        return [(key, value) for key, value in rows if value is not None]


@dataclass
class History:
    """All attempts of a run, in the order in which they began. `pace`: seconds between a client's two."""

    pace: float = 0.1
    attempts: list[Attempt] = field(default_factory=list)

    def check(self, journal: list[Record]) -> None:
        """Raise ViolationError if the journal contradicts what the clients were told."""
        _check_order(journal)
        committed = _committed(journal)
        self._check_outcomes(committed)
        attempts = {name: each for each in self.attempts for name in each.transaction_ids}
        _check_conflicts(journal, attempts)
        versions = Versions(journal)
        self._check_reads(versions)
        _check_serializable(committed, attempts, versions)
        self._check_real_time()

    def count(self, outcome: str) -> int:
        """Return how many attempts ended so."""
        return sum(attempt.outcome == outcome for attempt in self.attempts)

    def _check_outcomes(self, committed: dict[int, WriteSet]) -> None:
        values = {
            value: timestamp
            for timestamp, write_set in committed.items()
            for _, _, value in write_set.writes
            if value is not None
        }
        for attempt in self.attempts:
            if attempt.outcome == "committed" and attempt.timestamp:
                found = committed.get(attempt.timestamp)
                if found is None:
                    raise ViolationError(f"acknowledged, and not in the journal: {attempt}")
                written = {key: value for key, _, value in found.writes}
                if written != {key: value for key, _, value in attempt.writes}:
                    raise ViolationError(f"acknowledged with another one's writes: {attempt}")
            elif attempt.outcome in ("aborted", "failed"):
                for _, _, value in attempt.writes:
                    if value is not None and value in values:
                        raise ViolationError(f"told {attempt}, committed at {values[value]}")

    def _check_reads(self, versions: Versions) -> None:
        for attempt in self.attempts:
            if attempt.misled:
                continue
            for key, value, at in attempt.reads:
                expected = versions.at(key, at)
                if value != expected:
                    raise ViolationError(f"read {key!r} = {value!r}, not {expected!r}: {attempt}")
            for low, high, rows, at in attempt.scans:
                expected_rows = versions.rows(low, high, at)
                if rows != expected_rows:
                    raise ViolationError(f"scanned {rows}, not {expected_rows}: {attempt}")

    def _check_real_time(self) -> None:
        """A transaction that begins after an acknowledgement must start at or above it."""
        acknowledged = sorted(
            (attempt.ended_at, attempt.timestamp)
            for attempt in self.attempts
            if attempt.outcome == "committed"
        )
        newest = position = 0
        for attempt in sorted(self.attempts, key=lambda attempt: attempt.begun_at):
            while position < len(acknowledged) and acknowledged[position][0] < attempt.begun_at:
                newest = max(newest, acknowledged[position][1])
                position += 1
            if attempt.started_at and attempt.start < newest:
                raise ViolationError(f"began after {newest} was acknowledged: {attempt}")


def _check_order(journal: list[Record]) -> None:
    for number, record in enumerate(journal, journal[0].sequence if journal else 1):
        if record.sequence != number:
            raise ViolationError(f"record {record.sequence} where {number} belongs")
    for before, after in itertools.pairwise(journal):
        if after.timestamp <= before.timestamp:
            raise ViolationError(f"timestamp {after.timestamp} follows {before.timestamp}")
        if after.epoch < before.epoch:
            raise ViolationError(f"epoch {after.epoch} follows {before.epoch}")


def _committed(journal: list[Record]) -> dict[int, WriteSet]:
    committed: dict[int, WriteSet] = {}
    seen: dict[bytes, int] = {}
    buried: set[bytes] = set()
    for record in journal:
        if record.kind == RecordKind.TOMBSTONE:
            buried.add(record.payload)
        elif record.kind == RecordKind.DATA:
            write_set = decode_write_set(record.payload)
            transaction_id = write_set.transaction_id
            if transaction_id in seen:
                raise ViolationError(f"committed twice, the second time at {record.timestamp}")
            if transaction_id in buried:
                raise ViolationError(f"committed behind its tombstone, at {record.timestamp}")
            seen[transaction_id] = record.timestamp
            committed[record.timestamp] = write_set
    return committed


def _check_serializable(
    committed: dict[int, WriteSet], attempts: dict[bytes, Attempt], versions: Versions
) -> None:
    """What a serializable transaction has read must be so still when it commits.

    Then it is as if all of them had run one after the other, in the order of their commits.
    """
    for timestamp, write_set in committed.items():
        attempt = attempts[write_set.transaction_id]
        if attempt.level != SERIALIZABLE:
            continue
        ranges = [(key, key + b"\0", at) for key, _, at in attempt.reads]
        ranges += [(low, high, at) for low, high, _, at in attempt.scans]
        for low, high, at in ranges:
            if versions.changed_within(low, high, at, timestamp):
                raise ViolationError(f"committed on a changed {low!r} at {timestamp}: {attempt}")


def _check_conflicts(journal: list[Record], attempts: dict[bytes, Attempt]) -> None:
    """No key may be committed behind what a transaction has found, and before it commits (lost update)."""
    newest: dict[tuple[bytes, int], int] = {}
    for record in journal:
        if record.kind != RecordKind.DATA:
            continue
        write_set = decode_write_set(record.payload)
        found_at = attempts[write_set.transaction_id].found_at
        entries = [*write_set.checks, *((key, mode) for key, mode, _ in write_set.writes)]
        for key, mode in entries:
            for met in _MEETS[Mode(mode)]:
                if newest.get((key, met), 0) > found_at[key]:
                    raise ViolationError(f"lost update of {key!r} at {record.timestamp}")
        for key, mode in entries:
            newest[key, mode] = record.timestamp
