"""Three zones' journals with a leader, and disks that damage, fail and fill up: all is mended."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from pathlib import Path

import msgspec
import pytest

from dsql.control.layout import ClusterRecord, Layout
from dsql.disk.files import SystemFiles
from dsql.rpc.clock import SystemClock
from journal.appender import Appender
from journal.client import SocketJournal
from journal.followers import Follower, Quorum
from journal.leader import Phase
from journal.messages import Record, RecordKind
from journal.replica import Replica
from journal.segment import CorruptionError
from journal.server import JournalServer, serve

CLUSTER = "abcdefghijklmnopqrstuvwxyz"
ZONES = ["a", "b", "c"]


class Disk(SystemFiles):
    """One zone's disk. With `error`, whatever changes a file of the zone fails with it."""

    def __init__(self) -> None:
        self.error = 0

    def _fail(self) -> None:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))

    def open(self, path, flags, mode=0o600) -> int:
        if flags & os.O_CREAT:
            self._fail()
        return super().open(path, flags, mode)

    def pwrite_durably(self, descriptor, data, offset) -> int:
        self._fail()
        return super().pwrite_durably(descriptor, data, offset)

    def rename(self, old, new) -> None:
        self._fail()
        super().rename(old, new)


class Cluster:
    """Zone a leads, over its own replica on this loop and the others' sockets."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.cluster(CLUSTER).mkdir(parents=True)
        (root / "run").mkdir()
        record = ClusterRecord(CLUSTER, "local", "e", "0", "dsql", ZONES, 0.0)
        self.layout.record(CLUSTER).write_bytes(msgspec.json.encode(record))
        self.disks = {zone: Disk() for zone in ZONES}
        self.servers: dict[str, JournalServer] = {}
        self.serving: dict[str, asyncio.Task[None]] = {}
        self.leading: asyncio.Task[None] | None = None
        self.epoch = 0
        self.commit = 0
        self.committed = asyncio.Event()

    async def start(self, *zones: str) -> None:
        for zone in zones or ZONES:
            layout = Layout(self.layout.root, self.disks[zone])
            server = self.servers[zone] = JournalServer(layout, zone)
            ready = asyncio.Event()
            self.serving[zone] = asyncio.create_task(serve(layout, zone, ready.set, server))
            await ready.wait()

    async def stop(self, *zones: str) -> None:
        for zone in zones or list(self.serving):
            task = self.serving.pop(zone)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def lead(self) -> None:
        self.epoch += 1
        replicas = [self.layout.socket(f"{zone}.journal") for zone in ZONES]
        self.commit, self.committed = 0, asyncio.Event()
        self.appender = Appender(
            CLUSTER,
            "a",
            [self.servers["a"], *replicas[1:]],
            self._on_commit,
            clock=SystemClock(),
            quorum=Quorum(),
            candidate=os.urandom(16),
            epoch=self.epoch,
        )
        self.leading = asyncio.create_task(self.appender.run())
        await self.until(lambda: self.commit > 0)

    async def step_down(self) -> None:
        if self.leading is not None:
            self.leading.cancel()
            await asyncio.gather(self.leading, return_exceptions=True)

    async def close(self) -> None:
        await self.step_down()
        await self.stop()

    def _on_commit(self, sequence: int) -> None:
        self.commit = sequence
        self.appender.tell_own()

    async def until(self, holds) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.002)

    async def append(self, count: int = 1, size: int = 100) -> None:
        for _ in range(count):
            timestamp = self.appender.leader.last_timestamp + 1
            last = self.appender.append([(timestamp, RecordKind.DATA, os.urandom(size))])
            await self.until(lambda last=last: self.commit >= last)

    def followers(self) -> list[Follower]:
        """What the leader knows of the replicas that it has reached."""
        return [follower for follower in self.appender.leader._followers if follower.connected]

    def said(self, zone: str, word: str) -> int:
        return int(self.servers[zone].status().values.get(f"{CLUSTER}.{word}", -1))

    async def sound(self, *zones: str) -> None:
        """Return when these have everything, and nothing ails them."""
        last = self.appender.leader.last_sequence
        for zone in zones or ZONES:
            for word in ("lost", "damaged", "failed", "full"):
                await self.until(lambda zone=zone, word=word: self.said(zone, word) == 0)
            await self.until(lambda zone=zone: self.said(zone, "commit") == last)

    async def records(self, zone: str, count: int) -> list[Record]:
        """The first records that a zone feeds from its disk."""
        self.servers[zone]._replicas[CLUSTER].opening.result().feed.recent.cut(0)
        found: list[Record] = []
        feed = SocketJournal(self.layout.socket(f"{zone}.journal")).subscribe(CLUSTER, 1)
        async with asyncio.timeout(20), contextlib.aclosing(feed):
            async for records in feed:
                found += records
                if len(found) >= count:
                    return found
        return found

    def segments(self, zone: str) -> list[Path]:
        return sorted(self.layout.journal(zone, CLUSTER).glob("*.segment"))

    def damage(self, zone: str, which: int, offset: int, length: int = 1) -> None:
        path = self.segments(zone)[which]
        with path.open("r+b") as file:
            file.seek(offset)
            there = file.read(length)
            file.seek(offset)
            file.write(bytes(byte ^ 0xFF for byte in there))


class ReplicaThatNeverKnowsItsEndCommitted(Replica):
    @property
    def commit(self) -> int:
        return min(self.__dict__["commit"], self.log.last - 1)

    @commit.setter
    def commit(self, sequence: int) -> None:
        self.__dict__["commit"] = sequence


@pytest.fixture
async def cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Cluster(Path())
    await made.start()
    await made.lead()
    yield made
    await made.close()


@pytest.mark.parametrize("zone", ["a", "c"])
async def test_damage_met_by_a_reader_is_mended_from_the_peers_and_no_record_is_missing(
    cluster, zone
):
    await cluster.append(20)
    await cluster.sound()
    cluster.damage(zone, 0, 700)
    found = await cluster.records(zone, 21)
    assert found == await cluster.records("b", 21)
    assert [record.sequence for record in found] == list(range(1, 22))
    await cluster.sound()
    assert (cluster.said(zone, "repaired"), cluster.said(zone, "last_sequence")) == (1, 21)
    await cluster.append(3)


async def test_segment_that_grows_is_mended_though_its_end_is_never_known_to_be_committed(cluster):
    """So it is under load: a replica hears with a record only that those before it are committed."""
    await cluster.append(20)
    await cluster.sound()
    host = cluster.servers["c"]._replicas[CLUSTER].opening.result()
    host.replica.__class__ = ReplicaThatNeverKnowsItsEndCommitted
    cluster.damage("c", 0, 700)
    host.feed.recent.cut(0)
    with pytest.raises(CorruptionError):
        host.disk.read(5, 1)
    host.noticed(CorruptionError("as a reader says"))
    await cluster.until(lambda: len(cluster.segments("c")) == 2)
    await cluster.append()
    await cluster.until(lambda: cluster.said("c", "damaged") == 0)
    assert cluster.said("c", "repaired") == 1


@pytest.mark.parametrize("has", [1, 20, 21, 22, 500])
async def test_whoever_follows_over_a_socket_sees_whether_the_journal_has_what_it_has(cluster, has):
    """Also when the journal is shorter, and after it has come back with a shorter log."""
    await cluster.append(20)
    await cluster.sound()
    seen: list[int] = []
    journal = SocketJournal(cluster.layout.socket("b.journal"))
    following = asyncio.create_task(
        journal.follow(
            CLUSTER, has, lambda records: seen.extend(one.sequence for one in records), lambda: 0
        )
    )
    await cluster.until(lambda: 21 in seen)
    assert seen == list(range(min(has, 21), 22))
    await cluster.stop("b")
    await cluster.start("b")
    await cluster.append()
    await cluster.until(lambda: 22 in seen)
    assert seen[-2:] == [21, 22]
    following.cancel()


async def test_scrub_finds_damage_that_nobody_reads_and_says_when_all_was_sound(
    cluster, monkeypatch
):
    monkeypatch.setattr("journal.upkeep._SCRUB_SECONDS", 0.02)
    monkeypatch.setattr("journal.upkeep._SCRUB_PAUSE_SECONDS", 0.0)
    await cluster.stop("c")
    await cluster.start("c")
    await cluster.append(20, size=3_000)
    await cluster.sound()
    cluster.damage("c", 0, 20_000)
    cluster.damage("c", 0, 40_000)
    state = cluster.layout.journal("c", CLUSTER) / "state"
    with state.open("r+b") as file:  # in place: whoever maps a file that is cut dies of it
        file.write(bytes(4096))
    await cluster.until(lambda: cluster.said("c", "repaired") == 2)
    await cluster.sound()
    replica = cluster.servers["c"]._replicas[CLUSTER]
    replica.upkeep.scrubbed_at = 0
    await cluster.until(lambda: cluster.said("c", "scrubbed_at") > 0)
    assert await cluster.records("c", 21) == await cluster.records("b", 21)


async def test_both_ends_of_different_damage_are_mended_from_each_other(cluster, caplog):
    await cluster.append(20, size=3_000)
    await cluster.sound()
    await cluster.stop("b")
    cluster.damage("a", 0, 10_000)
    cluster.damage("c", 0, 40_000)
    mended = asyncio.gather(cluster.records("a", 21), cluster.records("c", 21))
    await cluster.until(lambda: caplog.text.count("it is to be repaired") == 2)
    await cluster.append(2)
    await cluster.start("b")
    one, other = await mended
    assert one[:21] == other[:21]
    await cluster.sound()


@pytest.mark.parametrize("zone", ["a", "b"])
async def test_commits_go_on_while_a_zones_disk_fails_and_its_log_is_restored_on_new_files(
    cluster, zone
):
    await cluster.append(5)
    cluster.disks[zone].error = errno.EIO
    await cluster.append(5)
    await cluster.until(lambda: cluster.said(zone, "failed") == 1)
    await cluster.append(5)
    cluster.disks[zone].error = 0
    await cluster.append(5)
    await cluster.sound()
    await cluster.append(5)
    directory = cluster.layout.journal(zone, CLUSTER)
    assert [path.name for path in sorted(directory.parent.iterdir())] == [
        "journal",
        "journal.damaged-1",
    ]
    await cluster.stop("c")
    await cluster.append(5)  # it counts
    assert await cluster.records(zone, 31) == await cluster.records("ab".replace(zone, ""), 31)
    await cluster.start("c")


async def test_zone_whose_acknowledged_end_is_damaged_is_lost_and_restored(cluster, caplog):
    await cluster.append(10)
    await cluster.sound()
    await cluster.stop("b")
    path = cluster.segments("b")[-1]
    os.truncate(path, path.stat().st_size - 1)
    await cluster.start("b")
    await cluster.until(lambda: "the log was lost" in caplog.text)
    await cluster.sound()
    assert await cluster.records("b", 11) == await cluster.records("c", 11)


async def test_nobody_is_elected_by_two_logs_of_which_one_cannot_be_proved(cluster):
    """Zone c lags; a's newest header and last record are damaged; b, which has everything, is late."""
    await cluster.stop("c")
    await cluster.append(30)
    await cluster.close()
    cluster.damage("a", -1, 3)
    cluster.damage("a", -1, cluster.segments("a")[-1].stat().st_size - 3)
    await cluster.start("a", "c")
    leading = asyncio.create_task(cluster.lead())
    await cluster.until(lambda: cluster.epoch == 2 and len(cluster.followers()) == 2)
    lagging = cluster.followers()
    await cluster.until(lambda: all(follower.joined for follower in lagging))
    assert [follower.lost for follower in lagging] == [True, False]
    assert (cluster.commit, cluster.appender.leader.phase) == (0, Phase.CLAIMING)
    await cluster.start("b")
    await leading
    assert cluster.commit == 32
    await cluster.sound()
    assert len(await cluster.records("a", 32)) == 32


