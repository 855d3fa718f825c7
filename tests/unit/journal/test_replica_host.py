"""A replica at work on a real disk: group commit, feed, full disk, failing disk."""

from __future__ import annotations

import asyncio
import errno
import threading

import pytest

from dsql.disk.files import SYSTEM_FILES
from journal.client import JournalTrimmedError
from journal.codec import Append
from journal.disk_threads import DiskThreads
from journal.log import Log
from journal.messages import AppendStatus, Claim, ClaimReply, Fetch, Record, StartAt
from journal.opening import LogOpener
from journal.replica import Promise
from journal.replica_host import ReplicaHost
from journal.segment import Frame, make_frame

CANDIDATE = b"c" * 16


def frame(sequence: int, epoch: int = 1) -> Frame:
    return make_frame([Record(sequence, epoch, 1_000 * sequence, 0, b"payload")])


def append(sequence: int, commit: int = 0) -> Append:
    previous = sequence - 1
    return Append(1, previous, 1 if previous else 0, commit, 0, [frame(sequence)])


class Running:
    """A host whose epoch 1 is claimed; `answers` collects what it says."""

    def __init__(self, directory) -> None:
        self.answers: asyncio.Queue = asyncio.Queue()
        self.threads = DiskThreads("test", 2)
        founded = directory.with_name("founded")
        opener = LogOpener("test", directory, founded, SYSTEM_FILES, self.threads)
        self.host = ReplicaHost("test", Log(directory), self.threads, opener)

    async def say(self, message):
        self.host.receive(message, self.answers.put_nowait)
        async with asyncio.timeout(5):
            return await self.answers.get()

    async def close(self) -> None:
        await self.host.close()
        await self.threads.close()


@pytest.fixture
async def running(tmp_path):
    run = Running(tmp_path / "journal")
    reply = await run.say(Claim(1, CANDIDATE))
    assert isinstance(reply, ClaimReply)
    assert reply.granted
    yield run
    await run.close()


async def test_appends_that_arrive_during_a_sync_are_answered_in_order(running):
    for sequence in range(1, 6):
        running.host.receive(append(sequence), running.answers.put_nowait)
    replies = [await running.answers.get() for _ in range(5)]
    assert [(reply.status, reply.sequence) for reply in replies] == [
        (AppendStatus.ACCEPTED, sequence) for sequence in range(1, 6)
    ]


async def test_only_committed_frames_are_fed(running):
    feed = running.host.feed.frames(1)
    waiting = asyncio.ensure_future(anext(feed))
    await running.say(append(1))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await running.say(append(2, commit=1))
    assert [frame.last for frame in await waiting] == [1]
    await feed.aclose()


async def test_subscriber_that_is_behind_reads_from_disk(running):
    for sequence in range(1, 5):
        await running.say(append(sequence, commit=sequence - 1))
    running.host.feed.recent.cut(0)
    feed = running.host.feed.frames(2)
    assert [frame.first for frame in await anext(feed)] == [2, 3]
    await feed.aclose()


@pytest.fixture
async def replacing(tmp_path, monkeypatch):
    """Record 2 of epoch 1 stands on disk; that of epoch 2, committed, waits to take its place."""
    log = Log(tmp_path)
    log.save_promise(Promise(1, CANDIDATE))
    log.write([frame(1)])
    log.write([frame(2)])
    log.close()
    run = Running(tmp_path)
    await run.say(Claim(2, CANDIDATE))
    disk = run.host.disk
    run.let_go = threading.Event()
    cut = disk.cut
    monkeypatch.setattr(disk, "cut", lambda last: (run.let_go.wait(10), cut(last)))
    run.host.receive(Append(2, 1, 1, 2, 0, [frame(2, epoch=2)]), run.answers.put_nowait)
    yield run
    run.let_go.set()
    await run.close()


async def test_what_a_leader_replaces_is_not_fed_in_the_place_of_what_it_committed(replacing):
    seen: list[tuple[int, int]] = []
    follow = replacing.host.feed.follow(
        1, lambda frames: seen.extend((frame.last, frame.epoch) for frame in frames), lambda: 0
    )
    following = asyncio.ensure_future(follow)
    feed = replacing.host.feed.frames(1)
    async with asyncio.timeout(5):
        frames = await anext(feed) + await anext(feed)
        while len(seen) < 2:
            await asyncio.sleep(0.001)
    assert [(frame.last, frame.epoch) for frame in frames] == [(1, 1), (2, 2)]
    assert seen == [(1, 1), (2, 2)]
    await feed.aclose()
    following.cancel()


