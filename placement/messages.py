"""What relays, the placement service, host agents and seeds say to each other.

Every message is one packet (`dsql.rpc.packets`). A relay asks the placement service where a session may
go (`Acquire`), then gives the session to that agent (`HandOver`, with the client's socket). Agents keep a
connection to the placement service, on which they report their load and receive cancellations.

A process id (BackendKeyData) holds the number of the agent above `SEQUENCE_BITS` bits of a counter, so
that a cancellation finds its agent without a table of sessions.
"""

from __future__ import annotations

import msgspec

PLACES_MAX = 64  # that are asked for at once
SEQUENCE_BITS = 22  # 4 million sessions per agent before an id returns; 511 agents fit above it


def agent_number(process_id: int) -> int:
    """Return which agent a BackendKeyData's process id belongs to."""
    return process_id >> SEQUENCE_BITS


class Acquire(msgspec.Struct, frozen=True, tag="acquire", array_like=True):
    """Relay to placement: places for the next `count` sessions of `cluster`, near the zone `az`."""

    request: int
    cluster: str
    az: str
    count: int = 1


class Placed(msgspec.Struct, frozen=True, tag="placed", array_like=True):
    """Placement to relay: to the agent at this Unix socket, or HOST:PORT, with these process ids.

    They are `count` consecutive ones from `process_id` on, at most as many as were asked for: fewer if
    the cluster may not have that many new connections now.
    """

    request: int
    agent: str
    process_id: int
    count: int = 1


class HandOver(msgspec.Struct, frozen=True, tag="hand_over", array_like=True):
    """Relay to agent, with the client's socket: an encoded HandedSession to serve from now on.

    A relay on another host sends no socket but the `ticket` that a connection of its own has shown.
    """

    request: int
    handed: bytes
    ticket: bytes = b""


class TicketRequest(msgspec.Struct, frozen=True, tag="ticket_request", array_like=True):
    """Relay to agent of another host: a ticket for a connection, please."""

    request: int


class Ticket(msgspec.Struct, frozen=True, tag="ticket", array_like=True):
    """Agent to relay: good once, and for some seconds (`placement.tickets`)."""

    request: int
    ticket: bytes


class Accepted(msgspec.Struct, frozen=True, tag="accepted", array_like=True):
    """Agent to relay: a query processor has the session."""

    request: int


class Refused(msgspec.Struct, frozen=True, tag="refused", array_like=True):
    """Placement or agent to relay: no, and what to tell the client."""

    request: int
    sqlstate: str
    message: str


class Cancel(msgspec.Struct, frozen=True, tag="cancel", array_like=True):
    """Relay to placement to agent: interrupt the running statement. Never answered (as in PostgreSQL)."""

    process_id: int
    secret_key: int


class PoolLoad(msgspec.Struct, frozen=True, array_like=True):
    """One cluster on one agent: the query processors that take its sessions, and all its sessions there.

    Those that are `parked` need no query processor now, and are not among `sessions`.
    """

    processes: int
    sessions: int
    parked: int = 0

    @property
    def connections(self) -> int:
        """How many clients it has."""
        return self.sessions + self.parked


class LoadReport(msgspec.Struct, frozen=True, tag="load", array_like=True):
    """Agent to placement: the first one registers the agent at the Unix socket `address`.

    `busy` of its query processors, of `processes_max`, serve somebody; the others would give way.
    `link` is the HOST:PORT at which relays of other hosts reach it, "" if they do not. `number` is that in
    its sessions' process ids, 0 if it has none, by which a placement service finds them that was restarted.
    """

    name: str
    az: str
    address: str
    warm: int
    busy: int
    processes_max: int
    sessions_per_process_max: int
    pools: dict[str, PoolLoad]
    link: str = ""
    number: int = 0


class StatusRequest(msgspec.Struct, frozen=True, tag="status", array_like=True):
    """Anyone to placement, agent or relay: tell how you are."""

    request: int


class StatusReport(msgspec.Struct, frozen=True, tag="status_report", array_like=True):
    """The answer; what it holds depends on the role."""

    request: int
    status: dict[str, object]


class Drain(msgspec.Struct, frozen=True, tag="drain", array_like=True):
    """Anyone to a relay or an agent: end once what you have is in other hands, or done.

    After so long at most. Answered with a status.
    """

    request: int
    seconds: float


class Reseed(msgspec.Struct, frozen=True, tag="reseed", array_like=True):
    """Anyone to an agent: have the next seed, with the code of then, replace this one and all its forks.

    Answered with a status.
    """

    request: int


class Leave(msgspec.Struct, frozen=True, tag="leave", array_like=True):
    """Agent to seed: end, and let your children live."""


class SeedHello(msgspec.Struct, frozen=True, tag="seed_hello", array_like=True):
    """Seed to a new agent: what it forks. `compiled`: see `dsql.compiled_modules`."""

    compiled: bool


class Fork(msgspec.Struct, frozen=True, tag="fork", array_like=True):
    """Agent to seed: start one more query processor, confined unless that was turned off."""

    sandbox: bool
    memory_bytes: int  # beyond what the seed has


class Forked(msgspec.Struct, frozen=True, tag="forked", array_like=True):
    """Seed to agent, with the child's control socket and its pidfd."""

    process_id: int


class Survivor(msgspec.Struct, frozen=True, tag="survivor", array_like=True):
    """Seed to a new agent: what is `Forked`, but was an earlier agent's."""

    process_id: int


class NotForked(msgspec.Struct, frozen=True, tag="not_forked", array_like=True):
    """Seed to agent: the system has no memory, process id or descriptor for one more now."""


class Died(msgspec.Struct, frozen=True, tag="died", array_like=True):
    """Seed to agent: a child has ended. `status` as in os.waitstatus_to_exitcode: negative is a signal."""

    process_id: int
    status: int


Message = (
    Acquire
    | Placed
    | HandOver
    | TicketRequest
    | Ticket
    | Accepted
    | Refused
    | Cancel
    | LoadReport
    | StatusRequest
    | StatusReport
    | Drain
    | Reseed
    | Leave
    | Fork
    | SeedHello
    | Forked
    | Survivor
    | NotForked
    | Died
)

encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
decode = _decoder.decode
