"""What a journal holds, and what is said to a journal replica."""

from __future__ import annotations

import enum

import msgspec


class RecordKind(enum.IntEnum):
    """What a record's payload is."""

    DATA = 0  # an encoded dsql.transaction.interface.WriteSet, just as the query processor sent it
    HEARTBEAT = 1  # nothing: every commit up to the timestamp is before this record
    TOMBSTONE = 2  # a transaction id that can never be appended any more
    EPOCH = 3  # a leader's first record: its adjudicator's name


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a journal. Sequences rise by one, timestamps strictly, epochs never fall."""

    sequence: int
    epoch: int
    timestamp: int
    kind: int
    payload: bytes
