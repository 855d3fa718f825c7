"""The encoding of the journal's messages, and those messages that carry frames.

Frames travel as the bytes that are stored. A message with frames is one kind byte, fixed fields and
the frames end to end; any other is a kind byte and MessagePack. Roles that share an event loop pass
the same objects without encoding them.
"""

from __future__ import annotations

import struct

import msgspec

from dsql.rpc.server import ProtocolError
from journal.messages import (
    AppendReply,
    Applied,
    AskApplied,
    Checkpoint,
    Claim,
    ClaimReply,
    Fetch,
    Locate,
    Located,
    StartAt,
    Subscribe,
    Trimmed,
)
from journal.segment import CorruptionError, Frame, parse_frames

_PLAIN, _APPEND, _FETCHED, _FEED = b"\x00", b"\x01", b"\x02", b"\x03"
_APPEND_FIELDS = struct.Struct(">QQQQQ")
_SEQUENCE = struct.Struct(">Q")


class Append(msgspec.Struct, frozen=True, gc=False):
    """Put frames behind a record that must be there. Without frames it only tells the commit index.

    `commit`: every record up to it is on enough disks. `trim`: no AZ needs records before it.
    """

    epoch: int
    previous_sequence: int
    previous_epoch: int
    commit: int
    trim: int
    frames: list[Frame]


class Fetched(msgspec.Struct, frozen=True):
    """The answer to Fetch; no frames if the log ends before `from_sequence`."""

    from_sequence: int
    frames: list[Frame]


class Feed(msgspec.Struct, frozen=True):
    """Committed frames, the next ones of a subscription."""

    frames: list[Frame]


Plain = (
    Claim
    | ClaimReply
    | StartAt
    | AppendReply
    | Fetch
    | Subscribe
    | Checkpoint
    | Locate
    | Located
    | Trimmed
    | AskApplied
    | Applied
)
LeaderMessage = Claim | Append | Fetch | StartAt | AskApplied
Message = Plain | Append | Fetched | Feed

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Plain)


def encode(message: Message) -> bytes:
    """Return the body of the frame that carries `message`."""
    if isinstance(message, Append):
        fields = _APPEND_FIELDS.pack(
            message.epoch,
            message.previous_sequence,
            message.previous_epoch,
            message.commit,
            message.trim,
        )
        return b"".join([_APPEND, fields, *[frame.data for frame in message.frames]])
    if isinstance(message, Feed):
        return b"".join([_FEED, *[frame.data for frame in message.frames]])
    if isinstance(message, Fetched):
        fields = _SEQUENCE.pack(message.from_sequence)
        return b"".join([_FETCHED, fields, *[frame.data for frame in message.frames]])
    return _PLAIN + _encoder.encode(message)


def decode(body: bytes) -> Message:
    """Return the message in a frame's body. Raises ProtocolError."""
    try:
        return _decode(body)
    except (struct.error, msgspec.DecodeError, CorruptionError) as error:
        raise ProtocolError(f"malformed journal message: {error}") from error


def _decode(body: bytes) -> Message:
    kind = body[:1]
    if kind == _APPEND:
        fields = _APPEND_FIELDS.unpack_from(body, 1)
        epoch, previous, previous_epoch, commit, trim = fields
        frames = parse_frames(body, 1 + _APPEND_FIELDS.size)
        return Append(epoch, previous, previous_epoch, commit, trim, frames)
    if kind == _FEED:
        return Feed(parse_frames(body, 1))
    if kind == _FETCHED:
        (sequence,) = _SEQUENCE.unpack_from(body, 1)
        return Fetched(sequence, parse_frames(body, 1 + _SEQUENCE.size))
    plain: Plain = _decoder.decode(memoryview(body)[1:])
    return plain
