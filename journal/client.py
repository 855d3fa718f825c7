"""What other roles use of a journal: the feed of committed records, and appending as its leader.

The feed has one interface and two journals behind it: `SocketJournal`, and the replica's own server
for roles that share its event loop (then no socket and no copy lies between).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from dsql.rpc.client import connect
from dsql.rpc.clock import Clock
from dsql.rpc.messages import Hello
from dsql.rpc.messages import encode as encode_opening
from dsql.rpc.server import FramedConnection
from journal.codec import Feed, Fetched, LeaderMessage, Message, decode, encode
from journal.copier import Send
from journal.followers import Quorum
from journal.leader import Leader
from journal.messages import (
    AppendReply,
    Checkpoint,
    ClaimReply,
    Locate,
    Located,
    Record,
    Subscribe,
    Trimmed,
)
from journal.segment import Frame

log = logging.getLogger(__name__)

__all__ = ["Appender", "Journal", "JournalTrimmedError", "LocalReplica", "Quorum", "SocketJournal"]

_RECONNECT_SECONDS = 0.05
# How long after an append the zones that it does not need get it too, and those that have it learn that
# it is committed: readers are in the leader's zone as long as that one lives, and each message wakes a
# process. It is also what a commit waits when an eager replica is suddenly slow.
_CATCH_UP_SECONDS = 0.005
_TICK_SECONDS = 1.0
_STRANDED = (
    "most journal replicas have lost their logs, and acknowledged commits may be gone with them: nobody "
    "can lead until the directory of one of them is put back as it was"
)


class JournalTrimmedError(Exception):
    """The wanted record is older than all that the journal still keeps."""


class ReplicaFailedError(Exception):
    """The replica's disk has failed, or the replica was closed."""


class Journal(Protocol):
    """What storage and adjudicators may ask of the journal replica of their AZ."""

    def subscribe(self, cluster: str, from_sequence: int) -> AsyncIterator[list[Record]]:
        """Yield the committed records from `from_sequence` (the first is 1) on, in batches, for ever.

        Each record comes exactly once and without gaps; a batch is never empty. A feed over a
        socket reconnects by itself. Raises JournalTrimmedError if `from_sequence` is not kept.
        """
        ...

    async def follow(
        self, cluster: str, from_sequence: int, receive: Callable[[list[Record]], None]
    ) -> None:
        """Call `receive` with what `subscribe` yields, for ever.

        On the replica's own event loop the call comes within the one that commits the records: when a
        leader there publishes their timestamp, `receive` has returned. Raises what `receive` raises.
        """
        ...

    async def checkpoint(self, cluster: str, sequence: int) -> None:
        """Say that this AZ's storage has every record up to `sequence` on its own disk.

        What every AZ has checkpointed may be trimmed from the journal. To be said again after
        each start.
        """
        ...

    async def locate(self, cluster: str, timestamp: int) -> int:
        """Return a sequence at or before the first record with at least `timestamp`."""
        ...


class LocalReplica(Protocol):
    """A replica on the same event loop, as a leader reaches it."""

    async def attach(
        self, cluster: str, receive: Callable[[Message], None]
    ) -> Callable[[LeaderMessage], None]:
        """Return the function that takes the leader's messages; answers go to `receive`, later."""
        ...


def records_from(frames: list[Frame], sequence: int) -> list[Record]:
    """Return the records of consecutive frames, from `sequence` on; the first frame holds it."""
    records = [record for frame in frames for record in frame.records]
    return records[sequence - records[0].sequence :] if records[0].sequence < sequence else records


class SocketJournal:
    """The Journal behind a replica's Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def subscribe(self, cluster: str, from_sequence: int) -> AsyncIterator[list[Record]]:
        """See Journal."""
        sequence = from_sequence
        while True:
            with contextlib.suppress(OSError):
                async with contextlib.aclosing(self._ask(cluster, Subscribe(sequence))) as feed:
                    async for message in feed:
                        if isinstance(message, Trimmed):
                            raise JournalTrimmedError(f"kept from {message.first_sequence}")
                        assert isinstance(message, Feed)
                        records = records_from(message.frames, sequence)
                        sequence = records[-1].sequence + 1
                        yield records
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def follow(
        self, cluster: str, from_sequence: int, receive: Callable[[list[Record]], None]
    ) -> None:
        """See Journal."""
        async for records in self.subscribe(cluster, from_sequence):
            receive(records)

    async def checkpoint(self, cluster: str, sequence: int) -> None:
        """See Journal."""
        connection = await connect(self._path, lambda: _Inbox(cluster))
        connection.send(encode(Checkpoint(sequence)))
        connection.close()

    async def locate(self, cluster: str, timestamp: int) -> int:
        """See Journal. Raises ConnectionError."""
        async with contextlib.aclosing(self._ask(cluster, Locate(timestamp))) as answers:
            async for message in answers:
                assert isinstance(message, Located)
                return message.sequence
        raise ConnectionResetError("the journal replica went away")

    async def _ask(
        self, cluster: str, question: Subscribe | Locate
    ) -> AsyncGenerator[Message, None]:
        connection = await connect(self._path, lambda: _Inbox(cluster))
        try:
            connection.send(encode(question))
            while (message := await connection.messages.get()) is not None:
                yield message
        finally:
            connection.close()


class _Inbox(FramedConnection):
    """A reader's connection; a None among the messages is its end."""

    def __init__(self, cluster: str) -> None:
        super().__init__()
        self._cluster = cluster
        self.messages: asyncio.Queue[Message | None] = asyncio.Queue()

    def opened(self) -> None:
        self.send(encode_opening(Hello(self._cluster)))

    def frame_received(self, body: bytes) -> None:
        self.messages.put_nowait(decode(body))

    def closed(self) -> None:
        self.messages.put_nowait(None)


