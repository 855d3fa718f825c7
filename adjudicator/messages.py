"""What is said between a query processor and the adjudicator of its cluster.

A connection begins with a Hello that names the cluster. A request is one kind byte and raw bytes; a
reply is fixed: the transaction it is about, what happened, and the commit timestamp (of a conflict that of
the commit which it has met, if that is known). Replies to one
connection may overtake each other, hence the identifier.

LISTEN asks for a feed of what transactions notify (`adjudicator.notifying`). It is answered by what comes
unasked from then on, under the name that the asker has given it.
"""

from __future__ import annotations

import enum
import struct
from typing import Annotated

import msgspec

from dsql.transaction.interface import Notification

TRANSACTION_ID_BYTES = 16

# What may wait for answers on one connection: the commits of all sessions of a query processor.
REQUESTS_MAX = 1_024
REQUESTS_BYTES_MAX = 64 * 1024 * 1024

_REPLY = struct.Struct(">16sBQ")
_STATUS = struct.Struct(">16sQ")
_LENGTH = struct.Struct(">I")


class Request(enum.IntEnum):
    """The first byte of a request."""

    COMMIT = 1  # then an encoded WriteSet
    STATUS = 2  # then the transaction's id and its start timestamp
    HEARTBEAT = 3  # then 16 bytes of the caller's choice; appends a record, so that time moves on
    LISTEN = 4  # then a feed's name and the timestamp that it begins behind; 0: no feed any more
    COMMIT_IF = 5  # then the length of encoded Premises, these, and an encoded WriteSet


class Verdict(enum.IntEnum):
    """What a reply says."""

    COMMITTED = 1
    DATA_CONFLICT = 2
    SCHEMA_CONFLICT = 3
    UNKNOWN = 4  # not the leader any more, or the transaction is older than what is remembered
    ABORTED = 5  # to STATUS: it is not in the journal and never will be
    REFUSED = 6  # the request is malformed; nothing was done
    FULL = 7  # the journals' disks are full; nothing was done
    NOT_LEADER = (
        8  # nothing was done; the timestamp is 1 + the index of the leader's zone, sorted, or 0
    )
    UNAVAILABLE = 9  # nobody can commit now, for want of journal replicas; nothing was done
    UNDECIDED = 10  # it may be in a journal; for want of others nobody can tell what becomes of it
    BEHIND = 11  # storage does not keep up with the journal; nothing was done
    # Said unasked:
    DIED = 12  # about nothing: the timestamp is as of NOT_LEADER, of a zone that has died
    HEARD = 13  # about a feed: it has come to the timestamp; then the notifications that this commit tells
    FORGOTTEN = 14  # about a feed: the journal has not all any more that comes behind its beginning


_KEY_BYTES_MAX = 64 * 1024  # far above what KEY_BYTES_MAX of values are encoded to
_ENTRIES_MAX = 500_000  # more than a transaction has room for, and what is remembered stays bounded


class KeyEntry(msgspec.Struct, array_like=True, gc=False):
    """The first two fields of a write set's check or write; a value behind them is skipped."""

    key: Annotated[bytes, msgspec.Meta(min_length=1, max_length=_KEY_BYTES_MAX)]
    mode: int


_Entries = Annotated[list[KeyEntry], msgspec.Meta(max_length=_ENTRIES_MAX)]
# How much a transaction can have read (`dsql.transaction.read_set`), and how long it can have lasted.
_KEYS_READ_MAX, _RANGES_READ_MAX, _DELAY_MAX = 8_192, 2_048, 2**40
_Delays = Annotated[
    tuple[Annotated[int, msgspec.Meta(ge=0, le=_DELAY_MAX)], ...],
    msgspec.Meta(max_length=_ENTRIES_MAX),
]
_KeyRead = Annotated[bytes, msgspec.Meta(max_length=_KEY_BYTES_MAX)]


class WriteSetKeys(msgspec.Struct, array_like=True, gc=False):
    """A WriteSet as the adjudicator reads it: everything but the values."""

    transaction_id: bytes
    start_timestamp: int
    checks: _Entries
    writes: _Entries


class PremisesRead(msgspec.Struct, array_like=True, gc=False):
    """Premises as the adjudicator reads them: bounded."""

    check_delays: _Delays
    write_delays: _Delays
    keys: Annotated[tuple[_KeyRead, ...], msgspec.Meta(max_length=_KEYS_READ_MAX)]
    ranges: Annotated[
        tuple[tuple[_KeyRead, _KeyRead], ...], msgspec.Meta(max_length=_RANGES_READ_MAX)
    ]

    def newest(self, start: int) -> int:
        """Return the newest timestamp at which the transaction has read anything."""
        if not (self.check_delays or self.write_delays):
            return start
        return start + max(*self.check_delays, *self.write_delays, 0)


