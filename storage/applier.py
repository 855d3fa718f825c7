"""Applies committed journal records to the replica's environment, and clears away what they supersede.

A batch of records is one LMDB write transaction together with the position that it reaches, so a replay
of records already applied is recognised by their sequence and skipped. Garbage collection has its own
transactions, because readers wait for the others.

The horizon never passes
    the watermark of `grace_seconds` ago  (who begins now starts at the published clock, at most that old),
    nor a start timestamp that a living reader shows in its slot, unless it has been there for longer
    than the transaction age limit.
It is published on the board one round before anything is deleted for it. So a reader that showed its
start timestamp too late for the first round is seen by the second one or has seen the horizon itself.
"""

from __future__ import annotations

import logging
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from dsql.limits import TRANSACTION_AGE_SECONDS_MAX
from dsql.transaction.interface import WriteSet
from journal.messages import Record, RecordKind
from storage.board import HORIZON
from storage.databases import Position
from storage.environment import DisorderError, WritableEnvironment
from storage.mvcc import Writer, collect, has_superseded
from storage.trial import WRITING

if TYPE_CHECKING:
    from storage.databases import LmdbTransaction
    from storage.mvcc import Write

GRACE_SECONDS = 5.0
_ROUND_SECONDS = 1.0
_AGE_MARGIN_SECONDS = 10.0

# Versions out of order, or too short: every replica applies the same, so this one has something else in it.
_DISORDER = (AssertionError, IndexError, struct.error)

_decode_write_set = msgspec.msgpack.Decoder(WriteSet).decode


log = logging.getLogger(__name__)


def _writes_of(record: Record) -> Sequence[Write]:
    """Return what a transaction writes; nothing if it is no write set, as only a compromised client sends.

    Every replica decides so by the same bytes. An empty key is one that LMDB does not take.
    """
    try:
        writes = _decode_write_set(record.payload).writes
    except (msgspec.DecodeError, RecursionError) as error:
        log.error("record %d is no write set: %s", record.sequence, error)
        return ()
    return writes if all(write[0] for write in writes) else [w for w in writes if w[0]]


class SequenceGapError(Exception):
    """Records are missing between what was applied and what came; the feed must be opened again."""


