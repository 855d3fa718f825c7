"""The journal replica of one AZ, for all clusters.

A cluster's log is opened when the first connection or the first local role names it, created if there is
none yet (`journal.opening`), and closed when nobody has used it for a second or two: a cluster at rest is
nothing but files. A leader's messages go to the cluster's `ReplicaHost`; each subscription is a task that
copies committed frames to its connection as fast as the reader takes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

from dsql.control.departures import Departures
from dsql.control.layout import ClusterRecord, Layout, encode_record
from dsql.rpc.clock import Clock, SystemClock
from dsql.rpc.messages import Hello, StatusReply, decode_opening
from dsql.rpc.messages import encode as encode_opening
from dsql.rpc.server import FramedConnection, ProtocolError, listen
from dsql.rpc.tick import next_tick
from journal.client import (
    Attachment,
    JournalTrimmedError,
    ReplicaFailedError,
    records_from,
    records_of,
)
from journal.codec import Feed, LeaderMessage, Message, decode, encode
from journal.disk_threads import DiskThreads, DiskWork
from journal.messages import (
    Applied,
    Checkpoint,
    Locate,
    Located,
    Record,
    Subscribe,
    Trimmed,
)
from journal.opening import FAILED, FULL, LogOpener
from journal.replica_host import ReplicaHost
from journal.upkeep import Upkeep

log = logging.getLogger(__name__)

_THREADS = 8
_LOOK_SECONDS = 1.0


class UnknownClusterError(Exception):
    """No such cluster exists under this data directory."""


class _Replica:
    """One cluster's replica here: what opens its log, and, once it is open, its host and its upkeep.

    `users` are those who lead, read or ask at present; `unused`: there were none at the last look.
    """

    def __init__(self, opener: LogOpener, opening: asyncio.Task[ReplicaHost]) -> None:
        self.opener = opener
        self.opening = opening
        self.upkeep: Upkeep | None = None
        self.keeping: asyncio.Task[None] | None = None
        self.users = 0
        self.unused = False

    @property
    def may_rest(self) -> bool:
        """Whether it can be closed without losing sight of anything: its log is open, sound and quiet."""
        return not self.users and self.upkeep is not None and self.opening.result().is_quiet


class JournalServer:
    """All replicas of one AZ, made on the event loop that it serves.

    Implements journal.client.Journal and LocalReplica for the roles that share the loop. Blocking work is
    done by `threads`, which it closes in the end.
    """

    def __init__(
        self,
        layout: Layout,
        az: str,
        threads: DiskWork | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._layout = layout
        self._az = az
        self._replicas: dict[str, _Replica] = {}
        self._threads = threads or DiskThreads(f"journal-{az}", _THREADS)
        self._clock = clock or SystemClock()
        self._closed = False
        self._departures = Departures(layout)
        self._deleted: list[str] = []
        self._closing: dict[str, asyncio.Task[None]] = {}

    async def host(self, cluster: str) -> ReplicaHost:
        """Return a cluster's replica once its log is open, however long that takes.

        Raises UnknownClusterError, or ReplicaFailedError when the server ends.
        """
        return await asyncio.shield(self._replica(cluster).opening)

    def _replica(self, cluster: str) -> _Replica:
        """Return a cluster's replica, whose log is opened from now on. Raises as `host` does."""
        replica = self._replicas.get(cluster)
        if replica is None and self._closed:
            raise ReplicaFailedError(f"{self._az}/{cluster}")
        if replica is None:
            record = self._layout.read_cluster(cluster)
            if record is None:
                raise UnknownClusterError(cluster)
            replica = self._replicas[cluster] = self._begin(record)
        replica.unused = False
        return replica

    def use(self, cluster: str) -> Callable[[], None]:
        """Keep a cluster's log open until what is returned is called. Raises as `host` does."""
        replica = self._replica(cluster)
        replica.users += 1

        def leave() -> None:
            replica.users -= 1

        return leave

    @contextlib.contextmanager
    def _in_use(self, cluster: str) -> Iterator[None]:
        leave = self.use(cluster)
        try:
            yield
        finally:
            leave()

    def _begin(self, record: ClusterRecord) -> _Replica:
        cluster = record.identifier
        name = f"{self._az}/{cluster}"
        opener = LogOpener(
            name,
            self._layout.journal(self._az, cluster),
            self._layout.journal_founded(self._az, cluster),
            self._layout.files,
            self._threads,
            encode_record(record),
        )
        peers = [self._layout.socket(f"{az}.journal") for az in record.azs if az != self._az]

        async def open_host() -> ReplicaHost:
            if (former := self._closing.get(cluster)) is not None:
                await asyncio.wait([former])
            host = ReplicaHost(name, await opener.open(), self._threads, opener)
            replica.upkeep = Upkeep(host, cluster, peers, self._threads, self._clock)
            replica.keeping = asyncio.create_task(replica.upkeep.run())
            return host

        replica = _Replica(opener, asyncio.create_task(open_host()))
        return replica

    async def leave_deleted(self) -> None:
        """Close the replicas of clusters that had disappeared by the last look.

        Storage and adjudicators, which look as often, have let go of them since: they rest on this.
        """
        for cluster in self._deleted:
            await self._leave(cluster)
        self._deleted = list(self._departures.among(self._replicas))

    async def rest(self) -> None:
        """Close the logs that nobody has used since the last call but one."""
        for cluster, replica in list(self._replicas.items()):
            if replica.unused and replica.may_rest:
                await self._leave(cluster)
            else:
                replica.unused = replica.may_rest

    async def _leave(self, cluster: str) -> None:
        replica = self._replicas.pop(cluster, None)
        if replica is not None:
            closing = self._closing[cluster] = asyncio.create_task(_close(replica))
            closing.add_done_callback(lambda _: self._closing.pop(cluster, None))
            await asyncio.wait([closing])

    async def subscribe(self, cluster: str, from_sequence: int) -> AsyncIterator[list[Record]]:
        """See journal.client.Journal."""
        with self._in_use(cluster):
            host = await self.host(cluster)
            async for frames in host.feed.frames(from_sequence):
                yield records_from(frames, from_sequence)

    async def follow(
        self,
        cluster: str,
        from_sequence: int,
        receive: Callable[[list[Record]], None],
        applied: Callable[[], int],
    ) -> None:
        """See journal.client.Journal."""
        with self._in_use(cluster):
            host = await self.host(cluster)
            await host.feed.follow(
                from_sequence, lambda frames: receive(records_of(frames)), applied
            )

    async def checkpoint(self, cluster: str, sequence: int) -> None:
        """See journal.client.Journal."""
        with self._in_use(cluster):
            (await self.host(cluster)).checkpoint(sequence)

    async def locate(self, cluster: str, timestamp: int) -> int:
        """See journal.client.Journal."""
        with self._in_use(cluster):
            return await (await self.host(cluster)).locate(timestamp)

    async def attach(self, cluster: str, receive: Callable[[Message], None]) -> Attachment:
        """See journal.client.LocalReplica."""
        leave = self.use(cluster)
        try:
            host = await self.host(cluster)
            await host.usable()
        except BaseException:
            leave()
            raise
        promised = host.replica.promise.epoch
        return Attachment(
            lambda message: host.receive(message, receive), host.ended, promised, leave
        )

    def status(self) -> StatusReply:
        """Tell every open replica's promise, end and commit index."""
        values: dict[str, int | float | str] = {"role": "journal", "az": self._az}
        for cluster, replica in self._replicas.items():
            values |= {f"{cluster}.{word}": value for word, value in _describe(replica).items()}
        return StatusReply(values)

    async def close(self) -> None:
        """Close every log, and open none any more."""
        self._closed = True
        for cluster in list(self._replicas):
            await self._leave(cluster)
        if self._closing:
            await asyncio.wait(self._closing.values())
        await self._threads.close()


