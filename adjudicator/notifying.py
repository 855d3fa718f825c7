"""A zone's side of notifications: tells a query processor what the commits behind a timestamp notify.

It reads the zone's own journal replica, from the segments as far as the asker is behind. What a commit
notifies is passed on as it came, unopened; how far the feed is otherwise it says now and then, so that the
asker can go on elsewhere. If its journal does not reach back so far, it says so and ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from adjudicator.messages import (
    Verdict,
    encode_heard,
    encode_reply,
    find_notifications,
)
from dsql.rpc.server import FramedConnection
from journal.client import Journal, JournalTrimmedError
from journal.messages import Record, RecordKind

log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 1.0
_RETRY_SECONDS = 0.1
_TAKE_SECONDS = 5.0  # a query processor that takes nothing for so long is cut off


class Notifier:
    """One feed: `name`, of a cluster's commits behind the timestamp `behind`."""

    def __init__(
        self,
        connection: FramedConnection,
        journal: Journal,
        cluster: str,
        name: bytes,
        behind: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._cluster = cluster
        self._name = name
        self._behind = behind
        self._monotonic = monotonic
        self._told_at = 0.0

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            try:
                await self._tell_all()
            except JournalTrimmedError:
                self._connection.send(encode_reply(self._name, Verdict.FORGOTTEN))
                return
            except TimeoutError:
                log.warning("%s: closed a connection: it takes no notifications", self._cluster)
                self._connection.abort()
                return
            except Exception as error:  # of the replica, which is opened again
                log.warning("%s: cannot read the journal: %r", self._cluster, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _tell_all(self) -> None:
        # The record at this timestamp, which the asker has seen, shows that none is missing behind it.
        first = await self._journal.locate(self._cluster, self._behind)
        is_first = True
        async for records in self._journal.subscribe(self._cluster, first):
            if is_first and records[0].timestamp > self._behind and records[0].sequence > 1:
                raise JournalTrimmedError(f"kept from {records[0].sequence}")
            is_first = False
            for record in records:
                if record.timestamp > self._behind:
                    self._tell(record)
                    self._behind = record.timestamp
            if (now := self._monotonic()) >= self._told_at + _PROGRESS_SECONDS:
                self._connection.send(encode_heard(self._name, self._behind))
                self._told_at = now
            async with asyncio.timeout(_TAKE_SECONDS):
                await self._connection.drained()

    def _tell(self, record: Record) -> None:
        if record.kind == RecordKind.DATA:
            try:
                notifications = find_notifications(record.payload)
            except msgspec.DecodeError:
                return  # of a compromised client: storage takes nothing of it either
            if notifications:
                self._connection.send(encode_heard(self._name, record.timestamp, notifications))
