"""Messages that every role understands: who is calling, and how are you."""

from __future__ import annotations

import msgspec

CLUSTER_CHARACTERS = 26


class Hello(msgspec.Struct, frozen=True, tag="hello", array_like=True):
    """The first frame of a connection that is bound to one cluster for its life."""

    cluster: str

    @property
    def valid(self) -> bool:
        """True if the identifier can be a cluster's; a path is made of it."""
        return len(self.cluster) == CLUSTER_CHARACTERS and self.cluster.isalnum()


class Peer(msgspec.Struct, frozen=True, tag="peer", array_like=True):
    """The first frame of a connection from the same role in another zone.

    `sentinels`: threads of that process, see `dsql.rpc.process`.
    """

    az: str
    sentinels: list[int] = []


class StatusRequest(msgspec.Struct, frozen=True, tag="status", array_like=True):
    """Ask a role how it is. Allowed as the first frame of any connection."""


class StatusReply(msgspec.Struct, frozen=True, tag="status_reply", array_like=True):
    """What a role says of itself, by name: watermarks, epochs, leaders, counters."""

    values: dict[str, int | float | str]


Opening = Hello | Peer | StatusRequest

_encoder = msgspec.msgpack.Encoder()
_opening_decoder = msgspec.msgpack.Decoder(Opening)
_status_decoder = msgspec.msgpack.Decoder(StatusReply)


def encode(message: Opening | StatusReply) -> bytes:
    """Return the body of a frame."""
    return _encoder.encode(message)


def decode_opening(body: bytes) -> Opening:
    """Decode a connection's first frame. Raises msgspec.DecodeError."""
    opening: Opening = _opening_decoder.decode(body)
    return opening


def decode_status(body: bytes) -> StatusReply:
    """Decode the answer to a StatusRequest. Raises msgspec.DecodeError."""
    return _status_decoder.decode(body)
