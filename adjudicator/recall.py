"""What former leaders have committed, read back from a journal while the new leader already commits.

In pieces that grow, the newest first: who was under way when the leader changed needs the last moments, and
almost nobody the last minutes. How far back it goes is measured by timestamps, and these may be far apart
though little time has passed, after a step of the wall clock or a long rest: some commits are recalled
whatever their age.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from adjudicator.commit_pipeline import CommitPipeline, Recalled
from adjudicator.conflict_set import WINDOW_MICROSECONDS
from adjudicator.messages import decode_keys
from journal.client import Journal, JournalTrimmedError
from journal.messages import Record, RecordKind

log = logging.getLogger(__name__)

_FIRST_SPAN, _SPAN_GROWTH = 100_000, 4  # microseconds of the log
_COMMITS_MIN = 2_000
_READ_SECONDS = 5.0  # for one of these pieces; then another zone's journal is tried
_REREAD_SECONDS = 0.1
_RECORDS_PER_TURN = 64  # of the loop: decoding them takes about a millisecond


@dataclass
class _Piece:
    """What the log holds behind record `first`, and that record's timestamp: the floor below.

    Whoever began at that timestamp has seen the record itself, and however long ago that was, nothing was
    committed between it and the next one. With the very first record there is nothing below, and it is
    among `older`. `more`: the log goes on before it.
    """

    first: int
    older: Recalled
    floor: int
    more: bool


class Recall:
    """Reads one cluster's log back. `journals`: the zone's own, then others that have the log too."""

    def __init__(self, cluster: str, journals: Sequence[Journal]) -> None:
        self._cluster = cluster
        self._journals = journals

    async def run(self, pipeline: CommitPipeline, end: int) -> None:
        """Have the pipeline recall what the log holds before record `end`, as far back as is of use."""
        newest, span = pipeline.conflicts.floor, _FIRST_SPAN
        recalled = 0
        more = True
        while more:
            piece = await self._read_anywhere(newest - span, end)
            recalled += len(piece.older)
            more = piece.more and (span < WINDOW_MICROSECONDS or recalled < _COMMITS_MIN)
            if piece.first < end or not more:
                floor = pipeline.conflicts.floor
                if piece.first < end:
                    floor = min(piece.floor, floor)
                more = pipeline.recall(piece.older, floor, more=more)
            end = min(piece.first + 1, end)
            span *= _SPAN_GROWTH

    async def _read_anywhere(self, since: int, end: int) -> _Piece:
        """Return the piece of the log from `since` up to record `end`.

        From our own journal or, if that ails, from another zone's.
        """
        for journal in itertools.cycle(self._journals):
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    return await self._read_since(journal, since, end)
            except JournalTrimmedError:
                continue  # just now: the next look begins behind it
            except Exception as error:
                log.warning("%s: cannot read the log back: %r", self._cluster, error)
                await asyncio.sleep(_REREAD_SECONDS)
        raise AssertionError("there is a journal")

    async def _read_since(self, journal: Journal, since: int, end: int) -> _Piece:
        located = await journal.locate(self._cluster, since)
        if located > 1:
            with contextlib.suppress(JournalTrimmedError):
                return await self._read(journal, located - 1, end, more=True)
        return await self._read(journal, located, end, more=False)

    async def _read(self, journal: Journal, first: int, end: int, *, more: bool) -> _Piece:
        piece = _Piece(first, [], 0, more and first < end)
        if first >= end:  # what lay before has been trimmed meanwhile
            return piece
        async for records in journal.subscribe(self._cluster, first):
            for count, record in enumerate(records, 1):
                if record.sequence == first > 1:
                    piece.floor = record.timestamp
                elif record.sequence < end:
                    _note(record, piece.older)
                if record.sequence >= end - 1:
                    return piece
                if count % _RECORDS_PER_TURN == 0:
                    await asyncio.sleep(0)
        raise AssertionError("a feed does not end")


def _note(record: Record, older: Recalled) -> None:
    if record.kind == RecordKind.DATA:
        older.append((record.timestamp, decode_keys(record.payload)))
    elif record.kind == RecordKind.TOMBSTONE:
        older.append((record.timestamp, record.payload))
