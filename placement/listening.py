"""What is told to sessions that are parked wakes them: a feed for each cluster that has some which listen.

    every zone --HEARD--> Ears: one of its channels?  --> wake the session, which hears it where it goes

The agent passes nothing on but how far a session need not look any more (`ParkedSession.heard`), so what
wakes it is told by the query processor that has it then, like all else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from adjudicator.client import Feed, ZoneFeed
from adjudicator.messages import Verdict, decode_reply
from dsql.rpc.framing import FrameDecoder, FrameError, frame
from placement.parking import ParkedSession, ParkingLot

logger = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024

Connect = Callable[[str, str], tuple[str, socket.socket] | None]  # see `Clusters`


class _Zone:
    """A connection to a zone's adjudicator on the running event loop: `adjudicator.listening.Zone`."""

    def __init__(self, az: str, connection: socket.socket) -> None:
        self.feed: ZoneFeed | None = None
        self._az = az
        self._connection = connection
        self._decoder = FrameDecoder()
        connection.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection, self._on_readable)

    @property
    def is_open(self) -> bool:
        """Whether it is not lost."""
        return self._connection.fileno() >= 0

    def tell(self, request: bytes) -> None:
        """Send a request: some bytes, for which there is room."""
        try:
            self._connection.sendall(frame(request))
        except OSError:
            self.close()

    def watch(self, deadline: float) -> float:
        """Listen: the loop does so anyway."""
        return deadline

    def close(self) -> None:
        """End it."""
        if self.is_open:
            self._loop.remove_reader(self._connection)
            self._connection.close()
            if self.feed is not None:
                self.feed.lost(self._az)

    def _on_readable(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            for body in self._decoder.feed(data):
                about, verdict, timestamp = decode_reply(body)
                if verdict in (Verdict.HEARD, Verdict.FORGOTTEN) and self.feed is not None:
                    self.feed.said(self._az, about, verdict, timestamp, body)
        except (FrameError, struct.error, msgspec.DecodeError) as error:
            logger.warning("no feed", extra={"az": self._az, "reason": str(error)})
            data = b""
        if not data:
            self.close()


class _Cluster:
    """The feed of one, and the connections that it is read from."""

    def __init__(self, cluster: str, azs: Sequence[str], connect: Connect) -> None:
        self.feed = Feed(azs, self._reach, self._schedule)
        self._cluster = cluster
        self._connect = connect
        self._zones: dict[str, _Zone] = {}
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Hear nothing more."""
        if self._due is not None:
            self._due.cancel()
        for zone in self._zones.values():
            zone.feed = None
            zone.close()

    def _reach(self, az: str) -> _Zone | None:
        known = self._zones.get(az)
        if known is not None and known.is_open:
            return known
        found = self._connect(self._cluster, az)
        if found is None:
            return None
        self._zones[az] = zone = _Zone(*found)
        return zone

    def _schedule(self, seconds: float = 0.0) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = self._loop.call_later(seconds, self._ask)

    def _ask(self) -> None:
        self._due = None
        again = self.feed.ask()
        if again < math.inf:
            self._schedule(again)


class _Ears:
    """A parked session: `adjudicator.listening.Listener`. `wake` is called once at most."""

    def __init__(self, session: ParkedSession, feed: Feed, wake: Callable[[], None]) -> None:
        self._session = session
        self._feed = feed
        self._wake = wake

    def hear(self, timestamp: int, notification: object) -> None:
        """See Listener."""
        del timestamp, notification
        self._wake()

    def forgotten(self) -> None:
        """See Listener. Who has it then will find that as well, and tell its client."""
        self._wake()

    def end(self) -> None:
        """Note how far it has heard that nothing was told to it."""
        assert self._session.ears is not None, "it listens"
        self._session.heard = self._feed.position(self)
        for channel in self._session.ears.channels:
            self._feed.unlisten(self, channel)
        self._feed.leave(self)


class Clusters(Protocol):
    """What there is of zones: `placement.assignment.Assigner`."""

    def zones(self, cluster: str) -> Sequence[str]:
        """Return the zones of a cluster. Raises LookupError for an unknown one."""
        ...

    def connect_adjudicator(self, cluster: str, az: str) -> tuple[str, socket.socket] | None:
        """Return a zone and a connection to its adjudicator, bound to the cluster; None: no answer."""
        ...


class Listening:
    """The parked sessions of a host that listen, and are woken when they have something to hear."""

    def __init__(self, clusters: Clusters, lot: ParkingLot) -> None:
        self._at = clusters
        self._wake = lot.wake
        lot.parked, lot.woken = self._parked, self._woken
        self._clusters: dict[str, _Cluster] = {}
        self._ears: dict[int, _Ears] = {}  # by the session's number

    def _parked(self, session: ParkedSession) -> None:
        """A session was parked: listen in its place, if it does."""
        if session.ears is None:
            return
        cluster = self._clusters.get(session.cluster)
        if cluster is None:
            with contextlib.suppress(LookupError):
                azs = self._at.zones(session.cluster)
                cluster = _Cluster(session.cluster, azs, self._at.connect_adjudicator)
                self._clusters[session.cluster] = cluster
        if cluster is not None:
            feed = cluster.feed
            ears = _Ears(session, feed, lambda: self._wake(session))
            self._ears[session.number] = ears
            feed.join(ears, session.ears.heard)
            for channel in session.ears.channels:
                feed.listen(ears, channel)

    def _woken(self, session: ParkedSession) -> None:
        """It goes on, for whatever reason."""
        ears = self._ears.pop(session.number, None)
        if ears is None:
            return
        ears.end()
        cluster = self._clusters[session.cluster]
        if not cluster.feed.has_listeners:
            del self._clusters[session.cluster]
            cluster.close()

    def close(self) -> None:
        """Hear nothing more."""
        for cluster in self._clusters.values():
            cluster.close()
        self._clusters.clear()
