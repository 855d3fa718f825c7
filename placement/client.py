"""How a relay asks for a place and gives a session away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from dsql.errors import FatalError
from dsql.rpc import link
from dsql.rpc.link import LinkChannel, LinkFiles
from dsql.rpc.packets import PacketChannel, close_all, connect
from placement.decisions import CANNOT_START
from placement.messages import (
    PLACES_MAX,
    Accepted,
    Acquire,
    Cancel,
    Drain,
    HandOver,
    Message,
    Placed,
    Refused,
    Reseed,
    StatusReport,
    StatusRequest,
    Ticket,
    TicketRequest,
    decode,
    encode,
)

ANSWER_SECONDS = 10.0
# an agent lets a session wait for a query processor, and that take it up, less long than this
HAND_OVER_SECONDS = 75.0
PATIENCE_SECONDS = 5.0
AGAIN_SECONDS = 0.05

MakeKey = Callable[[int], int]


class Remote(NamedTuple):
    """A role on another host: where its link is, and what it takes to use that."""

    address: tuple[str, int]
    files: LinkFiles


class Place(NamedTuple):
    """Where a session may go: the agent's Unix socket, or HOST:PORT, and the BackendKeyData to give."""

    agent: str
    process_id: int
    secret_key: int


class _Caller:
    """Requests and their answers, by number, over one connection that is reopened when it broke.

    To the Unix socket at a path, or to the role `service` of another host.
    """

    service = ""

    def __init__(self, where: Path | str | Remote) -> None:
        self._where = where
        self._channel: PacketChannel | LinkChannel | None = None
        self._opening = asyncio.Lock()
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
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Message] = loop.create_future()
        self._waiting[number] = answer
        overdue = loop.call_later(seconds, _fail, answer, TimeoutError())
        try:
            await self._send(make_request(number), descriptors)
            reply = await answer
        except OSError as error:
            raise FatalError("57P03", CANNOT_START) from error
        finally:
            overdue.cancel()
            self._waiting.pop(number, None)
        if isinstance(reply, Refused):
            raise FatalError(reply.sqlstate, reply.message)
        return reply

    async def _send(self, message: Message, descriptors: Iterable[int] = ()) -> None:
        channel = self._channel or await self._open()
        channel.send(encode(message), descriptors)

    async def _open(self) -> PacketChannel | LinkChannel:
        async with self._opening:
            where, events = self._where, (self._on_packet, self._on_close)
            if self._channel is not None:
                pass  # somebody was faster
            elif isinstance(where, Remote):
                self._channel = await link.connect(*where, self.service, *events)
            else:
                self._channel = PacketChannel(connect(Path(where)), *events)
            return self._channel

    def _on_packet(self, packet: bytes, descriptors: list[int]) -> None:
        close_all(descriptors)
        message = decode(packet)
        assert isinstance(message, Placed | Accepted | Ticket | Refused | StatusReport)
        future = self._waiting.get(message.request)
        if future is not None and not future.done():
            future.set_result(message)

    def _on_close(self) -> None:
        self._channel = None
        for answer in self._waiting.values():
            _fail(answer, ConnectionResetError("the role went away"))


def _fail(answer: asyncio.Future[Message], error: OSError) -> None:
    if not answer.done():
        answer.set_exception(error)


