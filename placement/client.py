"""How a relay asks for a place and gives a session away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
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
        self, make_request: Callable[[int], Message], descriptors: Iterable[int] = ()
    ) -> Message:
        """Send a request and return its answer.

        Raises FatalError with the refusal's SQLSTATE, or with 57P03 where nobody answers.
        """
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send(make_request(number), descriptors)
            reply = await asyncio.wait_for(answer, ANSWER_SECONDS)
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


class PlacementClient(_Caller):
    """A connection to the placement service at the Unix socket `path`, opened when first used."""

    async def acquire(self, cluster: str, az: str) -> Place:
        """Return where a new session of `cluster` goes.

        Raises FatalError: 53300 above the connection limit, 57P03 if no agent can take it.
        """
        answer = await self._call(lambda number: Acquire(number, cluster, az))
        assert isinstance(answer, Placed)
        return Place(answer.agent, answer.process_id, answer.secret_key)

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
        answer = await self._call(lambda number: HandOver(number, handed), (descriptor,))
        assert isinstance(answer, Accepted)
