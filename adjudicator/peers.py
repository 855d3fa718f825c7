"""The adjudicators of the other zones: connections to and from them, beats, and who has fallen silent.

One connection each way between two processes, whatever the number of clusters. A process that leads
clusters in use beats often, others seldom; who suspects somebody says so at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from adjudicator.electorate import Electorate, Lead, Peer
from adjudicator.failure_detector import BEAT_SECONDS, REST_SECONDS, FailureDetector
from adjudicator.peer_messages import (
    Beat,
    Claims,
    Leads,
    PeerMessage,
    Probe,
    Rests,
    Wakes,
    decode,
    encode,
)
from dsql.control.layout import Layout
from dsql.rpc.client import connect
from dsql.rpc.messages import Peer as PeerOpening
from dsql.rpc.messages import encode as encode_opening
from dsql.rpc.process import Condition, condition_of, watch_death
from dsql.rpc.server import FramedConnection
from dsql.rpc.tick import until_tick

log = logging.getLogger(__name__)

_RECONNECT_SECONDS = 0.05
_SOMEWHERE = Condition("S", 0.0, 0.0)  # a process that is not of this host


class Host(Protocol):
    """Who is told what becomes of the others, and asked how often to beat."""

    @property
    def is_busy(self) -> bool:
        """True while clusters that are led from here are in use."""
        ...

    @property
    def claims(self) -> list[str]:
        """The clusters that are being claimed from here."""
        ...

    def holds(self, cluster: str, epoch: int) -> bool:
        """Return whether a cluster is led, or claimed, in an epoch from here."""
        ...

    def heard_from(self, az: str) -> None:
        """A zone has beaten."""
        ...

    def died(self, az: str) -> None:
        """A zone's process has died; its connections may stay open for a while."""
        ...

    def changed(self) -> None:
        """Somebody came or went, fell silent, or sees the others differently."""
        ...

    @property
    def wakes(self) -> list[str]:
        """The clusters that somebody has come here for, and that nobody leads."""
        ...

    def learned(self, cluster: str) -> None:
        """Who leads a cluster is news."""
        ...

    def wake(self, cluster: str) -> None:
        """Another zone claims a cluster, or has use for it."""
        ...

    def rests(self, cluster: str, epoch: int) -> None:
        """Another zone has laid a cluster down that nobody uses."""
        ...


class _Outgoing(FramedConnection):
    """Our connection to another zone; nothing is said on it by the other side."""

    def __init__(self, connected: Callable[[_Outgoing], None]) -> None:
        super().__init__()
        self._connected = connected
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def opened(self) -> None:
        self._connected(self)

    def closed(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)


class _Heard:
    """A connection on which another zone speaks. `fresh`: it has since the last look.

    `died` is called when its process dies, if the kernel tells.
    """

    def __init__(
        self, connection: FramedConnection, sentinels: Sequence[int], died: Callable[[], None]
    ) -> None:
        self.connection = connection
        self.process_id = connection.process_id
        self.detector = FailureDetector()
        self.fresh = True
        self._watched = watch_death(self.process_id, sentinels)
        self._loop = asyncio.get_running_loop()
        for descriptor in self._watched:
            self._loop.add_reader(descriptor, died)

    def close(self) -> None:
        """Watch it no more."""
        while self._watched:
            descriptor = self._watched.pop()
            self._loop.remove_reader(descriptor)
            os.close(descriptor)


