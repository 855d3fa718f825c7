"""The pipeline alone: a list for the journal, a number for the clock."""

from __future__ import annotations

import struct

import msgspec
import pytest

from adjudicator.commit_pipeline import CommitPipeline
from adjudicator.conflict_set import ConflictSet
from adjudicator.messages import (
    KeyEntry,
    Request,
    Verdict,
    WriteSetKeys,
    decode_reply,
    encode_commit,
    encode_status,
)
from adjudicator.outcomes import Outcomes
from dsql.transaction.interface import Mode, Premises, WriteSet
from journal.messages import RecordKind

ONE, TWO = b"1" * 16, b"2" * 16
encode = msgspec.msgpack.encode


class FixedClock:
    def now(self) -> int:
        return 1_000


def _time() -> float:
    return 0.0


class Bench:
    """A pipeline with its surroundings; `answers` in the order they were given."""

    def __init__(self) -> None:
        self.journal: list[tuple[int, int, bytes]] = []
        self.events: list[object] = []
        self.flushes = 0
        self.pipeline = CommitPipeline(
            ConflictSet(0, 10), FixedClock(), self._append, self._publish, self._schedule, _time
        )
        self.pipeline.recall([], 0, more=False)

    def _append(self, entries) -> int:
        self.journal += entries
        return len(self.journal)

    def _publish(self, timestamp: int) -> None:
        self.events.append(timestamp)

    def _schedule(self) -> None:
        self.flushes += 1

    def answer(self, body: bytes) -> None:
        transaction_id, verdict, timestamp = decode_reply(body)
        self.events.append((transaction_id[:1], Verdict(verdict), timestamp))

    def submit(self, transaction_id: bytes, key: bytes = b"k", start: int = 10) -> None:
        write_set = WriteSet(transaction_id, start, [], [(key, int(Mode.EXCLUSIVE), b"v")])
        self.pipeline.handle(bytes((Request.COMMIT,)) + encode(write_set), self.answer)

    def status(self, transaction_id: bytes, start: int = 10) -> None:
        self.pipeline.handle(encode_status(transaction_id, start), self.answer)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_answer_comes_after_the_journal_and_after_the_clock(bench):
    bench.submit(ONE)
    bench.pipeline.flush()
    assert [kind for _, kind, _ in bench.journal] == [RecordKind.DATA]
    assert bench.events == []
    bench.pipeline.committed(1)
    assert bench.events == [1_000, (b"1", Verdict.COMMITTED, 1_000)]


def test_commits_that_come_during_an_append_share_the_next_one(bench):
    bench.submit(ONE, b"a")
    bench.pipeline.flush()
    bench.submit(TWO, b"b")
    bench.submit(b"3" * 16, b"c")
    bench.pipeline.flush()
    assert len(bench.journal) == 1
    bench.pipeline.committed(1)
    assert len(bench.journal) == 3
    bench.pipeline.committed(3)
    assert [event[1] for event in bench.events if isinstance(event, tuple)] == [
        Verdict.COMMITTED
    ] * 3


def test_conflict_with_a_commit_under_way_is_told_when_that_is_published(bench):
    bench.submit(ONE)
    bench.submit(TWO)
    bench.pipeline.flush()
    assert bench.events == []
    bench.pipeline.committed(1)
    assert bench.events == [
        1_000,
        (b"1", Verdict.COMMITTED, 1_000),
        (b"2", Verdict.DATA_CONFLICT, 1000),
    ]


def test_conflict_with_a_published_commit_is_told_at_once(bench):
    bench.submit(ONE)
    bench.pipeline.flush()
    bench.pipeline.committed(1)
    del bench.events[:]
    bench.submit(TWO)
    assert bench.events == [(b"2", Verdict.DATA_CONFLICT, 1000)]


def test_conflict_with_a_commit_that_stays_unknown_is_told_all_the_same(bench):
    bench.submit(ONE)
    bench.submit(TWO)
    bench.pipeline.stop()
    assert bench.events == [(b"1", Verdict.UNKNOWN, 0), (b"2", Verdict.DATA_CONFLICT, 1000)]


def test_same_transaction_sent_twice_is_appended_once_and_answered_twice(bench):
    bench.submit(ONE)
    bench.pipeline.flush()
    bench.submit(ONE)
    bench.pipeline.committed(1)
    bench.submit(ONE)
    assert len(bench.journal) == 1
    assert bench.events[1:] == [(b"1", Verdict.COMMITTED, 1_000)] * 3


def test_deposed_leader_answers_unknown_to_all(bench):
    bench.submit(ONE, b"a")
    bench.pipeline.flush()
    bench.submit(TWO, b"b")
    bench.pipeline.stop()
    bench.submit(b"3" * 16, b"c")
    bench.status(ONE)
    assert [event[1] for event in bench.events] == [Verdict.UNKNOWN] * 4


