"""Reading back what former leaders committed, from a log whose timestamps may be far apart."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import msgspec
import pytest

from adjudicator.commit_pipeline import CommitPipeline
from adjudicator.conflict_set import WINDOW_MICROSECONDS, ConflictSet
from adjudicator.messages import Request, Verdict, decode_reply
from adjudicator.recall import Recall
from dsql.transaction.interface import Mode, WriteSet
from journal.client import JournalTrimmedError
from journal.messages import Record, RecordKind

HOUR = 3_600_000_000


def write_set(number: int, start: int, key: bytes) -> bytes:
    identifier = number.to_bytes(16, "big")
    return msgspec.msgpack.encode(
        WriteSet(identifier, start, [], [(key, int(Mode.EXCLUSIVE), b"")])
    )


class Log:
    """A journal of one commit at each of `timestamps`, each of a key of its own, kept from `first` on."""

    def __init__(self, timestamps: list[int], first: int = 1) -> None:
        self.first = first
        self.records = [
            Record(number, 1, timestamp, RecordKind.DATA, write_set(number, 0, b"%d" % number))
            for number, timestamp in enumerate(timestamps, 1)
        ]

    async def locate(self, cluster: str, timestamp: int) -> int:
        later = [r.sequence for r in self.records if r.timestamp >= timestamp]
        return max(self.first, min(later, default=len(self.records) + 1))

    async def subscribe(self, cluster: str, from_sequence: int) -> AsyncIterator[list[Record]]:
        if from_sequence < self.first:
            raise JournalTrimmedError
        for position in range(from_sequence - 1, len(self.records), 3):
            yield self.records[position : position + 3]
        await asyncio.get_running_loop().create_future()


class FixedClock:
    def now(self) -> int:
        return 0


async def verdict_on(log: Log, start: int, key: bytes) -> Verdict:
    """Return what a new leader says to a transaction that began at `start` under a former one."""
    last = log.records[-1].timestamp
    pipeline = CommitPipeline(
        ConflictSet(last, last + 1), FixedClock(), len, lambda _: None, lambda: None, lambda: 0.0
    )
    answers: list[bytes] = []
    body = bytes((Request.COMMIT,)) + write_set(0, start, key)
    pipeline.handle(body, answers.append)
    await Recall("c", [log]).run(pipeline, len(log.records) + 1)  # type: ignore[list-item]
    if not answers:
        pipeline.flush()
        pipeline.committed(len(pipeline._gathering) + 1)
    (answer,) = answers
    return Verdict(decode_reply(answer)[1])


AFTER_A_REST = [1_000, 2_000, HOUR]
CLOCK_STEPPED = [1_000 * number for number in range(1, 100)] + [
    200 * HOUR + number for number in range(10)
]


@pytest.mark.parametrize(
    ("timestamps", "start", "key", "verdict"),
    [
        (AFTER_A_REST, 2_000, b"x", Verdict.COMMITTED),
        (AFTER_A_REST, 2_000, b"2", Verdict.COMMITTED),  # it has seen that
        (AFTER_A_REST, 2_000, b"3", Verdict.DATA_CONFLICT),
        (AFTER_A_REST, 1_000, b"2", Verdict.DATA_CONFLICT),
        (CLOCK_STEPPED, 50_000, b"x", Verdict.COMMITTED),
        (CLOCK_STEPPED, 50_000, b"50", Verdict.COMMITTED),
        (CLOCK_STEPPED, 50_000, b"51", Verdict.DATA_CONFLICT),
        (CLOCK_STEPPED, 50_000, b"109", Verdict.DATA_CONFLICT),
        ([5_000], 0, b"x", Verdict.COMMITTED),
    ],
)
async def test_transactions_meet_only_true_conflicts_however_far_timestamps_are_apart(
    timestamps: list[int], start: int, key: bytes, verdict: Verdict
) -> None:
    assert await verdict_on(Log(timestamps), start, key) == verdict


async def test_what_the_log_does_not_hold_any_more_may_have_been_a_conflict() -> None:
    log = Log([1_000, 2_000, 3_000, 4_000], first=3)
    assert await verdict_on(log, 3_000, b"x") == Verdict.COMMITTED
    assert await verdict_on(log, 2_999, b"x") == Verdict.DATA_CONFLICT


@pytest.mark.parametrize("kept", [742, 743, 744, 745, 746, 1_000])
async def test_what_is_trimmed_between_two_looks_back_is_not_taken_for_nothing(kept: int) -> None:
    log = Log([HOUR * number for number in range(1, 1_001)])  # the first look goes back to 744
    locate, looks = log.locate, iter((1,))

    async def trim(cluster: str, timestamp: int) -> int:
        log.first = next(looks, kept)
        return await locate(cluster, timestamp)

    log.locate = trim  # type: ignore[method-assign]
    assert await verdict_on(log, 2 * HOUR, b"x") == Verdict.DATA_CONFLICT


async def test_recalling_ends_when_the_window_is_over_and_enough_is_known() -> None:
    count = 10_000
    log = Log([number * WINDOW_MICROSECONDS // 100 for number in range(1, count)])
    assert await verdict_on(log, log.records[-4].timestamp, b"x") == Verdict.COMMITTED
    assert await verdict_on(log, log.records[10].timestamp, b"x") == Verdict.DATA_CONFLICT


async def test_turn_of_the_loop_recalls_some_keys_only_however_many_there_are() -> None:
    log = Log([1_000 * number for number in range(1, 20_001)])
    pipeline = CommitPipeline(
        ConflictSet(20_000_000, 20_000_001),
        FixedClock(),
        len,
        lambda _: None,
        lambda: None,
        lambda: 0.0,
    )
    recalling = asyncio.create_task(Recall("c", [log]).run(pipeline, 20_001))  # type: ignore[list-item]
    known = [0]
    while not recalling.done():
        await asyncio.sleep(0)
        known.append(len(pipeline.conflicts))
    assert known[-1] == 20_000
    assert max(after - before for before, after in itertools.pairwise(known)) <= 1_000


async def test_recalling_ends_at_what_is_kept_though_memory_still_has_what_lay_before() -> None:
    log = Log([1_000, 2_000, 3_000, 4_000])

    async def locate(cluster: str, timestamp: int) -> int:
        return 3  # the disk begins there; `subscribe` gives all

    log.locate = locate  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        assert await verdict_on(log, 3_000, b"x") == Verdict.COMMITTED
        assert await verdict_on(log, 2_999, b"x") == Verdict.DATA_CONFLICT
