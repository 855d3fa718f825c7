"""Giving one session to an agent, in the way that fits the client's TLS and the agent's host.

                       agent on this host              agent on another host
    client of TLS 1.3  the socket and the TLS state    the TLS state; ciphertext is copied
    client of TLS 1.2  one end of a socket pair;       one end of a TCP connection; what was
                       what was decrypted is copied    decrypted is copied, encrypted anew

In the left upper case, the usual one, the relay is not in the data path afterwards. After it was sent to an
agent nothing may be written to a client's socket, because another process may be using the same keys and
record numbers.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from dsql.errors import FatalError
from dsql.session.handed import HandedSession, TlsState
from dsql.session.handed import encode as encode_handed
from dsql.tls.record import RecordLayer
from placement.client import AgentClient, LinkedAgentClient
from relay.front_door import FrontDoor
from relay.tls import TlsChannel

# Why a call was not even made: the agent's socket could not be reached.
_NOT_SENT = (ConnectionRefusedError, FileNotFoundError, PermissionError)
_CIPHER, _SECRET_BYTES = "TLS_AES_128_GCM_SHA256", 32


class Delivery:
    """One client's. `given`: nothing may be written to its socket any more.

    `accepted()` is called when the session is in other hands.
    """

    def __init__(
        self,
        door: FrontDoor,
        transport: asyncio.Transport,
        channel: TlsChannel,
        accepted: Callable[[], None],
    ) -> None:
        self._door = door
        self._transport = transport
        self._channel = channel
        self._accepted = accepted
        self.given = False

    async def deliver(self, address: str, handed: HandedSession) -> bool:
        """Give the session to the agent at `address`; return False if that has just gone.

        Raises FatalError (53300, 57P03) if it is not taken.
        """
        agent = self._door.agent(address)
        try:
            if not self._channel.transferable:
                await self._splice(agent, handed)
            elif isinstance(agent, AgentClient):
                await self._give_socket(agent, handed)
            else:
                await self._copy(agent, handed)
        except FatalError as error:
            if not isinstance(error.__cause__, _NOT_SENT):
                raise
            return False
        return True

    async def _give_socket(self, agent: AgentClient, handed: HandedSession) -> None:
        descriptor = self._transport.get_extra_info("socket").fileno()
        with self._giving(handed) as packet:
            await agent.hand_over(packet, descriptor)
        self._door.metrics.handed_over += 1
        self._accepted()
        self._transport.abort()  # closes this process's descriptor, not the connection

    async def _copy(self, agent: LinkedAgentClient, handed: HandedSession) -> None:
        with self._giving(handed) as packet:
            server = await agent.hand_over(packet)
        self._door.metrics.copied += 1
        self._accepted()
        await self._door.copies.start(self._transport, server)

    @contextmanager
    def _giving(self, handed: HandedSession) -> Iterator[bytes]:
        """Give the record layer's state away; it stays the relay's if the agent does not take it."""
        self.given = True
        try:
            yield encode_handed(replace(handed, tls=self._channel.state()))
        except FatalError as error:
            # A refusal, or a call never made: the session is still the relay's. Else nobody knows.
            if error.__cause__ is None or isinstance(error.__cause__, _NOT_SENT):
                self.given = False
            raise
        self._channel.wipe()

    async def _splice(self, agent: AgentClient | LinkedAgentClient, handed: HandedSession) -> None:
        records = None
        if isinstance(agent, AgentClient):
            server = await _hand_over_pair(agent, handed)
        else:
            outer, inner = _new_record_layer()
            server = await agent.hand_over(encode_handed(replace(handed, tls=outer)))
            records = RecordLayer(inner)
        self._door.metrics.spliced += 1
        self._accepted()
        await self._door.splices.start(self._channel, self._transport, server, records)


async def _hand_over_pair(agent: AgentClient, handed: HandedSession) -> socket.socket:
    """Give one end of a socket pair away, and return the other."""
    ours, theirs = socket.socketpair()
    try:
        await agent.hand_over(encode_handed(handed), theirs.fileno())
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours


def _new_record_layer() -> tuple[TlsState, TlsState]:
    """Return both ends of a record layer under new secrets: a query processor's, and ours."""
    read, write = secrets.token_bytes(_SECRET_BYTES), secrets.token_bytes(_SECRET_BYTES)
    return TlsState(_CIPHER, read, write, 0, 0), TlsState(_CIPHER, write, read, 0, 0)
