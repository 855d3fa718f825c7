"""What clients saw, and whether the journal agrees: the white-box checker.

The journal gives the total order of all commits, so every rule is one pass over it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import msgspec

from dsql.transaction.interface import Mode, WriteSet
from journal.messages import Record, RecordKind

decode_write_set = msgspec.msgpack.Decoder(WriteSet).decode

_MEETS = {
    Mode.EXCLUSIVE: (Mode.EXCLUSIVE, Mode.NON_KEY, Mode.SHARE),
    Mode.NON_KEY: (Mode.EXCLUSIVE, Mode.NON_KEY),
    Mode.SHARE: (Mode.EXCLUSIVE,),
    Mode.BLIND: (),
    Mode.CATALOG: (Mode.EXCLUSIVE,),
}


class ViolationError(Exception):
    """A promise of the protocol was broken."""


@dataclass
class History:
    """Events of the clients, in the order of virtual time."""

    begun: list[tuple[int, int]] = field(default_factory=list)  # (time, start timestamp)
    acknowledged: dict[bytes, tuple[int, int]] = field(
        default_factory=dict
    )  # id: (time, timestamp)
    aborted: set[bytes] = field(default_factory=set)

    def check(self, journal: list[Record]) -> None:
        """Raise ViolationError if the journal contradicts what the clients were told."""
        _check_order(journal)
        committed = _committed(journal)
        for transaction_id, (_, timestamp) in self.acknowledged.items():
            if committed.get(transaction_id) != timestamp:
                raise ViolationError(f"acknowledged commit at {timestamp} is not in the journal")
        for transaction_id in self.aborted:
            if transaction_id in committed:
                raise ViolationError(f"abort told of the commit at {committed[transaction_id]}")
        _check_conflicts(journal)
        self._check_real_time()

    def _check_real_time(self) -> None:
        """A transaction that begins after an acknowledgement must start at or above it."""
        acknowledged = sorted(self.acknowledged.values())
        newest = position = 0
        for time, start in sorted(self.begun):
            while position < len(acknowledged) and acknowledged[position][0] < time:
                newest = max(newest, acknowledged[position][1])
                position += 1
            if start < newest:
                raise ViolationError(f"began at {start} after {newest} was acknowledged")


def _check_order(journal: list[Record]) -> None:
    for number, record in enumerate(journal, 1):
        if record.sequence != number:
            raise ViolationError(f"record {record.sequence} where {number} belongs")
    for before, after in itertools.pairwise(journal):
        if after.timestamp <= before.timestamp:
            raise ViolationError(f"timestamp {after.timestamp} follows {before.timestamp}")
        if after.epoch < before.epoch:
            raise ViolationError(f"epoch {after.epoch} follows {before.epoch}")


def _committed(journal: list[Record]) -> dict[bytes, int]:
    committed: dict[bytes, int] = {}
    buried: set[bytes] = set()
    for record in journal:
        if record.kind == RecordKind.TOMBSTONE:
            buried.add(record.payload)
        elif record.kind == RecordKind.DATA:
            transaction_id = decode_write_set(record.payload).transaction_id
            if transaction_id in committed:
                raise ViolationError(f"committed twice, the second time at {record.timestamp}")
            if transaction_id in buried:
                raise ViolationError(f"committed behind its tombstone, at {record.timestamp}")
            committed[transaction_id] = record.timestamp
    return committed


def _check_conflicts(journal: list[Record]) -> None:
    """No two commits may meet on a key with one's commit inside the other's life (lost update)."""
    newest: dict[tuple[bytes, int], int] = {}
    for record in journal:
        if record.kind != RecordKind.DATA:
            continue
        write_set = decode_write_set(record.payload)
        entries = [*write_set.checks, *((key, mode) for key, mode, _ in write_set.writes)]
        for key, mode in entries:
            for met in _MEETS[Mode(mode)]:
                if newest.get((key, met), 0) > write_set.start_timestamp:
                    raise ViolationError(f"lost update of {key!r} at {record.timestamp}")
        for key, mode in entries:
            newest[key, mode] = record.timestamp