class Peers:
    """All other zones, as seen from `electorate.own`. `sentinels`: this process's."""

    def __init__(
        self, layout: Layout, electorate: Electorate, host: Host, sentinels: Sequence[int] = ()
    ) -> None:
        self._layout = layout
        self._electorate = electorate
        self._host = host
        self._sentinels = list(sentinels)
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._outgoing: dict[str, _Outgoing] = {}
        self._wanted: dict[str, asyncio.Event] = {}  # connect now, do not wait
        self._heard: dict[str, _Heard] = {}
        self._told_suspects: frozenset[str] = frozenset()
        self._turned_at = self._beaten_at = self._loop.time()
        self._promised = REST_SECONDS  # within which to beat again
        self._timer = self._loop.call_later(REST_SECONDS, self._turn)

    def reach(self, azs: Iterable[str]) -> None:
        """Keep connections to these zones from now on."""
        for az in azs:
            if az != self._electorate.own and az not in self._tasks:
                self._electorate.peers.setdefault(az, Peer())
                self._wanted[az] = asyncio.Event()
                self._tasks[az] = self._loop.create_task(self._keep(az))

    def tell(self, message: PeerMessage) -> None:
        """Say something to every zone in reach."""
        body = encode(message)
        for outgoing in self._outgoing.values():
            outgoing.send(body)

    def announce(self) -> None:
        """Say how we see the zones, now."""
        self._beat()

    def doubt(self, az: str) -> None:
        """Somebody waits for this zone: have it beat, and look closely whether it does."""
        heard, outgoing = self._heard.get(az), self._outgoing.get(az)
        if heard is not None and outgoing is not None:
            heard.detector.doubt()
            outgoing.send(encode(Probe()))
            self._turn_within(BEAT_SECONDS)

    def accepted(
        self, connection: FramedConnection, az: str, sentinels: Sequence[int] = ()
    ) -> None:
        """Another zone has opened a connection."""
        self.reach([az])
        if az in self._heard:
            self._heard[az].close()
        self._heard[az] = _Heard(connection, sentinels, lambda: self._died(connection, az))
        self._wanted[az].set()

    def received(self, connection: FramedConnection, az: str, body: bytes) -> None:
        """A zone has said something. Raises ValueError for what nobody says."""
        message = decode(body)
        heard = self._heard.get(az)
        if heard is None or heard.connection is not connection:
            return  # a former life of it
        if isinstance(message, Beat):
            self._take_beat(az, heard, message)
        elif isinstance(message, Probe):
            self._beat()
        elif isinstance(message, Claims):
            self._electorate.claims(message.cluster, az, self._loop.time())
            self._host.wake(message.cluster)
        elif isinstance(message, Wakes):
            for cluster in message.clusters:
                self._host.wake(cluster)
        elif isinstance(message, Rests):
            self._host.rests(message.cluster, message.epoch)
        else:
            for cluster, epoch, leader in message.leads:
                self._take_lead(cluster, Lead(epoch, leader))

    def _take_lead(self, cluster: str, lead: Lead) -> None:
        was_ours = lead.az == self._electorate.own and not self._host.holds(cluster, lead.epoch)
        if was_ours:  # a former life of this process led, and it has ended
            lead = Lead(lead.epoch, "")
        if self._electorate.learn(cluster, lead):
            if was_ours:
                self.tell(Leads([(cluster, *lead)]))
            self._host.learned(cluster)

    def closed(self, connection: FramedConnection, az: str) -> None:
        """A zone's connection is gone: most likely it is, too."""
        heard = self._heard.get(az)
        if heard is not None and heard.connection is connection:
            del self._heard[az]
            heard.close()
            self._lost(az)

    def _died(self, connection: FramedConnection, az: str) -> None:
        self.closed(connection, az)
        self._host.died(az)

    async def close(self) -> None:
        """Say nothing more."""
        self._timer.cancel()
        for heard in self._heard.values():
            heard.close()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _take_beat(self, az: str, heard: _Heard, beat: Beat) -> None:
        heard.fresh = True
        heard.detector.beat(beat.within)
        self._turn_within(heard.detector.interval)
        peer = self._electorate.peers[az]
        suspects = frozenset(beat.suspects)
        news = not (peer.heard and not peer.suspect) or peer.suspects != suspects
        peer.suspect, peer.suspects = False, suspects
        peer.heard = az in self._outgoing
        self._host.heard_from(az)
        if news:
            self._review()

    def _lost(self, az: str) -> None:
        self._electorate.peers[az].heard = False
        self._review()

    def _review(self) -> None:
        """Tell the others if we see somebody differently, and have what follows from it done."""
        if self._electorate.suspects != self._told_suspects:
            self._beat()
        self._host.changed()

    def _beat(self) -> None:
        self._told_suspects = suspects = self._electorate.suspects
        self._beaten_at = self._loop.time()
        self._promised = self._pace
        self.tell(Beat(self._promised, sorted(suspects)))
        self._turn_within(self._promised)

    @property
    def _pace(self) -> float:
        return BEAT_SECONDS if self._host.is_busy else REST_SECONDS

    @property
    def _due(self) -> float:
        """How long after the last beat the next is due: who gets busy, or rests, has promised before."""
        return min(self._pace, self._promised)

    def _turn(self) -> None:
        """Beat if it is time, and look at the others."""
        now = self._loop.time()
        elapsed, self._turned_at = now - self._turned_at, now
        if now - self._beaten_at >= self._due / 2:
            self._beat()
        suspected = False
        for az, heard in self._heard.items():
            if not heard.fresh:
                heard.detector.look(elapsed, self._condition(heard))
                peer = self._electorate.peers[az]
                if heard.detector.is_suspect and not peer.suspect:
                    log.warning("the adjudicator of %s hangs", az)
                    peer.suspect = suspected = True
            heard.fresh = False
        if suspected:
            self._review()
        intervals = [heard.detector.interval for heard in self._heard.values()]
        pause = min([self._due, *intervals])
        if pause >= REST_SECONDS:
            pause = until_tick(now, pause)
        self._timer = self._loop.call_later(pause, self._turn)

    def _turn_within(self, seconds: float) -> None:
        if self._timer.when() > self._loop.time() + seconds:
            self._timer.cancel()
            self._timer = self._loop.call_later(seconds, self._turn)

    @staticmethod
    def _condition(heard: _Heard) -> Condition:
        return condition_of(heard.process_id) if heard.process_id else _SOMEWHERE

    def _opening(self) -> list[bytes]:
        leads = [(cluster, *lead) for cluster, lead in self._electorate.leads.items()]
        own = encode_opening(PeerOpening(self._electorate.own, self._sentinels))
        claims = [encode(Claims(cluster)) for cluster in self._host.claims]
        return [own, encode(Leads(leads)), *claims, encode(Wakes(self._host.wakes))]

    async def _keep(self, az: str) -> None:
        """Keep a connection to one zone."""
        path = self._layout.socket(f"{az}.adjudicator")
        while True:
            with contextlib.suppress(OSError):
                outgoing = await connect(
                    path, lambda: _Outgoing(lambda opened: self._connected(az, opened))
                )
                try:
                    await outgoing.lost
                finally:
                    outgoing.close()
                    if self._outgoing.pop(az, None) is not None:
                        self._lost(az)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RECONNECT_SECONDS):
                    await self._wanted[az].wait()
            self._wanted[az].clear()

    def _connected(self, az: str, outgoing: _Outgoing) -> None:
        """We can speak to a zone. One that we cannot speak to does not count as in reach."""
        for body in self._opening():
            outgoing.send(body)
        self._outgoing[az] = outgoing
        self._beat()
        if az in self._heard:
            self._electorate.peers[az].heard = True
            self._review()