class Appender:
    """Leads one cluster's journal: drives a Leader over connections to all replicas.

    `replicas` are socket paths, or a LocalReplica. `on_commit` is called with the commit index each
    time it has risen; records appended in that call carry the index to the replicas. The first call
    says that the leader is open; before it nothing may be appended. `epoch` is the first one to try.
    """

    def __init__(
        self,
        cluster: str,
        name: str,
        replicas: list[Path | LocalReplica],
        on_commit: Callable[[int], None],
        *,
        clock: Clock,
        quorum: Quorum,
        epoch: int = 1,
    ) -> None:
        self._cluster = cluster
        self._replicas = replicas
        self._local = next(
            (index for index, other in enumerate(replicas) if not isinstance(other, Path)), None
        )
        near = self._local or 0
        self.leader = Leader(os.urandom(16), name, quorum, clock, epoch=epoch, near=near)
        self._on_commit = on_commit
        self._told_commit = 0
        self._told_stranded = False
        self._catching_up: asyncio.TimerHandle | None = None
        self._senders: list[Callable[[LeaderMessage], None] | None] = [None] * len(replicas)
        self._encoded: tuple[object, bytes] = (None, b"")
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Keep the connections up, until the leader is deposed (then return) or cancelled."""
        async with asyncio.TaskGroup() as group:
            links = [group.create_task(self._link(index)) for index in range(len(self._replicas))]
            while not self.leader.deposed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_SECONDS):
                        await self._changed.wait()
                        self._changed.clear()
                        continue
                self._deliver(self.leader.tick())
            if self._catching_up is not None:
                self._catching_up.cancel()
            for link in links:
                link.cancel()

    def append(self, entries: list[tuple[int, int, bytes]]) -> int:
        """Append records (timestamp, kind, payload); return the sequence of the last one."""
        self._deliver(self.leader.append(entries))
        self._catch_up_soon()
        return self.leader.last_sequence

    def tell_local(self) -> None:
        """Tell the replica on this event loop what is committed, before `on_commit` has returned."""
        if self._local is not None:
            self._deliver(self.leader.notice(self._local))

    def _step(self, replica: int, message: Message) -> None:
        assert isinstance(message, ClaimReply | AppendReply | Fetched)
        leader = self.leader
        self._deliver(leader.step(replica, message))
        if leader.deposed:
            self._changed.set()
        elif leader.commit > self._told_commit:
            self._told_commit = leader.commit
            self._on_commit(leader.commit)
            self._catch_up_soon()
        elif leader.stranded and not self._told_stranded:
            self._told_stranded = True
            log.error("%s: %s", self._cluster, _STRANDED)

    def _catch_up_soon(self) -> None:
        if self._catching_up is None:
            loop = asyncio.get_running_loop()
            self._catching_up = loop.call_later(_CATCH_UP_SECONDS, self._catch_up)

    def _catch_up(self) -> None:
        self._catching_up = None
        if not self.leader.deposed:
            self._deliver(self.leader.catch_up())

    def _deliver(self, sends: list[Send]) -> None:
        # The others first: what is on its way to them does not wait for our own replica's readers.
        for replica, message in sends:
            if replica != self._local and (sender := self._senders[replica]) is not None:
                sender(message)
        for replica, message in sends:
            if replica == self._local and (sender := self._senders[replica]) is not None:
                sender(message)

    def _encode(self, message: Message) -> bytes:
        if self._encoded[0] is not message:
            self._encoded = (message, encode(message))
        return self._encoded[1]

    async def _link(self, index: int) -> None:
        """Keep one replica connected."""
        address = self._replicas[index]
        if not isinstance(address, Path):
            receive = self._receiver(index)
            self._senders[index] = await address.attach(self._cluster, receive)
            self._deliver(self.leader.connected(index))
            await asyncio.get_running_loop().create_future()  # it lives as long as we do
            return
        while True:
            with contextlib.suppress(OSError):
                link = await connect(address, lambda: _Link(self._cluster, self._receiver(index)))
                try:
                    self._senders[index] = lambda message, link=link: link.send(
                        self._encode(message)
                    )  # type: ignore[misc]
                    self._deliver(self.leader.connected(index))
                    await link.lost
                finally:
                    self._senders[index] = None
                    link.close()
                self._deliver(self.leader.disconnected(index))
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _receiver(self, index: int) -> Callable[[Message], None]:
        return lambda message: self._step(index, message)


class _Link(FramedConnection):
    """A leader's connection to one replica. `lost` is done when it is gone."""

    def __init__(self, cluster: str, receive: Callable[[Message], None]) -> None:
        super().__init__()
        self._cluster = cluster
        self._receive = receive
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def opened(self) -> None:
        self.send_at_once()
        self.send(encode_opening(Hello(self._cluster)))

    def frame_received(self, body: bytes) -> None:
        self._receive(decode(body))

    def closed(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
