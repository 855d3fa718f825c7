"""How a relay asks for a place and gives a session away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from dsql.errors import FatalError
from dsql.rpc.packets import PacketChannel, close_all, connect
from placement.messages import (
    Accepted,
    Acquire,
    Cancel,
    HandOver,
    Message,
    Placed,
    Refused,
    StatusReport,
    StatusRequest,
    decode,
    encode,
)

ANSWER_SECONDS = 10.0
HAND_OVER_SECONDS = 55.0  # an agent lets a session wait for a query processor, less long than this
RESERVED_SECONDS = 0.1
RESERVED_MAX = 16
RESERVATIONS_MAX = 1_000


MakeKey = Callable[[int], int]


class Place(NamedTuple):
    """Where a session may go: the agent's Unix socket and the BackendKeyData to give the client."""

    agent: str
    process_id: int
    secret_key: int


class _Caller:
    """Requests and their answers, by number, over one connection that is reopened when it broke."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._channel: PacketChannel | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}

    async def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    async def status(self) -> dict[str, object]:
        """Return the role's own account of itself."""
        answer = await self._call(StatusRequest)
        assert isinstance(answer, StatusReport)
        return answer.status

    async def _call(
        self,
        make_request: Callable[[int], Message],
        descriptors: Iterable[int] = (),
        seconds: float = ANSWER_SECONDS,
    ) -> Message:
        """Send a request and return its answer.

        Raises FatalError with the refusal's SQLSTATE, or with 57P03 where nobody answers.
        """
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send(make_request(number), descriptors)
            reply = await asyncio.wait_for(answer, seconds)
        except (OSError, TimeoutError) as error:
            raise FatalError("57P03", "the database system is not accepting connections") from error
        finally:
            self._waiting.pop(number, None)
        if isinstance(reply, Refused):
            raise FatalError(reply.sqlstate, reply.message)
        return reply

    def _send(self, message: Message, descriptors: Iterable[int] = ()) -> None:
        if self._channel is None:
            self._channel = PacketChannel(connect(self._path), self._on_packet, self._on_close)
        self._channel.send(encode(message), descriptors)

    def _on_packet(self, packet: bytes, descriptors: list[int]) -> None:
        close_all(descriptors)
        message = decode(packet)
        assert isinstance(message, Placed | Accepted | Refused | StatusReport)
        future = self._waiting.get(message.request)
        if future is not None and not future.done():
            future.set_result(message)

    def _on_close(self) -> None:
        self._channel = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the role went away"))


class _Reservation:
    """Process ids of one agent that no session has yet. `ends_at` is monotonic, in seconds."""

    def __init__(self, placed: Placed, ends_at: float, make_key: MakeKey) -> None:
        self.size = self.left = placed.count
        self.ends_at = ends_at
        self._placed = placed
        self._make_key = make_key

    def take(self) -> Place:
        self.left -= 1
        process_id = self._placed.process_id + self.left
        return Place(self._placed.agent, process_id, self._make_key(process_id))


class PlacementClient(_Caller):
    """A connection to the placement service at the Unix socket `path`, opened when first used.

    When sessions come quickly, it asks for several places at once. What is not used soon is forgotten: it
    was a guess from a view that may be stale, and binds nobody. `make_key` makes the secret key that goes
    with a process id.
    """

    def __init__(self, path: Path | str, make_key: MakeKey) -> None:
        super().__init__(path)
        self._make_key = make_key
        self._reserved: dict[tuple[str, str], _Reservation] = {}

    async def acquire(self, cluster: str, az: str) -> Place:
        """Return where a new session of `cluster` goes.

        Raises FatalError: 53300 above the connection limit, 57P03 if no agent can take it.
        """
        now = time.monotonic()
        known = self._reserved.get((cluster, az))
        fresh = known is not None and now < known.ends_at
        if known is not None and fresh and known.left:
            return known.take()
        count = min(known.size * 2, RESERVED_MAX) if known is not None and fresh else 1
        answer = await self._call(lambda number: Acquire(number, cluster, az, count))
        assert isinstance(answer, Placed)
        if len(self._reserved) > RESERVATIONS_MAX:
            self._reserved.clear()
        reservation = _Reservation(answer, now + RESERVED_SECONDS, self._make_key)
        self._reserved[cluster, az] = reservation
        return reservation.take()

    def forget(self, cluster: str, az: str) -> None:
        """Ask anew for the next session's place: this agent does not take any."""
        self._reserved.pop((cluster, az), None)

    def _on_close(self) -> None:
        self._reserved.clear()
        super()._on_close()

    async def cancel(self, process_id: int, secret_key: int) -> None:
        """Interrupt the statement of that session, if there is one; nobody is told whether."""
        with contextlib.suppress(OSError):
            self._send(Cancel(process_id, secret_key))


class AgentClient(_Caller):
    """A connection to the host agent at the Unix socket `path` (`Place.agent`)."""

    async def hand_over(self, handed: bytes, descriptor: int) -> None:
        """Give an encoded HandedSession and the client's socket to a query processor.

        When this returns, a query processor owns the session: close `descriptor`, wipe the secrets and
        never write to the socket again. When it raises FatalError (53300, 57P03), nothing was taken.
        """
        answer = await self._call(
            lambda number: HandOver(number, handed), (descriptor,), HAND_OVER_SECONDS
        )
        assert isinstance(answer, Accepted)
