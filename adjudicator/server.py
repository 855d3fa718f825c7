"""The adjudicators of one AZ: a seat in every cluster that has a replica here, and the lead of some.

A cluster is *awake* while somebody is connected to one of its zones for it, and for some seconds more; else
it is *at rest*, and no zone has more of it than its files and who led it last. Whoever connects wakes it:
that zone takes its seat, tells the others, and follows it in its storage (`Storage`). In a cluster that is
awake nobody has to ask for a leader: a zone claims it when it is its turn, when nobody leads it or who led
is gone (`adjudicator.electorate`). Its leader sees when it is used no more, and lays it down (`Rests`).
Looks and beats are made for the whole process (`adjudicator.peers`), however many clusters there are.

The process runs without the cyclic garbage collector (`adjudicator.collection`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random, SystemRandom
from typing import Protocol

from adjudicator.awake import AwakeMarks
from adjudicator.collection import RestCollector, garbage_collector_off
from adjudicator.electorate import Electorate, Lead
from adjudicator.leadership import Leadership
from adjudicator.messages import (
    REQUESTS_BYTES_MAX,
    REQUESTS_MAX,
    TRANSACTION_ID_BYTES,
    Request,
    decode_status,
)
from adjudicator.notifying import Notifier
from adjudicator.peer_messages import Claims, Leads, Rests, Wakes
from adjudicator.peers import Peers
from adjudicator.seat import Seat
from dsql.control.departures import Departures
from dsql.control.layout import Layout
from dsql.limits import JOURNAL_RECORD_BYTES_MAX
from dsql.rpc.clock import Clock, SystemClock
from dsql.rpc.messages import Hello, Peer, StatusReply, decode_opening, encode
from dsql.rpc.server import FramedConnection, ProtocolError, listen
from dsql.rpc.tick import next_tick
from journal.client import Journal, LocalReplica, SocketJournal

log = logging.getLogger(__name__)

_REQUEST_BYTES_MAX = JOURNAL_RECORD_BYTES_MAX + 1024
REST_SECONDS = 10.0  # after the last connection; waking takes about a tenth of a second
_LOOK_SECONDS = 1.0
HAND_OVER_SECONDS = 0.5
_WORD_SECONDS = 0.01  # for the others to say that they stop too
_POLL_SECONDS = 0.002
_CLOCKS_PER_LOOK = 64  # a look takes some microseconds
_BUSY_SECONDS = 1.0  # after the last request
_LISTEN = bytes((Request.LISTEN,))
_REFUSED_SECONDS_MIN, _REFUSED_SECONDS_MAX = 0.05, 2.0


class Storage(Protocol):
    """The storage of the same AZ, which is to follow the clusters that are awake."""

    def use(self, cluster: str) -> None:
        """A cluster is awake."""
        ...

    def leave(self, cluster: str) -> None:
        """It is no more."""
        ...


class AdjudicatorServer:
    """The seats of one AZ, by cluster. Made on the event loop that it serves."""

    def __init__(
        self,
        layout: Layout,
        az: str,
        journal: Journal,
        local: LocalReplica | None = None,
        clock: Clock | None = None,
        chance: Random | None = None,
        sentinels: Sequence[int] = (),
        storage: Storage | None = None,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self.requests = 0
        self.peers: Peers
        self._layout = layout
        self._az = az
        self._journal = journal
        self._local = local
        self._clock = clock or SystemClock()
        self._chance = chance or SystemRandom()
        self._loop = asyncio.get_running_loop()
        self._electorate = Electorate(az, self._chance)
        self.peers = Peers(layout, self._electorate, self, sentinels)
        self._seats: dict[str, Seat] = {}
        self._turns: dict[str, asyncio.TimerHandle] = {}  # when to claim
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._storage = storage
        self._rest_seconds = rest_seconds
        self._marks = AwakeMarks(layout.awake(az))
        self._departures = Departures(layout)
        self._collector = RestCollector()
        self._unmended: Iterator[Seat] = iter(())
        self._requests_seen = 0
        self._busy_until = 0.0
        self._waiting: dict[Seat, None] = {}  # for a sign of life of their leaders, in order

    # Clusters

    def sit_down(self, connection: FramedConnection, cluster: str) -> Seat | None:
        """Return our seat in a cluster, to which somebody is connected now; None if there is none."""
        seat = self._seat(cluster)
        if seat is None:
            return None
        seat.connections.add(connection)
        if not self._electorate.leader(cluster):
            self.peers.tell(Wakes([cluster]))
        return seat

    def get_up(self, connection: FramedConnection, seat: Seat) -> None:
        """A connection has ended."""
        seat.connections.discard(connection)
        seat.half_requests.hold(connection, 0)
        seat.used_at = self._loop.time()

    def _seat(self, cluster: str) -> Seat | None:
        """Return our seat in a cluster, taken now if need be; None if the zone has none in it."""
        seat = self._seats.get(cluster)
        if seat is None:
            record = self._layout.read_cluster(cluster)
            if record is None or self._az not in record.azs:
                return None
            seat = self._seats[cluster] = Seat(
                cluster, record.azs, self._doubt, self._electorate.in_reach
            )
            self._marks.add(cluster)
            if self._storage is not None:
                self._storage.use(cluster)
            self.peers.reach(record.azs)
            self.learned(cluster)
        return seat

    def resume(self) -> None:
        """Take our seats in what was awake when the process before this one ended."""
        for cluster in self._marks.left():
            if self._seat(cluster) is None:
                self._marks.remove(cluster)

    async def look(self) -> None:
        """Leave the seats of clusters that have disappeared, and lay down what nobody uses any more."""
        for cluster in sorted(self._departures.among({*self._seats, *self._electorate.leads})):
            await self._delete(cluster)
        now = self._loop.time()
        for seat in list(self._seats.values()):
            if seat.connections:
                seat.used_at = now
            elif now - seat.used_at >= self._rest_seconds and not seat.rests:
                self._begin_rest(seat)
        self._collector.look(is_busy=self.is_busy)

    def _begin_rest(self, seat: Seat) -> None:
        """Lay a cluster down if we lead it, and if every zone has all of it."""
        if seat.leadership is not None and seat.leadership.is_at_rest:
            seat.rests = True
            seat.follow("")
            seat.leadership.resign()

    def _rest(self, seat: Seat) -> None:
        """Keep no more of a cluster than who led it."""
        del self._seats[seat.cluster]
        self._cancel_turn(seat.cluster)
        self._marks.remove(seat.cluster)
        self._collector.rested()
        if self._storage is not None:
            self._storage.leave(seat.cluster)

    def mend_clocks(self) -> None:
        """Look after the clock files of some of the clusters that are led from here, others each time."""
        looked_at = list(itertools.islice(self._unmended, _CLOCKS_PER_LOOK))
        for seat in looked_at:
            if seat.leadership is not None:
                seat.leadership.mend_clock()
        if len(looked_at) < _CLOCKS_PER_LOOK:
            self._unmended = iter(list(self._seats.values()))

    async def _delete(self, cluster: str) -> None:
        self._electorate.forget(cluster)
        seat = self._seats.get(cluster)
        if seat is None:
            return
        self._rest(seat)
        for connection in list(seat.connections):
            connection.close()
        if cluster in self._tasks:
            await _end(self._tasks[cluster])

    # Elections. See `adjudicator.peers.Host`

    @property
    def is_busy(self) -> bool:
        """See Host."""
        if self.requests != self._requests_seen:
            self._requests_seen = self.requests
            self._busy_until = self._loop.time() + _BUSY_SECONDS
        return self._loop.time() < self._busy_until

    @property
    def claims(self) -> list[str]:
        """See Host."""
        leaderships = [(name, seat.leadership) for name, seat in self._seats.items()]
        return [name for name, claimed in leaderships if claimed and claimed.pipeline is None]

    @property
    def wakes(self) -> list[str]:
        """See Host."""
        used = [name for name, seat in self._seats.items() if seat.connections]
        return [name for name in used if not self._electorate.leader(name)]

    def wake(self, cluster: str) -> None:
        """See Host."""
        seat = self._seat(cluster)
        if seat is not None:
            seat.used_at = self._loop.time()
            self.learned(cluster)

    def rests(self, cluster: str, epoch: int) -> None:
        """See Host."""
        if not self._electorate.learn(cluster, Lead(epoch, "")):
            return
        seat = self._seats.get(cluster)
        if seat is None:
            return
        if seat.leadership is not None:
            self.learned(cluster)
        elif seat.connections:  # they use it here: whoever led it would lay it down again
            self._cancel_turn(cluster)
            seat.follow("")
            self._claim(seat)
        else:
            self._rest(seat)

    def holds(self, cluster: str, epoch: int) -> bool:
        """See Host."""
        seat = self._seats.get(cluster)
        held = None if seat is None else seat.leadership
        return held is not None and held.epoch == epoch

    def heard_from(self, az: str) -> None:
        """See Host."""
        for seat in [seat for seat in self._waiting if seat.leader == az]:
            del self._waiting[seat]
            seat.refuse()

    def died(self, az: str) -> None:
        """See Host."""
        for seat in self._seats.values():
            seat.tell_of_death(az)

    def changed(self) -> None:
        """See Host."""
        for cluster in list(self._seats):
            self.learned(cluster)

    def learned(self, cluster: str) -> None:
        """See Host."""
        seat, lead = self._seats.get(cluster), self._electorate.leads.get(cluster)
        if seat is None and lead is not None and lead.az:
            seat = self._seat(cluster)  # which learns it
            return
        if seat is None:
            return
        if lead is not None and lead.az == self._az and lead.epoch != self._leads_in(seat):
            # Of a former life, whose death the others have not noticed.
            self._lay_down(cluster, lead.epoch)
        if seat.leadership is not None:
            if lead is not None and lead.epoch > seat.leadership.epoch:
                seat.leadership.resign()
            return
        seat.follow(self._electorate.leader(cluster))
        self._cancel_turn(cluster)
        after = self._electorate.claim_after(cluster, seat.azs, self._loop.time())
        if after is not None:
            after += self._backoff(seat)
            self._turns[cluster] = self._loop.call_later(after, self._claim, seat)

    def _doubt(self, seat: Seat) -> None:
        """Somebody waits at a seat: for its leader's next sign of life, if there is one."""
        if seat.leader:
            self._waiting[seat] = None
            self.peers.doubt(seat.leader)

    def _doubt_others(self, seat: Seat) -> None:
        """The journals of the others are late: if we do not hear them, they have to know."""
        for az in seat.azs:
            self.peers.doubt(az)

    def _backoff(self, seat: Seat) -> float:
        if not seat.refusals:
            return 0.0
        longest: float = min(_REFUSED_SECONDS_MIN * 2.0**seat.refusals, _REFUSED_SECONDS_MAX)
        return longest * (0.5 + self._chance.random() / 2)

    def _cancel_turn(self, cluster: str) -> None:
        turn = self._turns.pop(cluster, None)
        if turn is not None:
            turn.cancel()

    def _claim(self, seat: Seat) -> None:
        """Claim a cluster, if it still is our turn."""
        cluster = seat.cluster
        self._turns.pop(cluster, None)
        record = self._layout.read_cluster(cluster)
        if record is None or self._electorate.leader(cluster):
            return
        lead = self._electorate.leads.get(cluster)
        seat.leadership = Leadership(
            self._layout,
            self._az,
            record,
            self._journal,
            self._local,
            self._clock,
            candidate=self._chance.randbytes(TRANSACTION_ID_BYTES),
            epoch=max(seat.promised, lead.epoch if lead is not None else 0) + 1,
            opened=lambda leadership: self._lead(seat, leadership),
            doubt=lambda: self._doubt_others(seat),
        )
        self.peers.tell(Claims(cluster))
        task = self._tasks[cluster] = self._loop.create_task(seat.leadership.run())
        task.add_done_callback(lambda done: self._ended(seat, done))

    def _lead(self, seat: Seat, leadership: Leadership) -> None:
        self._electorate.learn(seat.cluster, Lead(leadership.epoch, self._az))
        self.peers.tell(Leads([(seat.cluster, leadership.epoch, self._az)]))
        seat.lead(leadership)

    def _ended(self, seat: Seat, done: asyncio.Task[None]) -> None:
        leadership, seat.leadership = seat.leadership, None
        self._tasks.pop(seat.cluster, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            log.critical("%s: leader stopped: %s", seat.cluster, error, exc_info=error)
        assert leadership is not None
        seat.promised = max(seat.promised, leadership.promised)
        seat.refusals += 1
        rests, seat.rests = seat.rests and not seat.connections, False
        if rests and self._electorate.learn(seat.cluster, Lead(leadership.epoch, "")):
            self.peers.tell(Rests(seat.cluster, leadership.epoch))
            self._rest(seat)
        elif leadership.pipeline is not None:
            self._lay_down(seat.cluster, leadership.epoch)
        if self._seats.get(seat.cluster) is seat:
            self.learned(seat.cluster)

    def _lay_down(self, cluster: str, epoch: int) -> None:
        if self._electorate.learn(cluster, Lead(epoch, "")):
            self.peers.tell(Leads([(cluster, epoch, "")]))

    @staticmethod
    def _leads_in(seat: Seat) -> int:
        """Return the epoch in which we lead, 0 if we do not."""
        leadership = seat.leadership
        return 0 if leadership is None or leadership.pipeline is None else leadership.epoch

    # Notifications

    def notify(
        self, connection: FramedConnection, cluster: str, name: bytes, behind: int
    ) -> asyncio.Task[None]:
        """Begin a feed of notifications; see `adjudicator.notifying`."""
        notifier = Notifier(connection, self._journal, cluster, name, behind, self._loop.time)
        return self._loop.create_task(notifier.run())

    # Operators

    def status(self) -> StatusReply:
        """Tell about every cluster that has a seat here."""
        values: dict[str, int | float | str] = {
            "role": "adjudicator",
            "az": self._az,
            "awake": len(self._seats),
        }
        for cluster, seat in self._seats.items():
            told: dict[str, int | float | str]
            if seat.leadership is not None:
                told = seat.leadership.status()
            else:
                leader = self._electorate.leader(cluster)
                told = {"leader": leader, "electing": int(not leader)}
            values.update({f"{cluster}.{name}": value for name, value in told.items()})
        return StatusReply(values)

    async def hand_over(self) -> None:
        """Give every lead to another zone, and return when that leads, or after HAND_OVER_SECONDS."""
        self._electorate.stopping = True
        for cluster in list(self._turns):
            self._cancel_turn(cluster)
        self.peers.announce()
        led = [seat for seat in self._seats.values() if self._leads_in(seat)]
        if not led:
            return
        await asyncio.sleep(_WORD_SECONDS)
        if not self._electorate.successors:
            return
        giving = self._loop.create_task(self._give_all_away(led))
        await asyncio.wait([giving], timeout=HAND_OVER_SECONDS)
        await _end(giving)

    async def _give_all_away(self, led: list[Seat]) -> None:
        await asyncio.gather(*map(self._give_away, led))
        while self._electorate.successors and not all(seat.leader for seat in led):
            await asyncio.sleep(_POLL_SECONDS)

    async def _give_away(self, seat: Seat) -> None:
        """Bring what is under way to its end, and lay the lead down; what comes meanwhile waits."""
        leadership = seat.leadership
        assert leadership is not None
        assert leadership.pipeline is not None
        seat.follow("")
        while not leadership.pipeline.is_idle:
            await asyncio.sleep(_POLL_SECONDS)
        leadership.resign()

    async def close(self) -> None:
        """Stop leading."""
        self._electorate.stopping = True
        for cluster in list(self._turns):
            self._cancel_turn(cluster)
        await asyncio.gather(*map(_end, list(self._tasks.values())))
        await self.peers.close()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _Connection(FramedConnection):
    """One query processor's connection.

    A query processor asks one thing at a time and waits. One that does not is cut off: what a connection
    may keep here is one request of the largest size, a few that wait, and the answers that a socket holds;
    all of a cluster's together, BYTES_MAX of requests that have come in part (`adjudicator.half_requests`).
    """

    def __init__(self, server: AdjudicatorServer) -> None:
        super().__init__(cap=_REQUEST_BYTES_MAX)
        self._server = server
        self._seat: Seat | None = None
        self._peer = ""  # another zone's adjudicator
        self._waiting = self._waiting_bytes = 0
        self._came_together = 0
        self._part_bytes = 0
        self._notifying: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        self._came_together = 0
        super().data_received(data)
        part_bytes = self._decoder.part_bytes
        if part_bytes != self._part_bytes:
            self._hold(part_bytes)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._notifying is not None:
            return  # which waits until that was taken, or ends the connection
        log.warning("closed a connection: it does not take its answers")
        self.abort()

    def frame_received(self, body: bytes) -> None:
        seat = self._seat
        if seat is None:
            self._open(body)
            return
        if body[:1] == _LISTEN:
            self._listen(seat, body)
            return
        self._server.requests += 1
        self._came_together += 1
        self._waiting += 1
        self._waiting_bytes += len(body)
        if (
            max(self._came_together, self._waiting) > REQUESTS_MAX
            or self._waiting_bytes > REQUESTS_BYTES_MAX
        ):
            raise ProtocolError("more requests than anybody waits for")
        try:
            seat.handle(body, partial(self._answer, len(body)))
        except (ValueError, struct.error) as error:
            raise ProtocolError(f"malformed adjudicator request: {error}") from error

    def _listen(self, seat: Seat, body: bytes) -> None:
        """Begin the feed that is asked for in the place of another one, or end it."""
        try:
            name, behind = decode_status(body)
        except struct.error as error:
            raise ProtocolError(f"malformed adjudicator request: {error}") from error
        if self._notifying is not None:
            self._notifying.cancel()
            self._notifying = None
        if behind:
            self._notifying = self._server.notify(self, seat.cluster, name, behind)

    def _answer(self, size: int, reply: bytes) -> None:
        self._waiting -= 1
        self._waiting_bytes -= size
        self.send(reply)

    def _hold(self, part_bytes: int) -> None:
        """Count what has come of a request in the cluster's sum, and close what is too much of that."""
        if self._seat is None:
            return  # an agent has opened it, and says for whom at once
        self._part_bytes = part_bytes
        slowest = self._seat.half_requests.hold(self, part_bytes)
        if slowest is not None:
            log.warning("%s: closed a connection: half requests", self._seat.cluster)
            slowest.abort()

    def closed(self) -> None:
        if self._notifying is not None:
            self._notifying.cancel()
            self._notifying = None
        if self._seat is not None:
            self._server.get_up(self, self._seat)
        elif self._peer:
            self._server.peers.closed(self, self._peer)

    def _open(self, body: bytes) -> None:
        if self._peer:
            self._server.peers.received(self, self._peer, body)
            return
        opening = decode_opening(body)
        if isinstance(opening, Peer):
            self._peer = opening.az
            self._server.peers.accepted(self, opening.az, opening.sentinels)
        elif isinstance(opening, Hello):
            self._take_seat(opening)
        else:
            self.send(encode(self._server.status()))

    def _take_seat(self, opening: Hello) -> None:
        seat = self._server.sit_down(self, opening.cluster) if opening.valid else None
        if seat is None:
            raise ProtocolError(f"cluster {opening.cluster!r} has no replica here")
        self._seat = seat


async def serve(
    layout: Layout,
    az: str,
    on_ready: Callable[[], None],
    journal: Journal | None = None,
    local: LocalReplica | None = None,
    sentinels: Sequence[int] = (),
    storage: Storage | None = None,
    rest_seconds: float = REST_SECONDS,
) -> None:
    """Serve the adjudicators of `az` at run/AZ.adjudicator.sock until cancelled.

    `journal` and `local` are the AZ's journal replica if it shares this event loop, `storage` is told
    which clusters are awake, which they are until nobody was connected for `rest_seconds`. By the
    `sentinels` of this process (`dsql.rpc.process`) others notice its death at once.
    """
    reader = journal or SocketJournal(layout.socket(f"{az}.journal"))
    server = AdjudicatorServer(
        layout,
        az,
        reader,
        local,
        sentinels=sentinels,
        storage=storage,
        rest_seconds=rest_seconds,
    )
    with garbage_collector_off():
        listening = await listen(layout.socket(f"{az}.adjudicator"), lambda: _Connection(server))
        try:
            server.resume()
            on_ready()
            while True:
                await next_tick(_LOOK_SECONDS)
                await server.look()
                server.mend_clocks()
        finally:
            await server.hand_over()
            listening.close()
            await server.close()