class WriteSetNotifications(msgspec.Struct, array_like=True, gc=False):
    """The last field of a WriteSet, still encoded; what comes before it is skipped."""

    transaction_id: msgspec.Raw
    start_timestamp: msgspec.Raw
    checks: msgspec.Raw
    writes: msgspec.Raw
    notifications: msgspec.Raw = msgspec.Raw(b"")


class WriteSetIdentity(msgspec.Struct, array_like=True, gc=False):
    """The first two fields of a WriteSet."""

    transaction_id: bytes
    start_timestamp: int


NO_PREMISES = PremisesRead((), (), (), ())

decode_keys = msgspec.msgpack.Decoder(WriteSetKeys).decode
decode_premises = msgspec.msgpack.Decoder(PremisesRead).decode
decode_identity = msgspec.msgpack.Decoder(WriteSetIdentity).decode
decode_notifications = msgspec.msgpack.Decoder(tuple[Notification, ...]).decode
_find_notifications = msgspec.msgpack.Decoder(WriteSetNotifications).decode
_COMMITS = bytes((Request.COMMIT,)), bytes((Request.COMMIT_IF,))
_NO_NOTIFICATIONS = (b"", msgspec.msgpack.encode(()))


def encode_reply(transaction_id: bytes, verdict: Verdict, timestamp: int = 0) -> bytes:
    """Return a reply's body."""
    return _REPLY.pack(transaction_id, verdict, timestamp)


def encode_commit(write_set: bytes, premises: bytes) -> bytes:
    """Return a request to commit an encoded WriteSet, if encoded Premises hold; b"": there are none."""
    if not premises:
        return bytes((Request.COMMIT,)) + write_set
    return bytes((Request.COMMIT_IF,)) + _LENGTH.pack(len(premises)) + premises + write_set


def is_commit(request: bytes) -> bool:
    """Return whether a request asks for a commit."""
    return request[:1] in _COMMITS


def split_commit(request: bytes) -> tuple[bytes, bytes]:
    """Return what `encode_commit` was given. Raises struct.error."""
    if request[0] == Request.COMMIT:
        return request[1:], b""
    begin = 1 + _LENGTH.size
    end = begin + _LENGTH.unpack_from(request, 1)[0]
    return request[end:], request[begin:end]


def encode_refusal(transaction_id: bytes, zone: int | None) -> bytes:
    """Return the reply of a zone that does not lead; `zone` is the index of the one that does, if known."""
    return encode_reply(transaction_id, Verdict.NOT_LEADER, 0 if zone is None else zone + 1)


def encode_death(zone: int) -> bytes:
    """Return the notice that the zone with this index has died."""
    return encode_reply(bytes(TRANSACTION_ID_BYTES), Verdict.DIED, zone + 1)


def subject_of(request: bytes) -> bytes:
    """Return the transaction id that a request is about. Raises ValueError, struct.error."""
    kind = request[0] if request else 0
    if is_commit(request):
        return decode_identity(split_commit(request)[0]).transaction_id
    if kind == Request.STATUS:
        return decode_status(request)[0]
    if kind == Request.HEARTBEAT and len(request) == 1 + TRANSACTION_ID_BYTES:
        return request[1:]
    raise ValueError(f"there is no request {kind}")


def decode_reply(body: bytes) -> tuple[bytes, int, int]:
    """Return (transaction id, verdict, timestamp); notifications follow behind. Raises struct.error."""
    transaction_id, verdict, timestamp = _REPLY.unpack_from(body)
    return transaction_id, verdict, timestamp


def encode_heard(feed: bytes, timestamp: int, notifications: bytes = b"") -> bytes:
    """Return what a feed says that has come to a commit, with the encoded notifications of that."""
    return encode_reply(feed, Verdict.HEARD, timestamp) + notifications


def heard_notifications(body: bytes) -> tuple[Notification, ...]:
    """Return the notifications in what a feed says. Raises msgspec.DecodeError."""
    told = body[_REPLY.size :]
    return decode_notifications(told) if told else ()


def find_notifications(write_set: bytes) -> bytes:
    """Return the encoded notifications of an encoded WriteSet, b"" for none.

    Raises msgspec.DecodeError for what is no write set.
    """
    found = bytes(_find_notifications(write_set).notifications)
    return b"" if found in _NO_NOTIFICATIONS else found


def encode_listen(feed: bytes, timestamp: int) -> bytes:
    """Return the body of a LISTEN request. `feed`: 16 bytes, new for each."""
    return bytes((Request.LISTEN,)) + _STATUS.pack(feed, timestamp)


def encode_status(transaction_id: bytes, start_timestamp: int) -> bytes:
    """Return the body of a STATUS request."""
    return bytes((Request.STATUS,)) + _STATUS.pack(transaction_id, start_timestamp)


def decode_status(body: bytes) -> tuple[bytes, int]:
    """Return (transaction id, start timestamp) of a STATUS request, or a LISTEN. Raises struct.error."""
    transaction_id, start_timestamp = _STATUS.unpack_from(body, 1)
    return transaction_id, start_timestamp