class Applier:
    """The one writer of a replica's environment. `monotonic` returns seconds."""

    def __init__(
        self,
        environment: WritableEnvironment,
        monotonic: Callable[[], float],
        *,
        grace_seconds: float = GRACE_SECONDS,
        age_limit_seconds: float = TRANSACTION_AGE_SECONDS_MAX,
    ) -> None:
        self._environment = environment
        self._databases = environment.databases
        self._horizon = _Horizon(
            environment, grace_seconds, age_limit_seconds + _AGE_MARGIN_SECONDS
        )
        self._monotonic = monotonic
        self._backlog = True  # whether anything superseded may be left
        self._versions = 0  # made by the last transaction

    @property
    def position(self) -> Position:
        """What has been applied."""
        return self._environment.position

    def apply(self, records: Sequence[Record]) -> int:
        """Apply records, skipping those that were applied before; return how many versions they made.

        Raises SequenceGapError, DisorderError, and lmdb.MapFullError if the environment must grow first.
        """
        sequence = self.position.sequence
        fresh = [record for record in records if record.sequence > sequence]
        if len(fresh) < len(records):
            self._compare(records[: len(records) - len(fresh)])
        if not fresh:
            return 0
        if fresh[0].sequence != sequence + 1:
            raise SequenceGapError(f"expected record {sequence + 1}, got {fresh[0].sequence}")
        self._in_transaction(lambda transaction: self._write(transaction, fresh))
        self._backlog = True
        self._horizon.observe(self._monotonic())
        return self._versions

    def _compare(self, applied: Sequence[Record]) -> None:
        """Raise DisorderError if the journal has something else where this replica has applied records.

        Then what was applied last is in no journal any more. Epochs never fall, timestamps always rise:
        so it shows at the first record that the journal has instead, however far that lies back.
        """
        position = self.position
        for record in applied:
            if record.sequence == position.sequence:
                same = (record.epoch, record.timestamp) == (position.epoch, position.watermark)
            else:
                same = record.epoch <= position.epoch and record.timestamp < position.watermark
            if not same:
                raise DisorderError(f"record {record.sequence} is another one than was applied")

    def collect(self, versions_max: int = 100) -> bool:
        """Delete some superseded versions; return whether there will be more to delete later on.

        Raises lmdb.MapFullError.
        """
        self._horizon.observe(self._monotonic())
        if self._backlog:
            self._in_transaction(lambda transaction: self._collect(transaction, versions_max))
        return self._backlog

    def _in_transaction(self, write: Callable[[LmdbTransaction], Position]) -> None:
        environment = self._environment
        words = environment.trial.words
        words[WRITING] = 1
        try:
            with environment.environment.begin(write=True) as transaction:
                position = write(transaction)
                environment.put_position(transaction, position)
            assert position.watermark >= self.position.watermark, "the watermark never falls"
            environment.position = position
            environment.publish()
            environment.pages.renew()
        except _DISORDER as error:
            raise DisorderError(repr(error)) from error
        finally:
            words[WRITING] = 0

    def _write(self, transaction: LmdbTransaction, records: Sequence[Record]) -> Position:
        writer = Writer(transaction, self._databases)
        count = 0
        for record in records:
            if record.kind == RecordKind.DATA:
                writes = _writes_of(record)
                writer.write_all(writes, record.timestamp)
                count += len(writes)
        self._versions = count
        last = records[-1]
        return Position(last.timestamp, last.sequence, self._horizon.published, last.epoch)

    def _collect(self, transaction: LmdbTransaction, versions_max: int) -> Position:
        databases, position = self._databases, self.position
        horizon = self._horizon.agreed()
        if horizon and self._backlog:
            collect(transaction, databases, horizon, versions_max)
            self._backlog = has_superseded(transaction, databases)
        return Position(
            position.watermark, position.sequence, self._horizon.published, position.epoch
        )


class _Horizon:
    """Finds the horizon in rounds: propose and publish it first, agree to it a round later."""

    def __init__(
        self, environment: WritableEnvironment, grace_seconds: float, age_seconds: float
    ) -> None:
        self._environment = environment
        self._board = environment.board
        self._slots = environment.slots
        self._grace_seconds = grace_seconds
        self._age_seconds = age_seconds
        self._round_seconds = min(_ROUND_SECONDS, grace_seconds)
        # (seconds, watermark at that time), a sample per round, as far back as the age limit.
        self._history: deque[tuple[float, int]] = deque()
        self._next_round = 0.0
        self._agreed = 0
        self.published = environment.position.horizon

    def agreed(self) -> int:
        """Return the horizon for which versions may be deleted now."""
        return self._agreed

    def observe(self, now: float) -> None:
        """Hold a round if it is time for one."""
        if now < self._next_round:
            return
        self._next_round = now + self._round_seconds
        oldest = self._forced(now)
        reader = self._slots.oldest_start(oldest)
        # A reader that was not seen when `published` was proposed takes precedence over it.
        self._agreed = self.published if reader is None else min(self.published, reader)
        proposed = self._watermark_of(now - self._grace_seconds)
        if reader is not None:
            proposed = min(proposed, reader)
        self._history.append((now, self._environment.position.watermark))
        proposed = max(proposed, oldest)
        if proposed > self.published:
            self.published = proposed
            self._board.let_go(HORIZON, proposed)

    def _forced(self, now: float) -> int:
        """Return the watermark of the age limit ago, which no reader may hold; drop older samples."""
        history = self._history
        while len(history) > 1 and history[1][0] <= now - self._age_seconds:
            history.popleft()
        return self._watermark_of(now - self._age_seconds)

    def _watermark_of(self, moment: float) -> int:
        """Return the watermark as of a moment, 0 if that was before this process."""
        watermark = 0
        for seconds, value in self._history:
            if seconds > moment:
                break
            watermark = value
        return watermark
