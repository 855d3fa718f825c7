"""What former leaders have committed, read back from a journal while the new leader already commits.

In pieces, the newest first: who was under way when the leader changed needs the last moments, and almost
nobody the last minutes. So the first piece is small, and while nobody waits commits go before. A turn of
the loop recalls some keys only, however many there are. How far back it goes is measured by timestamps,
and these may be far apart though little time has passed, after a step of the wall clock or a long rest:
some commits are recalled whatever their age.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from adjudicator.commit_pipeline import CommitPipeline, Recalled
from adjudicator.conflict_set import WINDOW_MICROSECONDS
from adjudicator.messages import WriteSetKeys, decode_keys
from journal.client import Journal, JournalTrimmedError
from journal.messages import Record, RecordKind

log = logging.getLogger(__name__)

_FIRST_RECORDS, _GROWTH, _RECORDS_MAX = 256, 4, 4_096  # of a piece
_COMMITS_MIN = 2_000
_READ_SECONDS = 5.0  # for one of these pieces; then another zone's journal is tried
_REREAD_SECONDS = 0.1
_KEYS_PER_TURN = 1_000  # of the loop: to decode or to recall them takes about a millisecond
_REST_SECONDS = 0.003  # between two turns while nobody waits


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
        newest, wanted = pipeline.conflicts.floor, _FIRST_RECORDS
        recalled = 0
        more = True
        while more:
            piece = await self._read_anywhere(pipeline, end, wanted)
            recalled += len(piece.older)
            is_recent = newest - piece.floor < WINDOW_MICROSECONDS or recalled < _COMMITS_MIN
            more = await self._take_in(pipeline, piece, more=piece.more and is_recent)
            end = min(piece.first + 1, end)
            wanted = min(wanted * _GROWTH, _RECORDS_MAX)

    async def _take_in(self, pipeline: CommitPipeline, piece: _Piece, *, more: bool) -> bool:
        """Have the pipeline recall a piece, the newest commits first; return whether more is wanted."""
        older, end = piece.older, len(piece.older)
        while True:
            begin = _begin_of_turn(older, end)
            floor = older[begin - 1][0] if begin else piece.floor
            floor = min(floor, pipeline.conflicts.floor)
            if not pipeline.recall(older[begin:end], floor, more=more or begin > 0):
                return False
            if begin == 0:
                return True
            end = begin
            await _give_way(pipeline)

    async def _read_anywhere(self, pipeline: CommitPipeline, end: int, wanted: int) -> _Piece:
        """Return the piece of so many records before record `end`, fewer if the log begins there.

        From our own journal or, if that ails, from another zone's.
        """
        for journal in itertools.cycle(self._journals):
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    return await self._read(journal, pipeline, end, wanted)
            except JournalTrimmedError:
                continue  # just now: the next look begins behind it
            except Exception as error:
                log.warning("%s: cannot read the log back: %r", self._cluster, error)
                await asyncio.sleep(_REREAD_SECONDS)
        raise AssertionError("there is a journal")

    async def _read(
        self, journal: Journal, pipeline: CommitPipeline, end: int, wanted: int
    ) -> _Piece:
        kept = await journal.locate(self._cluster, 0)
        first = max(kept, end - 1 - wanted)
        piece = _Piece(first, [], pipeline.conflicts.floor, kept < first)
        if first >= end:  # what lay before has been trimmed meanwhile
            return piece
        keys = 0
        async for records in journal.subscribe(self._cluster, first):
            for record in records:
                if record.sequence == first:
                    piece.floor = record.timestamp if first > 1 else 0
                if record.sequence > first or first == 1:
                    keys += _note(record, piece.older)
                if record.sequence >= end - 1:
                    return piece
                if keys >= _KEYS_PER_TURN:
                    keys = 0
                    await _give_way(pipeline)
        raise AssertionError("a feed does not end")


async def _give_way(pipeline: CommitPipeline) -> None:
    """Let others have a turn of the loop."""
    await asyncio.sleep(0 if pipeline.is_awaited else _REST_SECONDS)


def _begin_of_turn(older: Recalled, end: int) -> int:
    """Return from where on to recall what lies before `end`, at least one commit."""
    keys = 0
    while end > 0 and keys < _KEYS_PER_TURN:
        end -= 1
        keys += _size(older[end][1])
    return end


def _note(record: Record, older: Recalled) -> int:
    """Note what a record tells, and return how many keys that has, about."""
    if record.kind == RecordKind.DATA:
        older.append((record.timestamp, decode_keys(record.payload)))
    elif record.kind == RecordKind.TOMBSTONE:
        older.append((record.timestamp, record.payload))
    else:
        return 1
    return _size(older[-1][1])


def _size(noted: WriteSetKeys | bytes) -> int:
    return 1 if isinstance(noted, bytes) else 1 + len(noted.checks) + len(noted.writes)