class _Queue:
    """The sessions of one cluster that wait for a place, in order."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[Place]] = deque()
        self.asking: asyncio.Task[None] | None = None

    def next_ones(self, count: int) -> list[asyncio.Future[Place]]:
        """Take out the first `count` that still wait; the others have given up."""
        taken: list[asyncio.Future[Place]] = []
        while self.waiting and len(taken) < count:
            place = self.waiting.popleft()
            if not place.done():
                taken.append(place)
        return taken


class PlacementClient(_Caller):
    """A connection to the placement service, opened when first used.

    One question for each cluster is under way at a time, for all sessions that came before it was sent: in
    a storm there are few. While placement, or the only agent, is being started again, it asks again for
    PATIENCE_SECONDS. `make_key` makes the secret key that goes with a process id.
    """

    service = "placement"

    def __init__(self, where: Path | str | Remote, make_key: MakeKey) -> None:
        super().__init__(where)
        self._make_key = make_key
        self._queues: dict[tuple[str, str], _Queue] = {}

    async def close(self) -> None:
        """Ask no more."""
        for queue in self._queues.values():
            if queue.asking is not None:
                queue.asking.cancel()
        await super().close()

    async def acquire(self, cluster: str, az: str) -> Place:
        """Return where a new session of `cluster` goes.

        Raises FatalError: 53300 above the connection limit, 53400 above its rate, 57P03 if no agent can
        take it.
        """
        queue = self._queues.setdefault((cluster, az), _Queue())
        place: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        queue.waiting.append(place)
        if queue.asking is None:
            queue.asking = asyncio.create_task(self._ask(queue, cluster, az))
        return await place

    async def _ask(self, queue: _Queue, cluster: str, az: str) -> None:
        """Find places until nobody waits."""
        while waiting := queue.next_ones(PLACES_MAX):
            try:
                placed = await self._ask_patiently(cluster, az, len(waiting))
            except FatalError as error:
                _settle(waiting, error)
                continue
            numbers = range(placed.process_id, placed.process_id + placed.count)
            for place, number in zip(waiting, numbers, strict=False):
                if not place.done():
                    place.set_result(Place(placed.agent, number, self._make_key(number)))
            queue.waiting.extendleft(reversed(waiting[placed.count :]))
        del self._queues[cluster, az]

    async def _ask_patiently(self, cluster: str, az: str, count: int) -> Placed:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = await self._call(lambda number: Acquire(number, cluster, az, count))
            except FatalError as error:
                if error.sqlstate != "57P03" or time.monotonic() > until:
                    raise
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                assert isinstance(answer, Placed)
                return answer

    async def cancel(self, process_id: int, secret_key: int) -> None:
        """Interrupt the statement of that session, if there is one; nobody is told whether."""
        with contextlib.suppress(OSError):
            await self._send(Cancel(process_id, secret_key))


def _settle(waiting: Iterable[asyncio.Future[Place]], error: FatalError) -> None:
    """Refuse everybody, each with an exception of their own."""
    for place in waiting:
        if not place.done():
            place.set_exception(FatalError(error.sqlstate, error.message))


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


class LinkedAgentClient(_Caller):
    """A connection to the host agent of another host (`Place.agent`)."""

    service = "agent"

    def __init__(self, where: Remote) -> None:
        super().__init__(where)
        self._remote = where

    async def hand_over(self, handed: bytes) -> socket.socket:
        """Give an encoded HandedSession to a query processor; return the way to it.

        That is a connection on which it expects the client's bytes. Raises what AgentClient does.
        """
        ticket, client = await self._connect()
        try:
            answer = await self._call(
                lambda number: HandOver(number, handed, ticket), (), HAND_OVER_SECONDS
            )
        except BaseException:
            client.close()
            raise
        assert isinstance(answer, Accepted)
        return client

    async def _connect(self) -> tuple[bytes, socket.socket]:
        """Return a ticket and a connection that has shown it. Nothing of a session was sent yet."""
        try:
            issued = await self._call(TicketRequest)
            assert isinstance(issued, Ticket)
            return issued.ticket, await link.present_ticket(self._remote.address, issued.ticket)
        except OSError as error:
            raise FatalError("57P03", CANNOT_START) from error
        except FatalError as error:
            if error.__cause__ is None:
                raise
            nothing_sent = ConnectionRefusedError("the agent has just gone")
            raise FatalError(error.sqlstate, error.message) from nothing_sent


class DrainClient(_Caller):
    """A connection to a relay or an agent at the Unix socket `path`, for whoever replaces processes."""

    async def drain(self, seconds: float) -> None:
        """Have it end once what it has is in other hands or done, after so long at most.

        Raises FatalError (57P03).
        """
        await self._call(lambda number: Drain(number, seconds))

    async def reseed(self) -> None:
        """Have an agent's next seed replace the present one and its query processors.

        Raises FatalError (57P03).
        """
        await self._call(Reseed)
