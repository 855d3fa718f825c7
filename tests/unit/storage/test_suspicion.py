"""A reader was crashed by what it read: the others read elsewhere until the replica has been looked at."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsql.rpc.boot import current_boot
from storage.client import LocalReplica, report_crash
from storage.reader_slot import open_slot
from storage.suspicion import Suspicion

from .test_follower import following
from .test_leaving import damage

ROWS = [(b"k%06d" % number, b"value") for number in range(100)]


@pytest.fixture
def three(make_replica: Callable[..., Any]) -> list[Any]:
    replicas = [make_replica() for _ in range(3)]
    for replica in replicas:
        replica.apply(ROWS)
    return replicas


def suspicion_of(replica: Any, others: list[Any]) -> Suspicion:
    peers = [other.directory for other in others if other is not replica]
    return Suspicion(replica.environment, peers, current_boot())


def replica_in_use(preferred: Any, others: list[Any]) -> Path:
    """Return where a reader goes, which must find the rows there."""
    directories = [preferred.directory]
    directories += [other.directory for other in others if other is not preferred]
    reader = LocalReplica(directories, deadline_seconds=0.1)
    try:
        assert dict(reader.snapshot(preferred.feeder.timestamp).scan(b"k", b"l")) == dict(ROWS)
        return reader.directory
    finally:
        reader.close()


def test_suspected_replica_is_read_again_when_it_was_looked_at(three: list[Any]) -> None:
    first, second, _ = three
    suspicion = suspicion_of(first, three)
    suspicion.begin()
    for _ in range(3):
        for replica in three:  # what is committed meanwhile brings nobody back
            replica.apply([(b"k000000", ROWS[0][1])])
        suspicion.look()
        assert replica_in_use(first, three) == second.directory
    suspicion.end()
    assert replica_in_use(first, three) == first.directory


def test_readers_in_the_midst_of_a_transaction_leave_and_find_their_snapshot(
    three: list[Any],
) -> None:
    reader = LocalReplica([replica.directory for replica in three])
    timestamp = three[0].feeder.timestamp
    snapshot = reader.snapshot(timestamp)
    for replica in three:
        replica.apply([(key, b"newer") for key, _ in ROWS])
        replica.pass_time(20)
    suspicion_of(three[0], three).begin()
    assert dict(snapshot.scan(b"k", b"l")) == dict(ROWS)
    assert reader.directory == three[1].directory
    reader.close()


def test_of_replicas_that_are_all_suspected_one_is_read(three: list[Any]) -> None:
    suspicions = [suspicion_of(replica, three) for replica in three]
    for suspicion in suspicions:
        suspicion.begin()
        assert replica_in_use(three[0], three)
    assert [replica.environment.avoided for replica in three] == [True, True, False]


@pytest.mark.parametrize("loss", ["given up", "behind"])
def test_suspected_replica_is_read_when_the_others_are_lost(three: list[Any], loss: str) -> None:
    first, *others = three
    suspicion = suspicion_of(first, three)
    suspicion.begin()
    if loss == "given up":
        for other in others:
            other.environment.condemn()
    else:
        first.apply([(b"k000000", ROWS[0][1])])
        suspicion.look()  # they may not have heard of it yet
    suspicion.look()
    assert replica_in_use(first, three) == first.directory


def test_given_up_replica_is_not_offered(three: list[Any]) -> None:
    first = three[0]
    suspicion = suspicion_of(first, three)
    suspicion.begin()
    first.environment.condemn()
    suspicion.end()
    assert replica_in_use(first, three) == three[1].directory


def crash_reader(replica: Path) -> None:
    """Let a reader die in the midst of a transaction, and an agent tell so."""
    slot, wake = open_slot(replica)
    os.pwrite(slot, b"\x07" * 8 + bytes(8), 0)
    os.close(slot)
    os.close(wake)
    report_crash(replica)


@pytest.mark.parametrize("is_damaged", [True, False])
async def test_replica_whose_reader_crashed_is_looked_at_at_once_and_made_anew_if_damaged(
    tmp_path: Path, journal: Any, feeder: Any, make_replica: Any, is_damaged: bool
) -> None:
    journal.append(feeder.record(ROWS))
    peer = make_replica()
    peer.apply_records(journal.records)
    peer.environment.checkpoints.take()
    own = tmp_path / "own"
    async with following(own, journal, peer.directory) as follower:
        first = await follower.reach(feeder.timestamp)
        if is_damaged:
            damage(own)
        crash_reader(own)
        while not follower.scrubbed_at and not follower.repaired:
            await asyncio.sleep(0.001)
        assert follower.repaired == is_damaged
        again = await follower.reach(feeder.timestamp)
        assert (again is first) != is_damaged
        assert not again.avoided
        assert again.position.watermark == feeder.timestamp
