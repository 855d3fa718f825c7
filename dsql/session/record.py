"""A session between two messages, as a value: what another query processor needs to go on with it.

    session --departure--> SessionRecord --encode--> bytes --agent--> decode --> session

A record goes to processes of the same cluster only, which may do all that its session may. Still it may
come from one that a client has taken over: `decode` takes nothing for granted. What the agent has to know,
whose client it is and when it must be woken, it is told beside the record, which it never opens.

A record says what differs from what every session of the cluster begins with, so that most are small.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from dsql.limits import PREPARED_CHARACTERS_MAX
from dsql.locks.session import LocksRecord
from dsql.sequences.record import SequencesRecord
from dsql.session.handed import CIPHERS, TlsState
from dsql.transaction.record import Count, TransactionRecord

VERSION = 5  # of what the fields mean; a process refuses what another version has written
RECORD_BYTES_MAX = 32 * 1024  # a session with a larger one is not parked
MOVED_BYTES_MAX = 96 * 1024  # nor does it move, with a larger one than this
_OID_MAX = 2**32 - 1
_PROCESS_ID_MAX = 2**31 - 1
_RANDOM_BYTES = 625 * 4
_SECRET_BYTES = (32, 48)

Oid = Annotated[int, msgspec.Meta(ge=0, le=_OID_MAX)]
ProcessId = Annotated[int, msgspec.Meta(ge=0, le=_PROCESS_ID_MAX)]

_SESSION_ID_CHARACTERS_MAX = 26


class InvalidRecordError(ValueError):
    """No session can have left this behind."""


class PreparedRecord(msgspec.Struct, array_like=True, frozen=True):
    """A prepared statement: its name and text as the client sent them, in a PREPARE if it came `by_sql`.

    `types` are its parameters' type OIDs as they were settled by the client's declaration and the first
    compilation. `columns` is a digest of its result's columns, which it may never change; empty where
    nothing was compiled. `time`: when it was prepared, microseconds since 1970.
    """

    name: str
    text: str
    types: tuple[Oid, ...] = ()
    columns: bytes = b""
    by_sql: bool = False
    time: Count = 0


class SettingsRecord(msgspec.Struct, array_like=True, frozen=True):
    """Parameters by key, and roles by OID; `role` is SET ROLE's, 0 for none.

    `defaults` are the session's own where they differ from the cluster's, `changed` is what SET and SET
    LOCAL made of them, and `reported` what the client was told where that is no longer so.
    """

    session_role: Oid
    role: Oid = 0
    defaults: dict[str, str] = {}
    changed: dict[str, str] = {}
    reported: dict[str, str] = {}


class ValuesRecord(msgspec.Struct, array_like=True, frozen=True):
    """Parameters where they differ from the session's defaults, and SET ROLE's role, 0 for none."""

    changed: dict[str, str] = {}
    role: Oid = 0


# What SET has made, and that with SET LOCAL on top.
ValuesRecords = tuple[ValuesRecord, ValuesRecord]


# Isolation level, READ ONLY, DEFERRABLE.
ModesRecord = tuple[
    Literal["serializable", "repeatable read", "read committed", "read uncommitted"], bool, bool
]


class SavepointRecord(msgspec.Struct, array_like=True, frozen=True):
    """See `dsql.session.block`. `statement` is the number of the one that it stands before."""

    name: str
    statement: Count
    settings: ValuesRecords
    ddl_statements: Count
    writes: bool
    modes: ModesRecord


class UsedRecord(msgspec.Struct, array_like=True, frozen=True):
    """What allowed queries of a transaction: keys to be checked at its commit, and the role of them.

    `used_at`: see `dsql.session.progress`; 0: at the present snapshot.
    """

    version_keys: tuple[bytes, ...]
    role: Oid
    used_at: Count = 0


class ReplayRecord(msgspec.Struct, array_like=True, frozen=True):
    """A statement that may have to run again: its text and what it was compiled and run with.

    `declared` are its parameters' types as they were given to the compiler, None for none; `parameters`
    are in binary format, `formats` those of the columns. Of the answer, which the client has, there is a
    digest. `reads_first`: nothing was written or locked by its end.
    """

    text: str
    declared: tuple[Oid, ...] | None
    parameters: tuple[bytes | None, ...]
    formats: tuple[int, ...]
    timestamp: int
    digest: bytes
    reads_first: bool = False


class BlockRecord(msgspec.Struct, array_like=True, frozen=True):
    """A transaction of a session: see `dsql.session.block` for what the fields are.

    `state` is that of the block. `settings`, if the transaction has changed any, are those at its beginning
    and those of SET without LOCAL. `looked`: it knows its catalog. `has_id`: it was given an id.
    """

    state: Literal["implicit", "open", "failed"]
    transaction: TransactionRecord | None
    started_at: Count = 0
    modes: ModesRecord = ("repeatable read", False, False)
    ddl_statements: Count = 0
    catalog_changed: bool = False
    writes: bool = False
    has_read: bool = False
    jobs_requested: bool = False
    looked: bool = False
    used: tuple[UsedRecord, ...] = ()
    savepoints: tuple[SavepointRecord, ...] = ()
    settings: ValuesRecords | None = None
    replay: tuple[ReplayRecord, ...] = ()
    has_id: bool = False


class PortalRecord(msgspec.Struct, array_like=True, frozen=True):
    """The unnamed portal, run to its end: its description, and what one more Execute answers.

    An empty `epilogue` stands for an error (55000).
    """

    description: bytes
    epilogue: bytes


class RandomRecord(msgspec.Struct, array_like=True, frozen=True):
    """The generator of a session that has called setseed(): 625 numbers of 32 bits, and half a pair."""

    numbers: bytes
    half: float | None


class ListeningRecord(msgspec.Struct, array_like=True, frozen=True):
    """Channels, each with the timestamp behind which it is listened to; up to `heard` all was told."""

    channels: tuple[tuple[str, Count], ...]
    heard: Count


class SessionRecord(msgspec.Struct, array_like=True, frozen=True):
    """See the module.

    `tls` is None for a client whose relay decrypts. `partial` is what has come of the next message,
    `skipping` says that it is passed over up to the next Sync. `session_id` is empty as long as nobody has
    asked for it. `block` is the transaction, None outside of one. `deadline` is the end of the session's
    age and `quiet_since` the beginning of the client's turn, both in seconds of the host's monotonic clock.
    `process_id` is of its BackendKeyData, by which log lines name its connection; `address` and `since` are
    where it came from and when, in microseconds since 1970.
    """

    version: int
    tls: TlsState | None
    deadline: float
    quiet_since: float
    process_id: ProcessId
    settings: SettingsRecord
    partial: bytes = b""
    skipping: bool = False
    statements: tuple[PreparedRecord, ...] = ()
    random: RandomRecord | None = None
    session_id: str = ""
    block: BlockRecord | None = None
    portal: PortalRecord | None = None
    address: str = ""
    since: Count = 0
    sequences: SequencesRecord | None = None
    listening: ListeningRecord | None = None
    locks: LocksRecord | None = None


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SessionRecord).decode


def decode(data: bytes, heard: int = 0) -> SessionRecord:
    """Return an encoded record; up to the timestamp `heard` it has nothing to hear.

    Raises InvalidRecordError.
    """
    try:
        record = _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRecordError(str(error)) from None
    if record.version != VERSION:
        raise InvalidRecordError(f"a record of version {record.version}")
    if record.tls is not None:
        _check_tls(record.tls)
    if not (math.isfinite(record.deadline) and math.isfinite(record.quiet_since)):
        raise InvalidRecordError("a time that never comes")
    if len({statement.name for statement in record.statements}) != len(record.statements):
        raise InvalidRecordError("two statements of one name")
    if sum(len(statement.text) for statement in record.statements) > PREPARED_CHARACTERS_MAX:
        raise InvalidRecordError("statements that are too long together")
    if len(record.session_id) > _SESSION_ID_CHARACTERS_MAX:
        raise InvalidRecordError("no session's id")
    if record.random is not None and len(record.random.numbers) != _RANDOM_BYTES:
        raise InvalidRecordError("no generator's state")
    if record.sequences is not None and not record.sequences.is_sound():
        raise InvalidRecordError("values of no sequence")
    if record.listening is not None and heard > record.listening.heard:
        listening = msgspec.structs.replace(record.listening, heard=heard)
        record = msgspec.structs.replace(record, listening=listening)
    transaction = record.block and record.block.transaction
    if transaction and not math.isfinite(transaction.started_at):
        raise InvalidRecordError("a transaction that never began")
    return record


def _check_tls(state: TlsState) -> None:
    if state.cipher not in CIPHERS:
        raise InvalidRecordError("an unknown cipher")
    if not len(state.read_secret) == len(state.write_secret) in _SECRET_BYTES:
        raise InvalidRecordError("secrets of no cipher's length")
    if not (0 <= state.read_sequence < 2**63 and 0 <= state.write_sequence < 2**63):
        raise InvalidRecordError("sequence numbers out of bounds")