async def _close(replica: _Replica) -> None:
    if replica.keeping is not None:
        await _cancelled(replica.keeping)
    if replica.upkeep is None:
        await _cancelled(replica.opening)
    else:
        await (await replica.opening).close()


def _describe(replica: _Replica) -> dict[str, int | float | str]:
    """Return what the status says of a replica; the words for what is wrong are 0 while it is not."""
    trouble = replica.opener.trouble
    values: dict[str, int | float | str] = {
        "failed": int(trouble == FAILED),
        "full": int(trouble == FULL),
    }
    if replica.upkeep is not None:
        host = replica.opening.result()
        values |= {
            "promised_epoch": host.replica.promise.epoch,
            "last_sequence": host.replica.log.last,
            "commit": host.replica.commit,
            "lost": int(not host.replica.promise.whole),
            "damaged": len(host.disk.damaged),
            "repaired": host.repaired,
            "kept_bytes": host.disk.kept_bytes,
            "scrubbed_at": replica.upkeep.scrubbed_at,
        }
        values["full"] = int(host.full or trouble == FULL)
        values["failed"] = int(host.failed and trouble != FULL)
    return values


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


class _Connection(FramedConnection):
    """One leader or reader. What it sends while its cluster's log is being opened waits."""

    def __init__(self, server: JournalServer) -> None:
        super().__init__()
        self._server = server
        self._cluster = ""
        self._host: ReplicaHost | None = None
        self._leave: Callable[[], None] | None = None
        self._early: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def frame_received(self, body: bytes) -> None:
        if self._host is not None:
            self._dispatch(self._host, decode(body))
        elif self._cluster:
            self._early.append(body)
        else:
            self._open(body)

    def closed(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._leave is not None:
            self._leave()

    def _open(self, body: bytes) -> None:
        opening = decode_opening(body)
        if not isinstance(opening, Hello):
            self.send(encode_opening(self._server.status()))
        elif opening.valid:
            self._cluster = opening.cluster
            self._spawn(self._bind())
        else:
            raise ProtocolError("not a cluster identifier")

    async def _bind(self) -> None:
        try:
            self._leave = self._server.use(self._cluster)
            host = await self._server.host(self._cluster)
            await host.usable()
            self._host = host
            self._spawn(self._outlive(host.ended))
            for body in self._early:
                self._dispatch(self._host, decode(body))
            self._early.clear()
        except Exception as error:
            log.error("journal of %s: %s", self._cluster, error)
            self.close()

    async def _outlive(self, log_in_use: asyncio.Future[None]) -> None:
        """Close when the log is given up: whoever relied on it has to ask anew what holds."""
        await asyncio.wait([log_in_use])
        self.close()

    def _dispatch(self, host: ReplicaHost, message: Message) -> None:
        if isinstance(message, LeaderMessage):
            host.receive(message, self._respond)
        elif isinstance(message, Subscribe):
            self._spawn(self._feed(host, message))
        elif isinstance(message, Checkpoint):
            host.checkpoint(message.sequence)
        elif isinstance(message, Applied):
            host.feed.applied_elsewhere = message.sequence
        elif isinstance(message, Locate):
            self._spawn(self._locate(host, message.timestamp))
        else:
            raise ProtocolError(f"a replica is not told {type(message).__name__}")

    def _respond(self, message: Message) -> None:
        self.send(encode(message))

    async def _feed(self, host: ReplicaHost, wanted: Subscribe) -> None:
        sequence = wanted.from_sequence
        try:
            if wanted.or_newest:
                sequence = await host.feed.last_up_to(sequence)
            async for frames in host.feed.frames(sequence):
                self.send(encode(Feed(frames)))
                await self.drained()
        except ReplicaFailedError:
            self.close()
        except JournalTrimmedError:
            self.send(encode(Trimmed(host.replica.log.first)))

    async def _locate(self, host: ReplicaHost, timestamp: int) -> None:
        self.send(encode(Located(await host.locate(timestamp))))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def serve(
    layout: Layout, az: str, on_ready: Callable[[], None], server: JournalServer | None = None
) -> None:
    """Serve the journal of `az` at run/AZ.journal.sock until cancelled.

    `server`, if given, is also used by other roles on this event loop; it is closed at the end.
    """
    journal = server or JournalServer(layout, az)
    listening = await listen(layout.socket(f"{az}.journal"), lambda: _Connection(journal))
    try:
        on_ready()
        while True:
            await next_tick(_LOOK_SECONDS)
            await journal.leave_deleted()
            await journal.rest()
    finally:
        listening.close()
        await journal.close()