def test_status_of_a_stranger_buries_it_before_it_is_told_aborted(bench):
    bench.status(ONE)
    assert bench.events == []
    bench.pipeline.flush()
    assert bench.journal == [(1_000, RecordKind.TOMBSTONE, ONE)]
    bench.pipeline.committed(1)
    assert bench.events[-1] == (b"1", Verdict.ABORTED, 0)
    bench.submit(ONE)
    assert bench.events[-1] == (b"1", Verdict.DATA_CONFLICT, 0)
    assert len(bench.journal) == 1


def test_status_of_a_commit_under_way_waits_for_it(bench):
    bench.submit(ONE)
    bench.status(ONE)
    bench.pipeline.flush()
    bench.status(ONE)
    assert bench.events == []
    bench.pipeline.committed(1)
    assert bench.events[1:] == [(b"1", Verdict.COMMITTED, 1_000)] * 3


def keys(transaction_id: bytes, key: bytes) -> WriteSetKeys:
    return WriteSetKeys(transaction_id, 1, [], [KeyEntry(key, int(Mode.EXCLUSIVE))])


@pytest.fixture
def new_leader():
    """One that has taken over a log up to 9, and knows nothing of it."""
    bench = Bench()
    bench.pipeline = CommitPipeline(
        ConflictSet(9, 10), FixedClock(), bench._append, bench._publish, bench._schedule, _time
    )
    return bench


def test_status_waits_until_the_log_is_recalled_as_far_as_it_asks(new_leader):
    new_leader.status(ONE, start=6)
    new_leader.status(TWO, start=3)
    assert new_leader.pipeline.recall([(7, keys(ONE, b"a"))], 5, more=True)
    assert new_leader.events == [(b"1", Verdict.COMMITTED, 7)]
    new_leader.pipeline.recall([(4, TWO)], 2, more=True)
    assert new_leader.events[1:] == [(b"2", Verdict.ABORTED, 0)]


def test_commit_that_began_under_the_former_leader_is_decided_by_what_that_one_committed(
    new_leader,
):
    new_leader.submit(ONE, b"a", start=6)
    new_leader.submit(TWO, b"b", start=6)
    new_leader.submit(b"3" * 16, b"c", start=9)
    assert [entry[0] for entry in new_leader.pipeline._gathering[0].entries] == [1_000]
    assert new_leader.events == []
    new_leader.pipeline.recall([(7, keys(b"9" * 16, b"a"))], 5, more=True)
    assert new_leader.events == [(b"1", Verdict.DATA_CONFLICT, 7)]
    new_leader.pipeline.flush()
    new_leader.pipeline.committed(2)
    assert new_leader.events[2:] == [
        (b"3", Verdict.COMMITTED, 1_000),
        (b"2", Verdict.COMMITTED, 1_001),
    ]


def test_who_began_before_all_that_the_log_still_holds_is_told_so(new_leader):
    new_leader.submit(ONE, start=3)
    new_leader.status(TWO, start=3)
    assert not new_leader.pipeline.recall([], 5, more=False)
    assert new_leader.events == [(b"1", Verdict.DATA_CONFLICT, 0), (b"2", Verdict.UNKNOWN, 0)]


def test_who_waits_for_the_log_when_the_leader_stops_is_told_that_it_is_unknown(new_leader):
    new_leader.submit(ONE, start=3)
    new_leader.status(TWO, start=3)
    new_leader.pipeline.stop()
    assert new_leader.events == [(b"1", Verdict.UNKNOWN, 0), (b"2", Verdict.UNKNOWN, 0)]


def test_when_nothing_can_be_committed_all_are_told_and_nobody_wrongly(bench):
    bench.submit(ONE, b"a")
    bench.pipeline.flush()
    bench.submit(TWO, b"b")
    bench.submit(b"3" * 16, b"b")  # loses against one that is refused
    bench.status(b"4" * 16)
    bench.pipeline.blocked = True
    bench.pipeline.shed()
    bench.pipeline.shed()  # nobody is told twice
    bench.status(ONE)
    bench.status(b"4" * 16)
    assert [event[:2] for event in bench.events] == [
        (b"1", Verdict.UNDECIDED),  # it is in the journal, and may be committed yet
        (b"2", Verdict.UNAVAILABLE),
        (b"4", Verdict.UNDECIDED),
        (b"3", Verdict.DATA_CONFLICT),
        (b"1", Verdict.UNDECIDED),
        (b"4", Verdict.UNDECIDED),
    ]
    bench.pipeline.blocked = False
    bench.submit(TWO, b"c")  # the same id may come again
    bench.submit(b"5" * 16, b"b")
    bench.pipeline.committed(1)
    bench.pipeline.committed(2)
    assert [entry[2] for entry in bench.journal[1:]] == [
        encode(WriteSet(TWO, 10, [], [(b"c", int(Mode.EXCLUSIVE), b"v")]))
    ]
    bench.status(ONE)
    verdicts = [event[:2] for event in bench.events[6:] if not isinstance(event, int)]
    assert verdicts == [
        (b"2", Verdict.COMMITTED),
        (b"5", Verdict.DATA_CONFLICT),
        (b"1", Verdict.COMMITTED),
    ]


