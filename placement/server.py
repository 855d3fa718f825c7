"""The placement service: answers relays from its view of the fleet, and forwards cancellations.

The rate of a cluster's new connections is limited here, because all relays of an installation ask here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

import msgspec

from dsql.control.layout import Layout
from dsql.errors import FatalError
from dsql.limits import CONNECTION_BURST, CONNECTION_RATE_PER_SECOND
from dsql.rate_limit import RateLimit
from dsql.rpc.link import LinkChannel
from dsql.rpc.link_server import LinkServer
from dsql.rpc.packets import PacketChannel, PacketServer, close_all
from placement.fleet import Fleet
from placement.messages import (
    PLACES_MAX,
    Acquire,
    Cancel,
    LoadReport,
    Placed,
    Refused,
    StatusReport,
    StatusRequest,
    agent_number,
    decode,
    encode,
)

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 10.0
RATE_EXCEEDED = "Unable to accept connection, rate exceeded."


class PlacementServer:
    """Serves relays and agents at one Unix socket; who reports load is an agent.

    Relays of other hosts come by `link`, if there is one, and can do what relays do.
    """

    def __init__(self, path: Path, rate: RateLimit, link: LinkServer | None = None) -> None:
        self._rate = rate
        self._fleet = Fleet(SystemRandom())
        self._agents: dict[int, PacketChannel | LinkChannel] = {}
        self._peers: set[_Peer] = set()
        self._server = PacketServer(path, self._accept)
        if link is not None:
            link.serve("placement", self._accept_linked)

    def close(self) -> None:
        """Stop serving."""
        self._server.close()
        for peer in list(self._peers):
            peer.channel.close()

    def _accept(self, connection: socket.socket) -> None:
        peer = _Peer(self)
        self._peers.add(peer)
        peer.channel = PacketChannel(connection, peer.received, lambda: self.forget(peer))

    def _accept_linked(self, channel: LinkChannel) -> None:
        peer = _Peer(self, linked=True)
        self._peers.add(peer)
        peer.channel = channel
        channel.attach(peer.received, lambda: self.forget(peer))

    def forget(self, peer: _Peer) -> None:
        """A connection has ended."""
        self._peers.discard(peer)
        if peer.agent is not None:
            del self._agents[peer.agent]
            self._fleet.forget(peer.agent)
            logger.info("agent left", extra={"agent": peer.agent})

    def acquire(self, request: Acquire, *, linked: bool = False) -> Placed | Refused:
        """Return where sessions go. `linked`: see `Fleet.place`."""
        cluster = request.cluster
        wanted = max(1, min(request.count, PLACES_MAX, self._fleet.room(cluster)))
        count = self._rate.take(cluster, time.monotonic(), wanted)
        if not count:
            return Refused(request.request, "53400", RATE_EXCEEDED)
        try:
            address, process_id = self._fleet.place(cluster, request.az, count, linked=linked)
        except FatalError as error:
            self._rate.give_back(cluster, count)
            return Refused(request.request, error.sqlstate, error.message)
        return Placed(request.request, address, process_id, count)

    def cancel(self, request: Cancel) -> None:
        """Pass a cancellation on to the session's agent."""
        channel = self._agents.get(agent_number(request.process_id))
        if channel is not None:
            with contextlib.suppress(ConnectionError):  # its sessions are beyond cancelling
                channel.send(encode(request))

    def report(self, peer: _Peer, report: LoadReport) -> None:
        """Take in an agent's report; its first one registers it."""
        if peer.agent is None:
            peer.agent = self._fleet.register(report)
            self._agents[peer.agent] = peer.channel
            logger.info("agent registered", extra={"agent": peer.agent, "address": report.address})
        else:
            self._fleet.report(peer.agent, report)

    def status(self, request: StatusRequest) -> StatusReport:
        """Return the table of agents."""
        linked = sum(1 for peer in self._peers if peer.linked)
        return StatusReport(
            request.request, {"agents": self._fleet.status(), "linked_relays": linked}
        )


class _Peer:
    """One connection, of a relay or of an agent; `linked`: of a relay on another host."""

    channel: PacketChannel | LinkChannel

    def __init__(self, server: PlacementServer, *, linked: bool = False) -> None:
        self.agent: int | None = None
        self.linked = linked
        self._server = server

    def received(self, packet: bytes, descriptors: list[int]) -> None:
        """Take what it says."""
        close_all(descriptors)
        try:
            self._handle(packet)
        except (msgspec.DecodeError, ConnectionError, ValueError) as error:
            logger.warning("connection dropped", extra={"reason": str(error)})
            self.channel.close()

    def _handle(self, packet: bytes) -> None:
        match decode(packet):
            case Acquire() as request:
                self.channel.send(encode(self._server.acquire(request, linked=self.linked)))
            case Cancel() as request:
                self._server.cancel(request)
            case LoadReport() as report if not self.linked:
                self._server.report(self, report)
            case StatusRequest() as request:
                self.channel.send(encode(self._server.status(request)))
            case other:
                raise ValueError(f"unexpected message {type(other).__name__}")


async def serve(
    layout: Layout,
    *,
    connection_rate: float = CONNECTION_RATE_PER_SECOND,
    connection_burst: int = CONNECTION_BURST,
    link: LinkServer | None = None,
    on_ready: Callable[[], None],
) -> None:
    """Run the placement service until cancelled. The rate is per second and cluster, 0 for no limit."""
    rate = RateLimit(connection_rate, connection_burst)
    server = PlacementServer(layout.socket("placement"), rate, link)
    on_ready()
    try:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            rate.forget_full(time.monotonic())
    finally:
        server.close()
