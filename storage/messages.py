"""What is said to a storage server over its socket, after the Hello that names the cluster.

Every request is answered by one frame, in order. A read waits until the replica has reached its timestamp.
"""

from __future__ import annotations

import enum

import msgspec

ROWS_PER_REPLY_MAX = 4_096


class Locate(msgspec.Struct, frozen=True, tag="locate", array_like=True):
    """Open the cluster's replica if it is not, and say how far it is. Answer: Located."""


class Get(msgspec.Struct, frozen=True, tag="get", array_like=True):
    """Read one key. Answer: Rows with at most one row."""

    timestamp: int
    key: bytes


class Scan(msgspec.Struct, frozen=True, tag="scan", array_like=True):
    """Read low <= key < high, up to `limit` rows in key order or reversed. Answer: Rows."""

    timestamp: int
    low: bytes
    high: bytes
    limit: int
    reverse: bool = False


class Digest(msgspec.Struct, frozen=True, tag="digest", array_like=True):
    """Say what low <= key < high is, to be compared with another replica's answer. Answer: Digested."""

    timestamp: int
    low: bytes
    high: bytes


class Release(msgspec.Struct, frozen=True, tag="release", array_like=True):
    """The connection's last timestamp is not read any more. No answer."""


class Located(msgspec.Struct, frozen=True, tag="located", array_like=True):
    """How far the replica has come."""

    watermark: int
    sequence: int


class Rows(msgspec.Struct, frozen=True, tag="rows", array_like=True):
    """`more` is False if the range is exhausted."""

    rows: list[tuple[bytes, bytes]]
    more: bool


class Digested(msgspec.Struct, frozen=True, tag="digested", array_like=True):
    """How many rows a range has, and a checksum of them in order."""

    rows: int
    checksum: int


class Reason(enum.IntEnum):
    """Why a read was refused."""

    BEHIND = 0  # the replica did not reach the timestamp in time
    TOO_OLD = 1  # the timestamp is below the horizon of garbage collection
    UNKNOWN_CLUSTER = 2
    DAMAGED = 3  # the replica is being made anew


class Refused(msgspec.Struct, frozen=True, tag="refused", array_like=True):
    """Instead of any other answer."""

    reason: int


Request = Locate | Get | Scan | Digest | Release
Reply = Located | Rows | Digested | Refused

encode = msgspec.msgpack.Encoder().encode
_request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
decode_request = _request_decoder.decode
decode_reply = _reply_decoder.decode