def test_commit_that_finds_too_few_journals_is_refused_before_anything_is_decided(bench):
    bench.pipeline.blocked = True
    bench.submit(ONE)
    assert bench.events == [(b"1", Verdict.UNAVAILABLE, 0)]
    assert not bench.pipeline._gathering[0].entries


def test_outcome_that_may_be_forgotten_is_unknown_and_not_aborted(bench):
    bench.pipeline.outcomes.floor = 11
    bench.status(ONE, start=10)
    assert bench.events == [(b"1", Verdict.UNKNOWN, 0)]


def test_full_disk_refuses_before_anything_is_decided(bench):
    bench.pipeline.full = True
    bench.submit(ONE)
    bench.pipeline.full = False
    bench.submit(TWO)
    bench.pipeline.flush()
    assert bench.events == [(b"1", Verdict.FULL, 0)]
    assert len(bench.journal) == 1


@pytest.mark.parametrize(
    "body", [b"\xc1", encode(["x"]), encode(WriteSet(b"short", 1, [], [])), encode([1, 2, 3, 4])]
)
def test_malformed_write_set_is_refused(bench, body):
    bench.pipeline.handle(bytes((Request.COMMIT,)) + body, bench.answer)
    assert [event[1] for event in bench.events] == [Verdict.REFUSED]


@pytest.mark.parametrize(
    "premises",
    [
        b"\xc1",
        encode(Premises(write_delays=(0, 0))),
        encode(Premises(write_delays=(-1,))),
        encode(Premises(write_delays=(2**40,))),
        encode(Premises(keys=(b"k",) * 8_193)),
        encode(Premises(ranges=((b"k", b"l"),) * 2_049)),
    ],
)
def test_malformed_premises_are_refused(bench, premises):
    write_set = WriteSet(ONE, 10, [], [(b"k", int(Mode.EXCLUSIVE), b"v")])
    bench.pipeline.handle(encode_commit(encode(write_set), premises), bench.answer)
    assert [event[1] for event in bench.events] == [Verdict.REFUSED]


def test_premises_decide_and_stay_out_of_the_journal(bench):
    bench.submit(ONE)
    write_set = encode(WriteSet(TWO, 10, [], [(b"own", int(Mode.EXCLUSIVE), b"v")]))
    request = encode_commit(write_set, encode(Premises(ranges=((b"k", b"l"),))))
    bench.pipeline.handle(request, bench.answer)
    request = encode_commit(write_set, encode(Premises(ranges=((b"a", b"b"),))))
    bench.pipeline.handle(request, bench.answer)
    bench.pipeline.flush()
    assert [payload for _, _, payload in bench.journal][1:] == [write_set]
    bench.pipeline.committed(2)
    verdicts = [event[1] for event in bench.events if isinstance(event, tuple)]
    assert verdicts == [Verdict.COMMITTED, Verdict.COMMITTED, Verdict.DATA_CONFLICT]


@pytest.mark.parametrize("body", [b"\x05", b"\x05\0\0"])
def test_a_commit_without_the_length_of_its_premises_ends_the_connection(bench, body):
    with pytest.raises(struct.error):
        bench.pipeline.handle(body, bench.answer)


def test_start_far_ahead_of_time_is_refused(bench):
    bench.submit(ONE, start=10_000_000_000)
    assert bench.events == [(b"1", Verdict.REFUSED, 0)]


def test_mode_that_does_not_exist_is_refused(bench):
    write_set = encode([ONE, 10, [], [[b"k", 77, b"v"]]])
    bench.pipeline.handle(bytes((Request.COMMIT,)) + write_set, bench.answer)
    assert [event[1] for event in bench.events] == [Verdict.REFUSED]


def test_outcomes_forget_the_oldest_and_say_so():
    outcomes = Outcomes(window=3_000_000)
    for number in range(1, 1_000):
        outcomes.elapsed = number * 10_000
        outcomes.add(number.to_bytes(16, "big"), number)
    assert len(outcomes) <= 510
    assert outcomes.get((999).to_bytes(16, "big")) == 999
    assert outcomes.get((1).to_bytes(16, "big")) == 0
    assert 500 <= outcomes.floor <= 700


def test_too_many_outcomes_shorten_the_window():
    outcomes = Outcomes(entries_max=200)
    for number in range(1, 2_000):
        outcomes.elapsed = number * 10_000
        outcomes.add(number.to_bytes(16, "big"), number)
    assert len(outcomes) <= 310
    assert outcomes.floor >= 1_700