async def test_what_a_leader_replaces_is_not_fetched_from_the_disk_any_more(replacing):
    fetched = await replacing.say(Fetch(1, 1 << 20))
    assert [frame.last for frame in fetched.frames] == [1]
    replacing.let_go.set()
    assert (await replacing.answers.get()).status == AppendStatus.ACCEPTED
    fetched = await replacing.say(Fetch(1, 1 << 20))
    assert [(frame.last, frame.epoch) for frame in fetched.frames] == [(1, 1), (2, 2)]


async def test_full_disk_is_told_and_space_later_is_used(running, monkeypatch, caplog):
    await running.say(append(1))

    def full(descriptor, buffers, offset, flags):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dsql.disk.files.os.pwritev", full)
    running.host.checkpoint(2)
    for _ in range(3):
        refusal = await running.say(append(2))
        assert (refusal.status, refusal.checkpoint) == (AppendStatus.FULL, 0)
    monkeypatch.undo()
    for sequence in (2, 3):
        assert (await running.say(append(sequence))).status == AppendStatus.ACCEPTED
    assert running.host.replica.log.last == 3
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_claim_behind_a_write_that_did_not_fit_is_not_answered(running, monkeypatch):
    def full(descriptor, buffers, offset, flags):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dsql.disk.files.os.pwritev", full)
    running.host.receive(append(1), running.answers.put_nowait)
    running.host.receive(Claim(2, CANDIDATE), running.answers.put_nowait)
    assert (await running.answers.get()).status == AppendStatus.FULL
    monkeypatch.undo()
    assert (await running.say(Claim(2, CANDIDATE, round=1))).round == 1
    assert running.answers.empty()
    assert running.host.disk.promise.epoch == 2


async def test_host_restores_a_lost_log_from_where_the_leaders_begins(tmp_path):
    Log(tmp_path, expected=True).close()
    run = Running(tmp_path)
    assert (await run.say(Claim(1, CANDIDATE))).lost
    run.host.receive(StartAt(1, 8), run.answers.put_nowait)
    assert (await run.say(append(8))).status == AppendStatus.ACCEPTED
    assert not (await run.say(Claim(1, CANDIDATE, whole_at=8))).lost
    await run.close()
    log = Log(tmp_path, expected=True)
    assert (log.promise.whole, log.first_sequence, log.extent.last_sequence) == (True, 8, 8)
    log.close()


async def test_log_whose_disk_fails_gives_way_to_a_new_one_that_is_lost(running, monkeypatch):
    def broken(descriptor, buffers, offset, flags):
        raise OSError(errno.EIO, "Input/output error")

    await running.say(append(1))
    ended = running.host.ended
    with monkeypatch.context() as patch:
        patch.setattr("dsql.disk.files.os.pwritev", broken)
        running.host.receive(append(2, commit=1), running.answers.put_nowait)
        async with asyncio.timeout(5):
            while not running.host.failed:
                await asyncio.sleep(0.001)
        assert running.answers.empty()
    async with asyncio.timeout(5):
        while running.host.failed:
            await asyncio.sleep(0.001)
    assert ended.done()
    assert not running.host.ended.done()
    assert (await running.say(append(2))).status == AppendStatus.MISMATCH
    reply = await running.say(Claim(1, CANDIDATE))
    assert (reply.granted, reply.lost, reply.extent.last_sequence) == (True, True, 0)


async def test_subscriber_goes_on_when_what_was_lost_is_committed_again(running, monkeypatch):
    await running.say(append(1))
    await running.say(append(2, commit=1))
    feed = running.host.feed.frames(1)
    assert [frame.last for frame in await anext(feed)] == [1]
    running.host.fail(OSError(errno.EIO, "Input/output error"))
    waiting = asyncio.ensure_future(anext(feed))
    async with asyncio.timeout(5):
        while running.host.failed:
            await asyncio.sleep(0.001)
    await running.say(Claim(1, CANDIDATE))
    await running.say(append(1))
    await running.say(append(2, commit=1))
    assert not waiting.done()
    await running.say(append(3, commit=2))
    assert [frame.last for frame in await waiting] == [2]
    await feed.aclose()


async def test_promise_and_log_outlive_the_process(tmp_path):
    first = Running(tmp_path)
    await first.say(Claim(4, CANDIDATE))
    await first.close()
    second = Running(tmp_path)
    reply = await second.say(Claim(3, b"d" * 16))
    assert (reply.granted, reply.promised) == (False, 4)
    await second.close()


async def test_trimmed_records_are_refused_and_not_skipped(running, monkeypatch):
    await running.say(append(1))
    await running.say(append(2, commit=1))
    running.host.feed.recent.cut(0)
    monkeypatch.setattr(running.host.disk, "read", lambda sequence, size: [])
    with pytest.raises(JournalTrimmedError):
        await anext(running.host.feed.frames(1))


