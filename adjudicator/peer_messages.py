"""What the adjudicators of a host's zones tell each other. A connection begins with a Peer message.

Each zone opens a connection to every other and speaks on it; it hears on those that the others have opened.
First a Leads with all that is known, then a Beat, then what happens.
"""

from __future__ import annotations

import msgspec


class Leads(msgspec.Struct, frozen=True, tag="leads", array_like=True):
    """Who leads: (cluster, epoch, zone); zone "" for a leader that has laid it down."""

    leads: list[tuple[str, int, str]]


class Beat(msgspec.Struct, frozen=True, tag="beat", array_like=True):
    """The sender's loop turns, and the next beat comes within so many seconds.

    `suspects`: the zones that it holds for gone.
    """

    within: float
    suspects: list[str]


class Probe(msgspec.Struct, frozen=True, tag="probe", array_like=True):
    """Beat now, please."""


class Claims(msgspec.Struct, frozen=True, tag="claims", array_like=True):
    """The sender claims the lead of a cluster."""

    cluster: str


class Wakes(msgspec.Struct, frozen=True, tag="wakes", array_like=True):
    """Somebody has come to the sender for these clusters, and it knows of nobody that leads them."""

    clusters: list[str]


class Rests(msgspec.Struct, frozen=True, tag="rests", array_like=True):
    """The sender led a cluster in this epoch, and nobody has used it for long: nobody needs to lead it."""

    cluster: str
    epoch: int


PeerMessage = Leads | Beat | Probe | Claims | Wakes | Rests

encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[PeerMessage] = msgspec.msgpack.Decoder(PeerMessage)
decode = _decoder.decode
