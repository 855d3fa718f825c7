"""From a write set to its answer: decide, append, publish, answer. Free of I/O.

    submit      decide at once; what may commit gets its timestamp and joins the gathering batch.
                A conflict with a commit that is still on its way is told when that is published:
                whoever tries again at once would only meet it again
    flush       the gathering batch goes to the journal as one append, if no other is under way
    committed   the journal has it on enough disks: send the next batch on its way, publish this one's
                newest timestamp as the cluster's clock, then answer. In this order a client that has
                its answer can only start transactions that see it.
    shed        nothing can be committed for now: refuse what is not in the journal yet. What is there may
                still be committed, so nobody can say how that ends
    stop        not the leader any more: whatever is under way is unknown

An outcome that got lost is asked for by id (`status`). A transaction found neither committed nor on
its way gets a tombstone in the journal, behind which it can never be appended; only when that is
durable is it told to be aborted. A transaction that only locks is appended as well, because only
the journal knows whether this leader may still decide.

A new leader knows nothing of what its predecessors committed. It recalls that from the journal while
commits go on, the newest first. Whoever began, or asks, below what is known so far waits for that
(`recall`), so a change of leaders by itself aborts nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from adjudicator.conflict_set import SCHEMA_CONFLICT, ConflictSet
from adjudicator.messages import (
    NO_PREMISES,
    TRANSACTION_ID_BYTES,
    PremisesRead,
    Request,
    Verdict,
    WriteSetKeys,
    decode_keys,
    decode_premises,
    decode_status,
    encode_reply,
    is_commit,
    split_commit,
    subject_of,
)
from adjudicator.outcomes import Outcomes
from dsql.limits import JOURNAL_RECORD_BYTES_MAX
from dsql.rpc.clock import Clock
from journal.messages import RecordKind

Answer = Callable[[bytes], None]
Entry = tuple[int, int, bytes]  # timestamp, record kind, payload
Recalled = list[tuple[int, WriteSetKeys | bytes]]  # timestamp, and what it was: or a tombstone's id
Waiting = tuple[bytes, int, Answer]  # transaction id, timestamp (negative: tombstone), answer

BATCH_BYTES_MAX = 4 * 1024 * 1024
_START_AHEAD_MAX = 1_000_000  # microseconds that a start timestamp may be ahead of our clock
_NOBODY = b"\0" * TRANSACTION_ID_BYTES


class _Batch:
    """Entries of one append, and who waits for them. `sequence`: its last record, once appended.

    `refused`: the replies to transactions that have lost against one of the entries. `began_at`: when the
    first entry came, `appended_at`: when all went to the journal, in seconds.
    """

    __slots__ = ("appended_at", "began_at", "entries", "refused", "sequence", "size", "waiting")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.waiting: list[Waiting] = []
        self.refused: list[tuple[bytes, Answer]] = []
        self.size = 0
        self.sequence = 0
        self.began_at = self.appended_at = 0.0

    def answer_refused(self) -> None:
        """Send the replies in `refused`, once."""
        refused, self.refused = self.refused, []
        for reply, answer in refused:
            answer(reply)


class CommitStages:
    """Where the time of a leader's commits has gone, in seconds that all of them together have waited.

    `gathering`: from the first of their batch to its append, `journal`: from there until it is durable.
    """

    __slots__ = ("commits", "gathering", "journal")

    def __init__(self) -> None:
        self.commits = 0
        self.gathering = self.journal = 0.0

    def add(self, commits: int, gathering: float, journal: float) -> None:
        """Count a batch that took so long in either stage."""
        self.commits += commits
        self.gathering += commits * gathering
        self.journal += commits * journal


class CommitPipeline:
    """One leader's commits.

    `append` puts entries into the journal and returns the last one's sequence; `publish` sets the
    cluster's clock; `schedule` is called when there is something to flush. `monotonic` returns seconds.
    `full` and `blocked` are the owner's to set: disks are full, or too few journals answer.
    """

    def __init__(
        self,
        conflicts: ConflictSet,
        clock: Clock,
        append: Callable[[list[Entry]], int],
        publish: Callable[[int], None],
        schedule: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self.conflicts = conflicts
        self.outcomes = Outcomes(conflicts.floor)
        self.stages = CommitStages()
        self.full = False
        self.blocked = False
        self.stopped = False
        self._clock = clock
        self._append = append
        self._publish = publish
        self._schedule = schedule
        self._monotonic = monotonic
        self._gathering: deque[_Batch] = deque([_Batch()])
        self._in_flight: _Batch | None = None
        self._acknowledged = conflicts.last  # our EPOCH record is committed, and all before it
        self._recalling = True
        self._early: list[tuple[int, bytes, Answer]] = []  # start timestamp, request, answer
        self._tick()

    @property
    def is_idle(self) -> bool:
        """True if nothing is under way."""
        return self._in_flight is None and not self._gathering[0].entries

    @property
    def is_awaited(self) -> bool:
        """True if somebody waits for what is recalled."""
        return bool(self._early)

    def handle(self, body: bytes, answer: Answer) -> None:
        """Handle a request. Raises ValueError or struct.error for one that nobody correct sends."""
        kind = body[0] if body else 0
        if is_commit(body):
            self._submit(body, answer)
        elif kind == Request.STATUS:
            self._status(body, answer)
        elif kind == Request.HEARTBEAT and len(body) == 1 + TRANSACTION_ID_BYTES:
            timestamp = self.conflicts.next_timestamp(self._clock.now())
            self._gather(RecordKind.HEARTBEAT, b"", (body[1:], timestamp, answer))
        else:
            raise ValueError(f"there is no request {kind}")

    def turn_away(self, body: bytes, answer: Answer) -> None:
        """Answer to a COMMIT that storage is too far behind."""
        try:
            transaction_id = subject_of(body)[:TRANSACTION_ID_BYTES]
        except msgspec.DecodeError:
            answer(encode_reply(_NOBODY, Verdict.REFUSED))
        else:
            answer(encode_reply(transaction_id, Verdict.BEHIND))

    def _submit(self, body: bytes, answer: Answer) -> None:
        """Decide on a WriteSet and answer: conflicts at once, commits when durable."""
        encoded, rests_on = split_commit(body)
        try:
            keys = decode_keys(encoded)
            premises = decode_premises(rests_on) if rests_on else NO_PREMISES
        except msgspec.DecodeError:
            answer(encode_reply(_NOBODY, Verdict.REFUSED))
            return
        transaction_id = keys.transaction_id
        now = self._clock.now()
        if self._invalid(encoded, transaction_id, keys.start_timestamp, premises, now):
            answer(encode_reply(transaction_id[:TRANSACTION_ID_BYTES], Verdict.REFUSED))
        elif self.stopped:
            answer(encode_reply(transaction_id, Verdict.UNKNOWN))
        elif known := self.outcomes.get(transaction_id):
            self._answer_known(transaction_id, known, answer, Verdict.DATA_CONFLICT)
        elif self.full or self.blocked:
            answer(encode_reply(transaction_id, Verdict.FULL if self.full else Verdict.UNAVAILABLE))
        elif keys.start_timestamp < self.conflicts.floor and self._recalling:
            self._early.append((keys.start_timestamp, body, answer))
        else:
            if not self._gathering[-1].entries:
                self._tick()
            try:
                timestamp = self.conflicts.decide(
                    keys.start_timestamp, keys.checks, keys.writes, now, premises
                )
            except ValueError:  # a mode that does not exist, or delays of other keys
                answer(encode_reply(transaction_id, Verdict.REFUSED))
                return
            if timestamp > 0:
                self.outcomes.add(transaction_id, timestamp)
                self._gather(RecordKind.DATA, encoded, (transaction_id, timestamp, answer))
            else:
                schema = timestamp == SCHEMA_CONFLICT
                verdict = Verdict.SCHEMA_CONFLICT if schema else Verdict.DATA_CONFLICT
                self._refuse(encode_reply(transaction_id, verdict, self.conflicts.met), answer)

    def _status(self, body: bytes, answer: Answer) -> None:
        """Answer how a transaction ended; one that was never seen is thereby aborted for good."""
        transaction_id, start_timestamp = decode_status(body)
        if self.stopped:
            answer(encode_reply(transaction_id, Verdict.UNKNOWN))
        elif known := self.outcomes.get(transaction_id):
            self._answer_known(transaction_id, known, answer, Verdict.ABORTED)
        elif self.blocked:
            answer(encode_reply(transaction_id, Verdict.UNDECIDED))
        elif start_timestamp < self.outcomes.floor and self._recalling:
            self._early.append((start_timestamp, body, answer))
        elif start_timestamp < self.outcomes.floor:
            answer(encode_reply(transaction_id, Verdict.UNKNOWN))
        else:
            timestamp = self.conflicts.next_timestamp(self._clock.now())
            self.outcomes.add(transaction_id, -timestamp)
            self._gather(RecordKind.TOMBSTONE, transaction_id, (transaction_id, -timestamp, answer))

    def recall(self, older: Recalled, floor: int, *, more: bool) -> bool:
        """Take in what was committed right below what is known, down to `floor`; handle who waits.

        `more`: older commits may still be recalled. Return whether they are wanted.
        """
        commits = [(timestamp, keys) for timestamp, keys in older if not isinstance(keys, bytes)]
        outcomes = [
            (keys, -timestamp) if isinstance(keys, bytes) else (keys.transaction_id, timestamp)
            for timestamp, keys in older
        ]
        self.outcomes.recall(outcomes, floor)
        wanted = self.conflicts.recall(commits, floor) and more
        self._recalling = wanted
        reached = min(self.conflicts.floor, self.outcomes.floor)
        early, self._early = self._early, []
        for start, body, answer in early:
            if wanted and start < reached:
                self._early.append((start, body, answer))
            else:
                self.handle(body, answer)
        return wanted

    def _tick(self) -> None:
        """Let what is remembered grow older."""
        elapsed = int(self._monotonic() * 1_000_000)
        self.conflicts.elapsed = self.outcomes.elapsed = elapsed

    def flush(self) -> None:
        """Append the oldest gathered batch, unless one is under way."""
        batch = self._gathering[0]
        if self._in_flight is not None or self.stopped or not batch.entries:
            return
        self._gathering.popleft()
        if not self._gathering:
            self._gathering.append(_Batch())
        self._in_flight = batch
        batch.appended_at = self._monotonic()
        batch.sequence = self._append(batch.entries)

    def committed(self, sequence: int) -> None:
        """The journal holds every record up to `sequence` for good."""
        batch = self._in_flight
        if batch is None or batch.sequence > sequence or self.stopped:
            return
        self._in_flight = None
        newest = batch.entries[-1][0]
        assert newest > self._acknowledged, "commit timestamps rise strictly"
        self._acknowledged = newest
        gathering = batch.appended_at - batch.began_at
        self.stages.add(len(batch.entries), gathering, self._monotonic() - batch.appended_at)
        self.flush()  # the disks go on while we answer
        self._publish(newest)
        for transaction_id, timestamp, answer in batch.waiting:
            if timestamp > 0:
                answer(encode_reply(transaction_id, Verdict.COMMITTED, timestamp))
            else:
                answer(encode_reply(transaction_id, Verdict.ABORTED))
        batch.answer_refused()

    def shed(self) -> None:
        """Answer all that waits. The keys of what is refused stay in the conflict set and harm nobody."""
        if self._in_flight is not None:
            waiting, self._in_flight.waiting = self._in_flight.waiting, []
            for transaction_id, _, answer in waiting:
                answer(encode_reply(transaction_id, Verdict.UNDECIDED))
            self._in_flight.answer_refused()
        batches, self._gathering = self._gathering, deque([_Batch()])
        for batch in batches:
            for transaction_id, timestamp, answer in batch.waiting:
                if self.outcomes.get(transaction_id):
                    self.outcomes.remove(transaction_id)
                verdict = Verdict.UNAVAILABLE if timestamp > 0 else Verdict.UNDECIDED
                answer(encode_reply(transaction_id, verdict))
            batch.answer_refused()

    def stop(self) -> None:
        """Answer that everything under way is unknown, and everything that comes from now on."""
        self.stopped = True
        under_way, self._in_flight, self._gathering = self._under_way(), None, deque([_Batch()])
        for batch in under_way:
            for transaction_id, _, answer in batch.waiting:
                answer(encode_reply(transaction_id, Verdict.UNKNOWN))
            batch.answer_refused()
        for _, body, answer in self._early:
            answer(encode_reply(subject_of(body), Verdict.UNKNOWN))
        self._early = []

    def _invalid(
        self, encoded: bytes, transaction_id: bytes, start: int, premises: PremisesRead, now: int
    ) -> bool:
        return (
            len(transaction_id) != TRANSACTION_ID_BYTES
            or len(encoded) > JOURNAL_RECORD_BYTES_MAX
            or start < 0
            or premises.newest(start) > max(self.conflicts.last, now + _START_AHEAD_MAX)
        )

    def _gather(self, kind: int, payload: bytes, waiting: Waiting) -> None:
        batch = self._gathering[-1]
        if batch.size > BATCH_BYTES_MAX:
            batch = _Batch()
            self._gathering.append(batch)
        if not batch.entries:
            batch.began_at = self._monotonic()
        batch.entries.append((abs(waiting[1]), kind, payload))
        batch.waiting.append(waiting)
        batch.size += len(payload)
        if self._in_flight is None and len(batch.entries) == 1:
            self._schedule()

    def _answer_known(
        self, transaction_id: bytes, known: int, answer: Answer, aborted: Verdict
    ) -> None:
        if abs(known) > self._acknowledged and self.blocked:
            answer(encode_reply(transaction_id, Verdict.UNDECIDED))
        elif abs(known) > self._acknowledged:
            self._join(transaction_id, known, answer)
        elif known > 0:
            answer(encode_reply(transaction_id, Verdict.COMMITTED, known))
        else:
            answer(encode_reply(transaction_id, aborted))

    def _join(self, transaction_id: bytes, known: int, answer: Answer) -> None:
        """Wait for a record that is on its way."""
        batch = self._batch_of(abs(known))
        assert batch is not None, "an outcome that is not acknowledged is under way"
        batch.waiting.append((transaction_id, known, answer))

    def _refuse(self, reply: bytes, answer: Answer) -> None:
        """Tell a conflict once what it was met with is published."""
        batch = self._batch_of(self.conflicts.met)
        if batch is None:
            answer(reply)
        else:
            batch.refused.append((reply, answer))

    def _batch_of(self, timestamp: int) -> _Batch | None:
        """Return the batch that is on its way and has a record, or one behind it; None if there is none."""
        if timestamp <= self._acknowledged:
            return None
        for batch in self._under_way():
            if batch.entries and timestamp <= batch.entries[-1][0]:
                return batch
        return None

    def _under_way(self) -> list[_Batch]:
        return ([self._in_flight] if self._in_flight else []) + list(self._gathering)