async def test_follower_has_the_records_when_the_commit_index_has_been_told(running):
    seen: list[int] = []
    following = asyncio.ensure_future(
        running.host.feed.follow(
            1, lambda frames: seen.extend(frame.last for frame in frames), lambda: 0
        )
    )
    await running.say(append(1))
    await running.say(append(2))
    assert seen == []
    running.host.receive(append(3, commit=2), running.answers.put_nowait)
    assert seen == [1, 2]
    await running.answers.get()
    following.cancel()


async def test_follower_that_is_behind_reads_from_disk_and_goes_on_in_order(running):
    for sequence in range(1, 5):
        await running.say(append(sequence, commit=sequence - 1))
    running.host.feed.recent.cut(0)
    seen: list[int] = []
    following = asyncio.ensure_future(
        running.host.feed.follow(
            2, lambda frames: seen.extend(frame.last for frame in frames), lambda: 0
        )
    )
    await running.say(append(5, commit=3))
    await running.say(append(6, commit=5))
    async with asyncio.timeout(5):
        while len(seen) < 4:
            await asyncio.sleep(0.001)
    assert seen == [2, 3, 4, 5]
    following.cancel()


async def test_follower_that_has_more_than_is_committed_is_told_what_was_committed_last(running):
    """So it sees whether that is a part of what it has."""
    await running.say(append(1))
    seen: list[int] = []
    following = asyncio.ensure_future(
        running.host.feed.follow(
            9, lambda frames: seen.extend(frame.last for frame in frames), lambda: 0
        )
    )
    await running.say(append(2))
    assert seen == []  # nothing is known to be committed
    await running.say(append(3, commit=2))
    await running.say(append(4, commit=3))
    assert seen == [2, 3]
    following.cancel()


async def test_follower_is_told_again_what_it_was_told_last_by_a_log_that_is_replaced(running):
    seen: list[int] = []
    following = asyncio.ensure_future(
        running.host.feed.follow(
            1, lambda frames: seen.extend(frame.last for frame in frames), lambda: 0
        )
    )
    await running.say(append(1))
    await running.say(append(2, commit=1))
    await running.say(append(3, commit=2))
    running.host.feed.restart()
    assert seen == [1, 2]
    running.host.feed.advance(2)
    async with asyncio.timeout(5):
        while len(seen) < 3:
            await asyncio.sleep(0.001)
    assert seen == [1, 2, 2]
    following.cancel()


async def test_follower_that_fails_gets_its_error_and_leaves_the_replica_alone(running):
    def fail(frames):
        raise ValueError("cannot apply")

    following = asyncio.ensure_future(running.host.feed.follow(1, fail, lambda: 0))
    await running.say(append(1))
    await running.say(append(2, commit=1))
    with pytest.raises(ValueError, match="cannot apply"):
        await following
    assert (await running.say(append(3, commit=2))).status == AppendStatus.ACCEPTED


async def test_event_loop_goes_on_while_a_disk_that_has_stalled_stands_still_again(
    running, monkeypatch
):
    write, goes_on, waited = running.host.disk.write, threading.Event(), []

    def stand_still(frames):
        waited.append(goes_on.wait(30))
        write(frames)

    monkeypatch.setattr("journal.group_commit._STALL_SECONDS", 0.0)
    await running.say(append(1))
    assert running.host._group.is_quick([])
    monkeypatch.setattr(running.host.disk, "write", stand_still)
    for sequence in (2, 3):
        running.host.receive(append(sequence), running.answers.put_nowait)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waited
    goes_on.set()
    async with asyncio.timeout(30):
        replies = [await running.answers.get() for _ in range(2)]
    assert {reply.status for reply in replies} == {AppendStatus.ACCEPTED}
    assert waited == [True]


@pytest.fixture
def asked(running, monkeypatch):
    """Where the writes are done: "patiently", "elsewhere", or nothing for the event loop itself."""
    asked: list[str] = []

    def watch(method: str, name: str) -> None:
        submit = getattr(running.threads, method)
        monkeypatch.setattr(
            running.threads, method, lambda *work: (asked.append(name), submit(*work))
        )

    watch("submit", "elsewhere")
    watch("submit_patiently", "patiently")
    return asked


async def test_a_quick_disk_is_written_to_on_the_event_loop(running, asked):
    await running.say(append(1))
    assert asked == []


async def test_a_disk_that_has_stalled_is_not_written_to_there(running, asked, monkeypatch):
    monkeypatch.setattr("journal.group_commit._STALL_SECONDS", 0.0)
    await running.say(append(1))
    await running.say(append(2))
    assert asked == ["patiently"]


async def test_disk_that_is_slow_as_a_rule_is_not_waited_for(running, asked):
    for _ in range(64):
        running.host._group._pace.observe(0.01)
    await running.say(append(1))
    assert asked == ["elsewhere"]
