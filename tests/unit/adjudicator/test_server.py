"""Commits through real sockets, files and three replicas."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from contextlib import closing

import pytest

from adjudicator.client import hello
from adjudicator.half_requests import BYTES_MAX
from adjudicator.messages import encode_death
from adjudicator.peers import Peers
from dsql.limits import JOURNAL_RECORD_BYTES_MAX
from dsql.rpc.client import ask_status, connect_blocking
from dsql.rpc.framing import frame
from dsql.rpc.messages import Peer, encode
from dsql.rpc.process import watch_death
from dsql.transaction.interface import Committed, Conflict, Refused, Unknown
from journal.appender import Appender

CLUSTER = "abcdefghijklmnopqrstuvwxyz"


async def test_commit_is_published_and_reaches_every_replica(cluster):
    client = await asyncio.to_thread(cluster.client)
    write_set = cluster.write_set(0, b"a")
    outcome = await cluster.commit(client, write_set)
    assert isinstance(outcome, Committed)
    assert cluster.latest() == outcome.timestamp
    for az in cluster.azs:
        records = await cluster.data_records(az.name, 1)
        assert [(record.sequence, record.timestamp) for record in records] == [
            (2, outcome.timestamp)
        ]
    client.close()


async def test_second_writer_of_a_key_conflicts(cluster):
    client = await asyncio.to_thread(cluster.client)
    start = cluster.latest()
    assert isinstance(await cluster.commit(client, cluster.write_set(start, b"a")), Committed)
    assert isinstance(await cluster.commit(client, cluster.write_set(start, b"a")), Conflict)
    client.close()


async def test_commits_go_on_with_one_replica_down_and_it_catches_up(cluster):
    client = await asyncio.to_thread(cluster.client)
    await cluster.commit(client, cluster.write_set(0, b"a"))
    await cluster.azs[2].stop()
    for number in range(5):
        write_set = cluster.write_set(cluster.latest(), b"%d" % number)
        assert isinstance(await cluster.commit(client, write_set), Committed)
    await cluster.azs[2].start()
    assert len(await cluster.data_records("az3", 6)) == 6
    client.close()


async def test_transaction_that_began_under_the_former_leader_meets_only_true_conflicts(cluster):
    client = await asyncio.to_thread(cluster.client)
    await cluster.commit(client, cluster.write_set(0, b"a"))
    old = cluster.latest()
    await cluster.commit(client, cluster.write_set(old, b"b"))
    client.close()
    await cluster.azs[0].stop()
    await cluster.azs[0].start()
    client = await asyncio.to_thread(cluster.client)
    assert isinstance(await cluster.commit(client, cluster.write_set(old, b"b")), Conflict)
    outcome = await cluster.commit(client, cluster.write_set(old - 1, b"c"))
    assert isinstance(outcome, Committed)
    assert len(await cluster.data_records("az2", 3)) == 3
    client.close()


async def test_outcome_lost_with_the_leader_is_resolved_by_its_successor(cluster):
    """No quorum: the commit hangs. The leader dies; its successor has to say what became of it."""
    client = await asyncio.to_thread(cluster.client)
    await cluster.commit(client, cluster.write_set(0, b"a"))
    for az in cluster.azs[1:]:
        await az.stop()
    lost = cluster.write_set(cluster.latest(), b"b")
    waiting = asyncio.create_task(cluster.commit(client, lost))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    for az in cluster.azs:
        await az.stop()
    for az in cluster.azs:
        await az.start()
    outcome = await waiting
    assert isinstance(outcome, Committed)
    records = await cluster.data_records("az3", 2)
    assert records[1].timestamp == outcome.timestamp
    client.close()


async def test_commit_is_unknown_if_nobody_can_be_asked(cluster):
    client = await asyncio.to_thread(lambda: cluster.client(resolve_seconds=0.4))
    await cluster.commit(client, cluster.write_set(0, b"a"))
    for az in cluster.azs[1:]:
        await az.stop()
    outcome = await cluster.commit(client, cluster.write_set(cluster.latest(), b"b"))
    assert outcome == Unknown()
    client.close()


async def test_leader_that_hears_no_other_zone_notices_when_commits_wait_and_is_replaced(
    cluster, monkeypatch
):
    client = await asyncio.to_thread(cluster.client)
    await cluster.commit(client, cluster.write_set(0, b"a"))
    received, step = Peers.received, Appender._step
    monkeypatch.setattr("adjudicator.peers.REST_SECONDS", 60.0)  # nobody beats unasked
    monkeypatch.setattr("adjudicator.failure_detector.REST_SECONDS", 60.0)

    def hear(peers, connection, az, body):
        if peers._electorate.own != "az1":
            received(peers, connection, az, body)

    def take(appender, replica, message):
        if appender._own != 0 or replica == 0:
            step(appender, replica, message)

    monkeypatch.setattr(Peers, "received", hear)
    monkeypatch.setattr(Appender, "_step", take)
    outcome = await cluster.commit(client, cluster.write_set(cluster.latest(), b"b"))
    assert isinstance(outcome, Committed)
    client.close()


async def test_heartbeat_moves_an_idle_clock(cluster):
    client = await asyncio.to_thread(cluster.client)
    first = await asyncio.to_thread(client.heartbeat)
    second = await asyncio.to_thread(client.heartbeat)
    assert second > first
    assert cluster.latest() == second
    client.close()


async def test_status_names_leader_and_watermarks(cluster):
    client = await asyncio.to_thread(cluster.client)
    try:
        await asyncio.to_thread(client.heartbeat)
        status = await asyncio.to_thread(ask_status, cluster.layout.socket("az1.adjudicator"))
        assert status.values[f"{CLUSTER}.leader"] == "az1"
        assert status.values[f"{CLUSTER}.phase"] == "OPEN"
        await _last_sequence_becomes(2, cluster.layout.socket("az2.journal"))
    finally:
        client.close()


async def _leader_becomes(leader, adjudicator, seconds=5.0):
    async with asyncio.timeout(seconds):
        while True:
            status = await asyncio.to_thread(ask_status, adjudicator)
            if status.values.get(f"{CLUSTER}.leader") == leader:
                return
            await asyncio.sleep(0.01)


async def _last_sequence_becomes(sequence, journal, seconds=5.0):
    """Wait for a replica that need not have been among the two of three that answered first."""
    async with asyncio.timeout(seconds):
        while True:
            status = await asyncio.to_thread(ask_status, journal)
            if status.values.get(f"{CLUSTER}.last_sequence") == sequence:  # none while it opens
                return
            await asyncio.sleep(0.01)


@pytest.mark.skipif(
    not watch_death(os.getpid(), [threading.get_native_id()]), reason="Linux before 6.9"
)
async def test_death_of_a_zone_is_told_to_who_is_connected_while_its_own_connection_is_still_open(
    cluster,
):
    for az in ("az1", "az2", "az3"):  # whose own connections stand by then
        _, waking = cluster.connect(az)
        await _leader_becomes("az1", cluster.layout.socket(f"{az}.adjudicator"))
        waking.close()
    dying = threading.Event()
    sentinel = threading.Thread(target=dying.wait)
    sentinel.start()
    path = cluster.layout.socket("az1.adjudicator")
    _, listening = cluster.connect("az1")
    with closing(listening), closing(connect_blocking(path)) as zone:
        opening = Peer("az2", [sentinel.native_id])
        zone.sendall(frame(encode(opening)))
        await asyncio.to_thread(ask_status, path)  # by then it has been read
        dying.set()
        notice = await asyncio.to_thread(listening.recv, 1024)
    sentinel.join()
    assert notice == frame(encode_death(1))


async def test_unknown_cluster_is_turned_away(cluster):
    connected = connect_blocking(cluster.layout.socket("az1.adjudicator"))
    connected.sendall(hello("z" * 26))
    assert await asyncio.to_thread(connected.recv, 10) == b""
    connected.close()


async def test_write_set_with_a_mode_that_does_not_exist_is_refused(cluster):
    client = await asyncio.to_thread(cluster.client)
    write_set = cluster.write_set(0, b"a")
    write_set.writes[0] = (b"a", 77, b"v")
    assert await cluster.commit(client, write_set) == Refused(disk_full=False)
    client.close()


async def test_full_disks_refuse_commits_until_there_is_space(cluster, monkeypatch):
    client = await asyncio.to_thread(lambda: cluster.client(resolve_seconds=10.0))
    await cluster.commit(client, cluster.write_set(0, b"a"))

    def full(descriptor, buffers, offset, flags):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("dsql.disk.files.os.pwritev", full)
        under_way = asyncio.create_task(
            cluster.commit(client, cluster.write_set(cluster.latest(), b"b"))
        )
        await asyncio.sleep(0.3)
        other = await asyncio.to_thread(cluster.client)
        refused = await cluster.commit(other, cluster.write_set(cluster.latest(), b"c"))
        assert refused == Refused(disk_full=True)
    assert isinstance(await under_way, Committed)
    outcome = await cluster.commit(other, cluster.write_set(cluster.latest(), b"c"))
    assert isinstance(outcome, Committed)
    client.close()
    other.close()


HEARTBEAT = b"\x03" + bytes(16)


async def ends(cluster, *sent: bytes) -> bool:
    """Send bytes behind the Hello; return whether the adjudicator closes the connection for them."""

    def talk() -> bool:
        with connect_blocking(cluster.layout.socket("az1.adjudicator")) as connection:
            connection.settimeout(30)
            with contextlib.suppress(ConnectionError):
                connection.sendall(hello(CLUSTER) + b"".join(sent))
                connection.sendall(frame(HEARTBEAT))
                while answer := connection.recv(65_536):
                    if answer.endswith(b"\x01" + answer[-8:]) and not sent:
                        return False
            return True

    return await asyncio.to_thread(talk)


async def test_connection_with_one_request_at_a_time_is_served(cluster):
    assert not await ends(cluster)


@pytest.mark.parametrize(
    "sent",
    [
        frame(HEARTBEAT) * 2_000,
        frame(b""),
        frame(b"\x09"),
        frame(b"\x02short"),
        b"\xff\xff\xff\xff",
        (JOURNAL_RECORD_BYTES_MAX + 4096).to_bytes(4, "big"),
    ],
    ids=["flood", "empty", "unknown", "short", "huge", "above a record"],
)
async def test_whoever_sends_what_nobody_sends_is_cut_off_and_others_are_served(cluster, sent):
    client = await asyncio.to_thread(cluster.client)
    assert isinstance(await cluster.commit(client, cluster.write_set(0, b"a")), Committed)
    assert await ends(cluster, sent)
    write_set = cluster.write_set(cluster.latest(), b"a")
    assert isinstance(await cluster.commit(client, write_set), Committed)
    client.close()


async def test_malformed_request_that_came_before_the_leader_was_open_does_not_stop_it(cluster):
    with connect_blocking(cluster.layout.socket("az1.adjudicator")) as early:
        early.sendall(hello(CLUSTER) + frame(b"") + frame(b"\x02short"))
        client = await asyncio.to_thread(cluster.client)
        assert isinstance(await cluster.commit(client, cluster.write_set(0, b"a")), Committed)
        client.close()


async def test_half_requests_of_many_connections_are_bounded_and_the_oldest_give_way(cluster):
    half = (JOURNAL_RECORD_BYTES_MAX).to_bytes(4, "big") + bytes(JOURNAL_RECORD_BYTES_MAX - 100)
    count = 2 * BYTES_MAX // len(half)

    def flood() -> list[bool]:
        """Return which of the connections were closed."""
        with contextlib.ExitStack() as connections:
            opened = []
            for _ in range(count):
                opened.append(connections.enter_context(connect_blocking(path)))
                opened[-1].sendall(hello(CLUSTER) + half)
            closed = []
            for connection in opened:
                connection.settimeout(0.05)
                try:
                    closed.append(not connection.recv(1))
                except TimeoutError:
                    closed.append(False)
                except ConnectionError:
                    closed.append(True)
            return closed

    path = cluster.layout.socket("az1.adjudicator")
    client = await asyncio.to_thread(cluster.client)
    assert isinstance(await cluster.commit(client, cluster.write_set(0, b"a")), Committed)
    closed = await asyncio.to_thread(flood)
    assert closed == sorted(closed, reverse=True)
    assert closed.count(False) * len(half) <= BYTES_MAX
    assert isinstance(
        await cluster.commit(client, cluster.write_set(cluster.latest(), b"a")), Committed
    )
    client.close()
