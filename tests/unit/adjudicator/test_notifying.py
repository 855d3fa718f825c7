"""What a zone tells of the commits in its journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from adjudicator.messages import (
    Verdict,
    decode_reply,
    encode_heard,
    find_notifications,
    heard_notifications,
)
from adjudicator.notifying import Notifier
from dsql.transaction.interface import WriteSet
from journal.client import JournalTrimmedError
from journal.messages import Record, RecordKind

NAME = b"n" * 16
encode = msgspec.msgpack.encode


def commit(sequence: int, *payloads: str) -> Record:
    told = tuple((7, "news", payload) for payload in payloads)
    write_set = WriteSet(bytes(16), 1, [], [(b"k", 0, b"v")], told)
    return Record(sequence, 1, 10 * sequence, RecordKind.DATA, encode(write_set))


class Journal:
    """Keeps its records from some on; what comes later waits for `more`."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self.more = asyncio.Event()

    async def locate(self, cluster: str, timestamp: int) -> int:
        before = [record.sequence for record in self.records if record.timestamp <= timestamp]
        return before[-1] if before else self.records[0].sequence

    async def subscribe(self, cluster: str, first: int) -> AsyncIterator[list[Record]]:
        if first < self.records[0].sequence:
            raise JournalTrimmedError
        while True:
            records = [record for record in self.records if record.sequence >= first]
            if records:
                yield records
                first = records[-1].sequence + 1
            await self.more.wait()


class Connection:
    def __init__(self) -> None:
        self.said: list[bytes] = []

    def send(self, body: bytes) -> None:
        self.said.append(body)

    async def drained(self) -> None:
        pass


async def tell(journal: Journal, behind: int) -> list[tuple[int, int, list[str]]]:
    """What a feed says of the records that there are: verdict, timestamp, payloads."""
    connection = Connection()
    notifier = Notifier(connection, journal, "c", NAME, behind, lambda: 5.0)  # type: ignore[arg-type]
    task = asyncio.create_task(notifier.run())
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    said = []
    for body in connection.said:
        name, verdict, timestamp = decode_reply(body)
        assert name == NAME
        said.append((verdict, timestamp, [payload for _, _, payload in heard_notifications(body)]))
    return said


async def test_a_feed_tells_what_is_behind_its_beginning_and_how_far_it_is() -> None:
    journal = Journal([commit(1, "a"), commit(2), commit(3, "b", "c"), commit(4)])
    assert await tell(journal, 10) == [
        (Verdict.HEARD, 30, ["b", "c"]),
        (Verdict.HEARD, 40, []),
    ]


async def test_a_feed_that_begins_before_all_that_is_kept_says_so() -> None:
    journal = Journal([commit(5, "a"), commit(6)])
    assert await tell(journal, 40) == [(Verdict.FORGOTTEN, 0, [])]


async def test_the_record_that_the_asker_has_seen_proves_that_none_is_missing() -> None:
    journal = Journal([commit(5, "a"), commit(6, "b")])
    assert await tell(journal, 50) == [(Verdict.HEARD, 60, ["b"]), (Verdict.HEARD, 60, [])]


async def test_what_is_no_write_set_tells_nothing() -> None:
    broken = Record(2, 1, 20, RecordKind.DATA, b"\xc1")
    assert await tell(Journal([commit(1), broken, commit(3, "a")]), 10) == [
        (Verdict.HEARD, 30, ["a"]),
        (Verdict.HEARD, 30, []),
    ]


@pytest.mark.parametrize("fields", [4, 5])
def test_a_write_set_without_notifications_has_none(fields: int) -> None:
    """Those that an earlier version has written have no such field."""
    assert find_notifications(encode([bytes(16), 1, [], [], ()][:fields])) == b""


def test_notifications_are_passed_on_as_they_came() -> None:
    found = find_notifications(commit(1, "a").payload)
    assert heard_notifications(encode_heard(NAME, 1, found)) == ((7, "news", "a"),)
