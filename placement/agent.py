"""The host agent: turns what happens on its host into the pool's decisions, and those into packets.

    relay --HandOver[client]--> agent --Serve[client]--> query processor --Idle--> agent
    agent --Fork--> seed --Forked[control, pidfd]--> agent ... seed --Died--> agent
    agent --LoadReport--> placement --Cancel--> agent --SIGINT--> query processor

The agent opens every connection that a query processor uses, and binds it to the cluster before it hands
it over. It keeps no secret of a session but the key that allows its cancellation.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable
from random import SystemRandom

import msgspec

from dsql.control.layout import Layout
from dsql.rpc import packets
from dsql.rpc.packets import PacketChannel, PacketServer, close_all
from dsql.session import handed
from placement import pool
from placement.assignment import Assigner
from placement.messages import (
    Accepted,
    Cancel,
    Died,
    Fork,
    Forked,
    HandOver,
    LoadReport,
    Message,
    PoolLoad,
    Refused,
    StatusReport,
    StatusRequest,
    decode,
    encode,
)
from placement.worker import Worker

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
RECONNECT_SECONDS = 0.2


class AgentSettings(msgspec.Struct, frozen=True):
    """Who this agent is and what it may hold."""

    name: str = "agent"
    az: str = ""
    sandbox: bool = True
    pool: pool.PoolSettings = pool.PoolSettings()


class _PendingSession(msgspec.Struct):
    """A session between a relay's HandOver and a query processor's Serve."""

    relay: PacketChannel
    request: int
    packet: bytes
    cluster: str
    process_id: int
    secret_key: int
    socket: int


class HostAgent:
    """All query processors of one host, seen from relays, seed and placement service."""

    def __init__(self, layout: Layout, settings: AgentSettings) -> None:
        self._layout = layout
        self._settings = settings
        self._pool = pool.QueryProcessorPool(settings.pool, SystemRandom())
        self._assigner = Assigner(layout, settings.az, sandbox=settings.sandbox)
        self._workers: dict[int, Worker] = {}
        self._pending: dict[int, _PendingSession] = {}
        self._numbers = itertools.count(1)
        self._relays: set[PacketChannel] = set()
        self._seed: PacketChannel | None = None
        self._placement: PacketChannel | None = None
        self._report_scheduled = False
        self._loop = asyncio.get_running_loop()
        self._server = PacketServer(layout.socket(settings.name), self._accept_relay)

    async def run(self) -> None:
        """Keep the connections to seed and placement service and the pool going until cancelled."""
        try:
            while True:
                self._connect()
                self._act(self._pool.tick(time.monotonic()))
                self._assigner.keep_open(self._pool.pools())
                await asyncio.sleep(TICK_SECONDS if self.ready else RECONNECT_SECONDS)
        finally:
            self._close()

    @property
    def ready(self) -> bool:
        """True while sessions can be taken."""
        return self._seed is not None and self._placement is not None

    def status(self) -> dict[str, object]:
        """Return the agent's account of itself."""
        return {
            "az": self._settings.az,
            "warm": self._pool.warm,
            "waiting": self._pool.waiting,
            "seed": self._seed is not None,
            "pools": {name: list(load) for name, load in self._pool.pools().items()},
            "query_processors": {
                str(worker.process_id): worker.cluster or "" for worker in self._workers.values()
            },
        }

    # Seed and placement service

    def _connect(self) -> None:
        if self._seed is None:
            self._seed = self._open("seed", self._on_seed, self._on_seed_closed)
        if self._placement is None:
            self._placement = self._open("placement", self._on_placement, self._on_placement_closed)
            self._schedule_report()

    def _open(
        self, name: str, received: packets.Received, closed: Callable[[], None]
    ) -> PacketChannel | None:
        try:
            return PacketChannel(packets.connect(self._layout.socket(name)), received, closed)
        except OSError:
            return None  # not there yet, or restarting: the next tick tries again

    def _on_seed(self, packet: bytes, descriptors: list[int]) -> None:
        message = decode(packet)
        if isinstance(message, Forked):
            control, pidfd = descriptors
            worker = Worker(
                message.process_id,
                socket.socket(fileno=control),
                pidfd,
                self._on_idle,
                self._on_lost,
            )
            self._workers[worker.process_id] = worker
            self._act(self._pool.forked(worker.process_id, time.monotonic()))
        elif isinstance(message, Died):
            self._on_died(message)

    def _on_seed_closed(self) -> None:
        logger.warning("seed lost")
        self._seed = None
        self._pool.seed_lost()

    def _on_died(self, message: Died) -> None:
        level = logging.WARNING if message.status else logging.INFO
        details = {"process_id": message.process_id, "status": message.status}
        logger.log(level, "query processor ended", extra=details)
        worker = self._workers.get(message.process_id)
        if worker is not None:
            worker.close()

    def _on_placement(self, packet: bytes, descriptors: list[int]) -> None:
        close_all(descriptors)
        message = decode(packet)
        if isinstance(message, Cancel):
            self._cancel(message)

    def _on_placement_closed(self) -> None:
        self._placement = None

    def _cancel(self, cancel: Cancel) -> None:
        for worker in self._workers.values():
            if worker.process_key == cancel.process_id and hmac.compare_digest(
                worker.secret_key.to_bytes(8, "big", signed=True),
                cancel.secret_key.to_bytes(8, "big", signed=True),
            ):
                worker.interrupt()

    def _schedule_report(self) -> None:
        """Report soon, once for all that happens in this turn of the loop."""
        if not self._report_scheduled and self._placement is not None:
            self._report_scheduled = True
            self._loop.call_soon(self._report)

    def _report(self) -> None:
        self._report_scheduled = False
        if self._placement is None:
            return
        settings = self._settings
        pools = {name: PoolLoad(idle, busy) for name, (idle, busy) in self._pool.pools().items()}
        report = LoadReport(
            name=settings.name,
            az=settings.az,
            address=str(self._layout.socket(settings.name)),
            warm=self._pool.warm,
            capacity=settings.pool.query_processors_max,
            pools=pools,
        )
        self._placement.send(encode(report))

    # Relays

    def _accept_relay(self, connection: socket.socket) -> None:
        channel = PacketChannel(
            connection,
            lambda packet, descriptors: self._on_relay(channel, packet, descriptors),
            lambda: self._on_relay_closed(channel),
        )
        self._relays.add(channel)

    def _on_relay(self, channel: PacketChannel, packet: bytes, descriptors: list[int]) -> None:
        try:
            message = decode(packet)
            if isinstance(message, HandOver) and len(descriptors) == 1:
                self._take(channel, message, descriptors.pop())
            elif isinstance(message, StatusRequest):
                channel.send(encode(StatusReport(message.request, self.status())))
        except (msgspec.DecodeError, ConnectionError) as error:
            logger.warning("relay dropped", extra={"reason": str(error)})
            channel.close()
        finally:
            close_all(descriptors)

    def _on_relay_closed(self, channel: PacketChannel) -> None:
        self._relays.discard(channel)
        for number in [n for n, pending in self._pending.items() if pending.relay is channel]:
            self._pool.session_withdrawn(number)
            os.close(self._pending.pop(number).socket)

    def _take(self, channel: PacketChannel, message: HandOver, client: int) -> None:
        try:
            session = handed.decode(message.handed)
        except msgspec.DecodeError:
            os.close(client)
            raise
        number = next(self._numbers)
        self._pending[number] = _PendingSession(
            relay=channel,
            request=message.request,
            packet=message.handed,
            cluster=session.cluster,
            process_id=session.process_id,
            secret_key=session.secret_key,
            socket=client,
        )
        self._act(self._pool.session_arrived(number, session.cluster, time.monotonic()))

    # Query processors

    def _on_idle(self, worker: Worker) -> None:
        self._act(self._pool.fell_idle(worker.process_id, time.monotonic()))
        self._schedule_report()

    def _on_lost(self, worker: Worker) -> None:
        if self._workers.pop(worker.process_id, None) is not None:
            self._act(self._pool.died(worker.process_id, time.monotonic()))

    def _act(self, actions: list[pool.Action]) -> None:
        for action in actions:
            match action:
                case pool.Fork():
                    self._fork()
                case pool.Assign(worker, cluster, lifetime_seconds):
                    self._assign(self._workers[worker], cluster, lifetime_seconds)
                case pool.Serve(worker, session):
                    self._serve(self._workers.get(worker), session)
                case pool.Retire(worker):
                    self._workers[worker].retire()
                case pool.Refuse(session, sqlstate, text):
                    self._refuse(self._pending.pop(session), sqlstate, text)
        if actions:
            self._schedule_report()

    def _fork(self) -> None:
        if self._seed is None:
            self._pool.seed_lost()
            return
        self._seed.send(encode(Fork()))

    def _assign(self, worker: Worker, cluster: str, lifetime_seconds: float) -> None:
        try:
            assignment = self._assigner.assignment(cluster, lifetime_seconds)
        except (LookupError, OSError) as error:
            logger.error("cannot assign", extra={"cluster": cluster, "reason": str(error)})
            worker.kill()
            return
        worker.assign(assignment, lambda: self._assigner.connect_adjudicator(cluster))

    def _serve(self, worker: Worker | None, session: int) -> None:
        pending = self._pending[session]
        try:
            if worker is None:
                raise ConnectionError("the query processor is gone")
            worker.serve(pending.packet, pending.socket, pending.process_id, pending.secret_key)
        except ConnectionError:
            # It died while nobody looked; the pool knows by now, and the session goes to another one.
            self._act(self._pool.session_arrived(session, pending.cluster, time.monotonic()))
            return
        del self._pending[session]
        os.close(pending.socket)
        self._answer(pending, Accepted(pending.request))

    def _refuse(self, pending: _PendingSession, sqlstate: str, text: str) -> None:
        os.close(pending.socket)
        self._answer(pending, Refused(pending.request, sqlstate, text))

    def _answer(self, pending: _PendingSession, message: Message) -> None:
        if pending.relay in self._relays:
            pending.relay.send(encode(message))

    def _close(self) -> None:
        self._server.close()
        for channel in [*self._relays, self._seed, self._placement]:
            if channel is not None:
                channel.close()
        for worker in list(self._workers.values()):
            worker.kill()


async def serve(layout: Layout, settings: AgentSettings, *, on_ready: Callable[[], None]) -> None:
    """Run a host agent until cancelled. Ready once it has a seed and a placement service."""
    agent = HostAgent(layout, settings)
    running = asyncio.create_task(agent.run())
    try:
        while not agent.ready and not running.done():
            await asyncio.sleep(0.01)
        on_ready()
        await running
    finally:
        running.cancel()
