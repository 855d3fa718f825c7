"""The journal replica of one AZ, for all clusters.

A cluster's log is opened when the first connection or the first local role names it, and created if
there is none yet. That it was created is also written down in the cluster's own folder: a log that is
missing later has been lost, and is not a new one. A leader's messages go to the cluster's `ReplicaHost`;
each subscription is a task that copies committed frames to its connection as fast as the reader takes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

from dsql.control.atomic_file import write_atomically
from dsql.control.layout import Layout
from dsql.disk.files import Files
from dsql.rpc.messages import Hello, StatusReply, decode_opening
from dsql.rpc.messages import encode as encode_opening
from dsql.rpc.server import FramedConnection, ProtocolError, listen
from journal.client import Attachment, JournalTrimmedError, ReplicaFailedError, records_from
from journal.codec import Feed, LeaderMessage, Message, decode, encode
from journal.disk_threads import DiskThreads, DiskWork
from journal.log import Log
from journal.messages import (
    Checkpoint,
    Locate,
    Located,
    Record,
    Subscribe,
    Trimmed,
)
from journal.replica_host import ReplicaHost

log = logging.getLogger(__name__)

_THREADS = 8


class UnknownClusterError(Exception):
    """No such cluster exists under this data directory."""


class JournalServer:
    """All replicas of one AZ, made on the event loop that it serves.

    Implements journal.client.Journal and LocalReplica for the roles that share the loop. Blocking work is
    done by `threads`, which it closes in the end.
    """

    def __init__(self, layout: Layout, az: str, threads: DiskWork | None = None) -> None:
        self._layout = layout
        self._az = az
        self._hosts: dict[str, asyncio.Task[ReplicaHost]] = {}
        self._threads = threads or DiskThreads(f"journal-{az}", _THREADS)

    async def host(self, cluster: str) -> ReplicaHost:
        """Return a cluster's replica, opened. Raises UnknownClusterError, or what opening raises."""
        opening = self._hosts.get(cluster)
        if opening is None:
            if self._layout.read_cluster(cluster) is None:
                raise UnknownClusterError(cluster)
            opening = self._hosts[cluster] = asyncio.create_task(self._open(cluster))
        try:
            return await asyncio.shield(opening)
        except Exception:
            self._hosts.pop(cluster, None)
            raise

    async def _open(self, cluster: str) -> ReplicaHost:
        directory = self._layout.journal(self._az, cluster)
        founded = self._layout.journal_founded(self._az, cluster)
        disk = await self._threads.run(lambda: _open_log(self._layout.files, directory, founded))
        return ReplicaHost(f"{self._az}/{cluster}", disk, self._threads)

    async def subscribe(self, cluster: str, from_sequence: int) -> AsyncIterator[list[Record]]:
        """See journal.client.Journal."""
        host = await self.host(cluster)
        async for frames in host.frames(from_sequence):
            yield records_from(frames, from_sequence)

    async def follow(
        self, cluster: str, from_sequence: int, receive: Callable[[list[Record]], None]
    ) -> None:
        """See journal.client.Journal."""
        host = await self.host(cluster)
        await host.follow(
            from_sequence, lambda frames: receive(records_from(frames, from_sequence))
        )

    async def checkpoint(self, cluster: str, sequence: int) -> None:
        """See journal.client.Journal."""
        (await self.host(cluster)).checkpoint(sequence)

    async def locate(self, cluster: str, timestamp: int) -> int:
        """See journal.client.Journal."""
        return await (await self.host(cluster)).locate(timestamp)

    async def attach(self, cluster: str, receive: Callable[[Message], None]) -> Attachment:
        """See journal.client.LocalReplica."""
        host = await self.host(cluster)
        if host.failed:
            raise ReplicaFailedError(f"the journal of {cluster} has failed")
        promised = host.replica.promise.epoch
        return Attachment(lambda message: host.receive(message, receive), host.ended, promised)

    def status(self) -> StatusReply:
        """Tell every open replica's promise, end and commit index."""
        values: dict[str, int | float | str] = {"role": "journal", "az": self._az}
        for cluster, opening in self._hosts.items():
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                host = opening.result()
                values[f"{cluster}.promised_epoch"] = host.replica.promise.epoch
                values[f"{cluster}.last_sequence"] = host.replica.log.last
                values[f"{cluster}.commit"] = host.replica.commit
                values[f"{cluster}.failed"] = int(host.failed)
                values[f"{cluster}.lost"] = int(not host.replica.promise.whole)
        return StatusReply(values)

    async def close(self) -> None:
        """Close every log."""
        for opening in self._hosts.values():
            opened = (await asyncio.gather(opening, return_exceptions=True))[0]
            if isinstance(opened, ReplicaHost):
                await opened.close()
        self._hosts.clear()
        await self._threads.close()


def _open_log(files: Files, directory: Path, founded: Path) -> Log:
    """Open a log, or create it if there has never been one: it is durable before that is written down."""
    known = files.exists(founded)
    disk = Log(directory, expected=known, files=files)
    if not known:
        note = b"This zone's journal exists. If its folder does not, it was lost.\n"
        write_atomically(founded, note, files=files)
    return disk


class _Connection(FramedConnection):
    """One leader or reader. What it sends while its cluster's log is being opened waits."""

    def __init__(self, server: JournalServer) -> None:
        super().__init__()
        self._server = server
        self._cluster = ""
        self._host: ReplicaHost | None = None
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
            self._host = await self._server.host(self._cluster)
            for body in self._early:
                self._dispatch(self._host, decode(body))
            self._early.clear()
        except Exception as error:
            log.error("journal of %s: %s", self._cluster, error)
            self.close()

    def _dispatch(self, host: ReplicaHost, message: Message) -> None:
        if host.failed:
            self.close()
        elif isinstance(message, LeaderMessage):
            host.receive(message, self._respond)
        elif isinstance(message, Subscribe):
            self._spawn(self._feed(host, message.from_sequence))
        elif isinstance(message, Checkpoint):
            host.checkpoint(message.sequence)
        elif isinstance(message, Locate):
            self._spawn(self._locate(host, message.timestamp))
        else:
            raise ProtocolError(f"a replica is not told {type(message).__name__}")

    def _respond(self, message: Message) -> None:
        self.send(encode(message))

    async def _feed(self, host: ReplicaHost, sequence: int) -> None:
        try:
            async for frames in host.frames(sequence):
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
        await asyncio.get_running_loop().create_future()
    finally:
        listening.close()
        await journal.close()
