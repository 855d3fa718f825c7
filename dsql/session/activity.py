"""What a session says of itself to others: a row of pg_stat_activity, as a value.

    session --describe--> bytes --Told, Parked--> agent --Surveyed--> session that looks around

The agent, which passes it on, never opens it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dsql.catalog.wait_events import CLIENT_READ, CLIENT_WRITE, COMMIT
from dsql.session.block import State
from dsql.session.interrupts import HELD
from dsql.transaction.record import Count

if TYPE_CHECKING:
    from dsql.session.state import SessionState

QUERY_CHARACTERS_MAX = 1_024  # track_activity_query_size
PARKED_CHARACTERS_MAX = 128  # an agent may have a great many of these
ACTIVE = "active"
_RESTING = {
    State.IDLE: "idle",
    State.IMPLICIT: "idle",
    State.OPEN: "idle in transaction",
    State.FAILED: "idle in transaction (aborted)",
}


class Activity(msgspec.Struct, array_like=True, frozen=True):
    """`role` is the one that logged in. Times are in microseconds since 1970, 0 for never.

    `exported_snapshot`: the timestamp of what its transaction lets others see, 0 for nothing. `wait_event`:
    see `dsql.catalog.wait_events`.
    """

    process_id: int
    role: int
    application_name: str
    address: str
    since: Count
    transaction_since: Count
    query_since: Count
    state: str
    query: str
    exported_snapshot: Count = 0
    wait_event: str = CLIENT_READ


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Activity).decode


def describe(state: SessionState, *, resting: bool, characters_max: int) -> bytes:
    """Return what a session does. `resting`: it is its client's turn."""
    client, block, settings = state.client, state.block, state.settings
    return _encode(
        Activity(
            client.process_id,
            settings.session_role,
            settings.show("application_name"),
            client.address,
            client.since,
            block.started_at if block.state is not State.IDLE else 0,
            state.context.since_1970(state.context.statement_timestamp),
            _RESTING[block.state] if resting else ACTIVE,
            _text(state.said, characters_max),
            block.progress.exported_snapshot,
            CLIENT_READ if resting else _wait_event(state),
        )
    )


def _wait_event(state: SessionState) -> str:
    if state.connection.stalled:
        return CLIENT_WRITE
    interrupts = state.interrupts
    return COMMIT if interrupts.state == HELD else interrupts.wait_event


def _text(said: bytes | str, characters_max: int) -> str:
    if isinstance(said, bytes):
        said = said[: 4 * characters_max].rstrip(b"\0").decode(errors="replace")
    return said[:characters_max]


def decode(data: bytes) -> Activity | None:
    """Return what was encoded; None if it makes no sense, as what another process says may not."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
