"""What former leaders have committed, read back from a journal while the new leader already commits.

In pieces that grow, the newest first: who was under way when the leader changed needs the last moments, and
almost nobody the last minutes.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence

from adjudicator.commit_pipeline import CommitPipeline, Recalled
from adjudicator.conflict_set import WINDOW_MICROSECONDS
from adjudicator.messages import decode_keys
from journal.client import Journal, JournalTrimmedError
from journal.messages import Record, RecordKind

log = logging.getLogger(__name__)

_FIRST_SPAN, _SPAN_GROWTH = 100_000, 4  # microseconds of the log
_READ_SECONDS = 5.0  # for one of these pieces; then another zone's journal is tried
_REREAD_SECONDS = 0.1
_RECORDS_PER_TURN = 64  # of the loop: decoding them takes about a millisecond


class Recall:
    """Reads one cluster's log back. `journals`: the zone's own, then others that have the log too."""

    def __init__(self, cluster: str, journals: Sequence[Journal]) -> None:
        self._cluster = cluster
        self._journals = journals

    async def run(self, pipeline: CommitPipeline, end: int) -> None:
        """Have the pipeline recall what the log holds before record `end`, as far back as is of use."""
        newest, span = pipeline.conflicts.floor, _FIRST_SPAN
        more = True
        while more:
            first, older, floor = await self._read_anywhere(newest - span, end)
            more = first > 1 and span < WINDOW_MICROSECONDS
            if first < end or not more:
                more = pipeline.recall(older, min(floor, pipeline.conflicts.floor), more=more)
            end = min(first, end)
            span *= _SPAN_GROWTH

    async def _read_anywhere(self, since: int, end: int) -> tuple[int, Recalled, int]:
        """Return what `_read` does, from our own journal or, if that ails, from another zone's."""
        for journal in itertools.cycle(self._journals):
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    first = await journal.locate(self._cluster, since)
                    return first, *await self._read(journal, first, end)
            except JournalTrimmedError:
                continue  # just now: the next look begins behind it
            except Exception as error:
                log.warning("%s: cannot read the log back: %r", self._cluster, error)
                await asyncio.sleep(_REREAD_SECONDS)
        raise AssertionError("there is a journal")

    async def _read(self, journal: Journal, first: int, end: int) -> tuple[Recalled, int]:
        """Return the commits and tombstones from record `first` up to `end`, and the floor below."""
        older: Recalled = []
        floor = 0
        if first >= end:
            return older, floor
        async for records in journal.subscribe(self._cluster, first):
            if records[0].sequence == first and first > 1:
                floor = records[0].timestamp - 1
            for count, record in enumerate(records, 1):
                if record.sequence < end:
                    _note(record, older)
                if record.sequence >= end - 1:
                    return older, floor
                if count % _RECORDS_PER_TURN == 0:
                    await asyncio.sleep(0)
        raise AssertionError("a feed does not end")


def _note(record: Record, older: Recalled) -> None:
    if record.kind == RecordKind.DATA:
        older.append((record.timestamp, decode_keys(record.payload)))
    elif record.kind == RecordKind.TOMBSTONE:
        older.append((record.timestamp, record.payload))