@pytest.mark.parametrize(("error", "word"), [(errno.ENOSPC, "full"), (errno.EACCES, "failed")])
async def test_zone_that_cannot_open_its_log_says_so_and_opens_it_when_it_can(cluster, error, word):
    await cluster.append(5)
    cluster.leading.cancel()
    await cluster.stop("a")
    cluster.disks["a"].error = error
    await cluster.start("a")
    leading = asyncio.create_task(cluster.lead())
    await cluster.until(lambda: cluster.said("a", word) == 1)
    await leading
    await cluster.append(5)
    assert cluster.said("a", word) == 1
    cluster.disks["a"].error = 0
    await cluster.sound()
    assert (cluster.said("a", "lost"), cluster.said("a", "last_sequence")) == (0, 12)


async def test_full_disk_refuses_and_needs_no_restart_when_there_is_room(cluster):
    await cluster.append(5)
    cluster.disks["a"].error = errno.ENOSPC
    await cluster.append(5)
    await cluster.until(lambda: cluster.said("a", "full") == 1)
    cluster.disks["a"].error = 0
    await cluster.append(1)
    await cluster.sound()
    assert cluster.said("a", "last_sequence") == 12


@pytest.mark.parametrize("zone", ["a", "c"])
async def test_claim_on_a_full_disk_is_refused_and_taken_when_there_is_room(cluster, zone):
    """Also after a restart, and in the leader's own zone."""
    await cluster.append(5)
    await cluster.sound()
    await cluster.step_down()
    await cluster.stop(zone)
    await cluster.start(zone)
    await cluster.servers[zone].host(CLUSTER)
    cluster.disks[zone].error = errno.ENOSPC
    await cluster.lead()
    await cluster.append(3)
    await cluster.until(lambda: cluster.said(zone, "full") == 1)
    cluster.disks[zone].error = 0
    await cluster.append()
    await cluster.sound()
    assert cluster.said(zone, "promised_epoch") == cluster.epoch
    assert not list(cluster.layout.journal(zone, CLUSTER).parent.glob("journal.damaged-*"))


async def test_what_was_set_aside_gives_way_when_the_disk_is_full(cluster):
    await cluster.append(5)
    aside = cluster.layout.journal("b", CLUSTER).with_name("journal.damaged-1")
    aside.mkdir()
    cluster.disks["b"].error = errno.ENOSPC
    await cluster.append(5)
    await cluster.until(lambda: not aside.exists())
    cluster.disks["b"].error = 0
    await cluster.append(1)
    await cluster.sound()


async def test_how_far_the_log_reaches_is_durable_within_a_second_of_the_last_write(
    cluster, monkeypatch
):
    await cluster.append(5)
    settled = []
    disk = (await cluster.servers["b"].host(CLUSTER)).disk
    put = disk._state.note_durably
    monkeypatch.setattr(disk._state, "note_durably", lambda mark: (settled.append(mark), put(mark)))
    await cluster.append(1)
    await cluster.until(lambda: settled)
    assert settled == [disk._mark]
