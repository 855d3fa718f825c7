"""What a journal holds, and what is said to a journal replica.

A connection to a replica begins with a Hello that names the cluster. A leader then sends Claim,
Append, Fetch and AskApplied; a reader Subscribe, Checkpoint, Applied or Locate. The messages that carry
frames, and the encoding of all, are in `journal.codec`.
"""

from __future__ import annotations

import enum

import msgspec


class RecordKind(enum.IntEnum):
    """What a record's payload is."""

    DATA = 0  # an encoded dsql.transaction.interface.WriteSet, just as the query processor sent it
    HEARTBEAT = 1  # nothing: every commit up to the timestamp is before this record
    TOMBSTONE = 2  # a transaction id that can never be appended any more
    EPOCH = 3  # a leader's first record: its adjudicator's name


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of a journal. Sequences rise by one, timestamps strictly, epochs never fall."""

    sequence: int
    epoch: int
    timestamp: int
    kind: int
    payload: bytes


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """What a replica's log spans. An empty log has `last_sequence` = `first_sequence` - 1.

    `epochs`: (epoch, its first sequence in this log), rising; with it two logs find where they part.
    `checkpoint`: every record up to it is on the disk of the AZ's storage.
    """

    first_sequence: int
    last_sequence: int
    last_timestamp: int
    epochs: list[tuple[int, int]]
    checkpoint: int


class Claim(msgspec.Struct, frozen=True, tag="claim", array_like=True):
    """Ask for the promise to refuse every lower epoch. `candidate`: 16 bytes, new for each start.

    Said again by the leader on every new connection; the answer then tells where the logs part. Said
    again with a higher `round`, the answer shows that the replica still stood by its promise after the
    round had begun. `whole_at`, if not 0, tells a lost replica that it counts again if it holds the
    leader's log up to there.
    """

    epoch: int
    candidate: bytes
    round: int = 0
    whole_at: int = 0


class ClaimReply(msgspec.Struct, frozen=True, tag="claim_reply", array_like=True):
    """The promise, on disk before this is said, or the higher one that stands against it.

    `round` is that of the Claim. A `lost` replica has forgotten what it promised; this is no vote.
    """

    epoch: int
    granted: bool
    promised: int
    extent: Extent
    round: int = 0
    lost: bool = False


class StartAt(msgspec.Struct, frozen=True, tag="start_at", array_like=True):
    """Let a lost replica's log begin with `first_sequence`: what is before it nobody keeps any more."""

    epoch: int
    first_sequence: int


class AppendStatus(enum.IntEnum):
    """How an append ended."""

    ACCEPTED = 0
    FENCED = 1  # a higher epoch is promised
    MISMATCH = 2  # the log does not hold the record before the first one
    FULL = 3  # no space; nothing was lost, nothing was added


class AppendReply(msgspec.Struct, frozen=True, tag="append_reply", array_like=True):
    """Everything up to `sequence` is on this replica's disk, just as in the leader's log."""

    epoch: int
    status: int
    promised: int
    sequence: int
    checkpoint: int


class Fetch(msgspec.Struct, frozen=True, tag="fetch", array_like=True):
    """Ask for frames, the first of which holds `from_sequence`, or is the first one that is kept."""

    from_sequence: int
    bytes_max: int


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe", array_like=True):
    """Ask for a Feed of all committed frames from the one that holds `from_sequence`.

    `or_newest`: or from the newest one, if what is committed does not reach so far.
    """

    from_sequence: int
    or_newest: bool = False


class Checkpoint(msgspec.Struct, frozen=True, tag="checkpoint", array_like=True):
    """Records up to `sequence` are on the disk of this AZ's storage."""

    sequence: int


class AskApplied(msgspec.Struct, frozen=True, tag="ask_applied", array_like=True):
    """Ask for an Applied."""


class Applied(msgspec.Struct, frozen=True, tag="applied", array_like=True):
    """The storage of this AZ has applied all records up to `sequence`; -1 if none follows the journal.

    Storage that follows over a socket says it now and then, a replica answers a leader with it.
    """

    sequence: int


class Locate(msgspec.Struct, frozen=True, tag="locate", array_like=True):
    """Ask for a sequence at or before the first record with a timestamp of at least `timestamp`."""

    timestamp: int


class Located(msgspec.Struct, frozen=True, tag="located", array_like=True):
    """The answer to Locate."""

    sequence: int


class Trimmed(msgspec.Struct, frozen=True, tag="trimmed", array_like=True):
    """The subscription begins before the first record that is still kept."""

    first_sequence: int
