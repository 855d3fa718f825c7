"""What other roles use of a journal: the feed of committed records, and appending as its leader.

The feed has one interface and two journals behind it: `SocketJournal`, and the replica's own server
for roles that share its event loop (then no socket and no copy lies between).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from dsql.rpc.client import connect
from dsql.rpc.messages import Hello
from dsql.rpc.messages import encode as encode_opening
from dsql.rpc.server import FramedConnection
from journal.appender import Appender, Attachment, LocalReplica
from journal.codec import Feed, Message, decode, encode
from journal.followers import Quorum
from journal.leader import BLOCKED_LOOKS
from journal.messages import (
    Applied,
    Checkpoint,
    Locate,
    Located,
    Record,
    Subscribe,
    Trimmed,
)
from journal.segment import Frame

__all__ = [
    "BLOCKED_LOOKS",
    "Appender",
    "Attachment",
    "Journal",
    "JournalTrimmedError",
    "LocalReplica",
    "Quorum",
    "SocketJournal",
]

_RECONNECT_SECONDS = 0.05
_TELL_SECONDS = 0.05


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
        self,
        cluster: str,
        from_sequence: int,
        receive: Callable[[list[Record]], None],
        applied: Callable[[], int],
    ) -> None:
        """Call `receive` with what `subscribe` yields, for ever, for one that has `from_sequence` already.

        So that it sees whether the journal has the same, the first batch may begin earlier: at the newest
        committed record, if that is before `from_sequence`. After a break some come again.

        `applied()` returns the last record that the caller has applied; leaders are told. On the replica's
        own event loop the call comes within the one that commits the records: when a leader there publishes
        their timestamp, `receive` has returned. Raises what `receive` raises.
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


def records_of(frames: list[Frame]) -> list[Record]:
    """Return the records of consecutive frames."""
    return [record for frame in frames for record in frame.records]


def records_from(frames: list[Frame], sequence: int) -> list[Record]:
    """Return the records of consecutive frames, from `sequence` on; the first frame holds it."""
    records = records_of(frames)
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
                async with contextlib.aclosing(self.feed(cluster, sequence)) as feed:
                    async for frames in feed:
                        records = records_from(frames, sequence)
                        sequence = records[-1].sequence + 1
                        yield records
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def feed(
        self, cluster: str, sequence: int, *, or_newest: bool = False
    ) -> AsyncGenerator[list[Frame]]:
        """Yield committed frames, the first of which holds `sequence`, while the connection lasts.

        See Subscribe for `or_newest`. Raises JournalTrimmedError, OSError.
        """
        question = Subscribe(sequence, or_newest)
        async with contextlib.aclosing(self._ask(cluster, question)) as messages:
            async for message in messages:
                if isinstance(message, Trimmed):
                    raise JournalTrimmedError(f"kept from {message.first_sequence}")
                assert isinstance(message, Feed)
                yield message.frames

    async def follow(
        self,
        cluster: str,
        from_sequence: int,
        receive: Callable[[list[Record]], None],
        applied: Callable[[], int],
    ) -> None:
        """See Journal."""
        telling = asyncio.get_running_loop().create_task(self._tell_applied(cluster, applied))
        try:
            await self._follow(cluster, from_sequence, receive)
        finally:
            telling.cancel()

    async def _follow(
        self, cluster: str, sequence: int, receive: Callable[[list[Record]], None]
    ) -> None:
        while True:
            with contextlib.suppress(OSError):
                feed = self.feed(cluster, sequence, or_newest=True)
                async with contextlib.aclosing(feed):
                    async for frames in feed:
                        records = records_of(frames)
                        sequence = records[-1].sequence
                        receive(records)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _tell_applied(self, cluster: str, applied: Callable[[], int]) -> None:
        """Say how far the reader is, as long as it follows."""
        while True:
            with contextlib.suppress(OSError):
                connection = await connect(self._path, lambda: _Inbox(cluster))
                try:
                    told = -1
                    while not connection.lost:
                        if (sequence := applied()) != told:
                            connection.send(encode(Applied(sequence)))
                            told = sequence
                        await asyncio.sleep(_TELL_SECONDS)
                finally:
                    connection.close()
            await asyncio.sleep(_RECONNECT_SECONDS)

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
        self.lost = False

    def opened(self) -> None:
        self.send(encode_opening(Hello(self._cluster)))

    def frame_received(self, body: bytes) -> None:
        self.messages.put_nowait(decode(body))

    def closed(self) -> None:
        self.lost = True
        self.messages.put_nowait(None)
