from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsql.errors import SqlError
from journal.appender import _CATCH_UP_SECONDS
from storage.client import LocalReplica


def test_snapshot_waits_until_the_replica_has_reached_it(replica: Any) -> None:
    replica.apply([(b"a", b"1")])
    local = LocalReplica([replica.directory])
    wanted = replica.feeder.timestamp + 10
    later = threading.Timer(0.05, lambda: replica.apply([(b"a", b"2")]))
    later.start()
    assert local.snapshot(wanted).get(b"a") == b"2"
    later.join()
    local.close()


def test_snapshot_of_the_same_timestamp_is_the_same_object(replica: Any) -> None:
    last = replica.apply([(b"a", b"1")])
    local = LocalReplica([replica.directory])
    assert local.snapshot(last, "one reader") is local.snapshot(last, "another")
    local.close()


def test_replica_that_stands_still_is_left_for_another(make_replica: Callable[..., Any]) -> None:
    dead, alive = make_replica(), make_replica()
    for replica in (dead, alive):
        replica.apply([(b"a", b"1")])
    last = alive.apply([(b"a", b"2")])
    local = LocalReplica([dead.directory, alive.directory], stall_seconds=0.02)
    assert local.directory == dead.directory
    started = time.monotonic()
    assert local.snapshot(last).get(b"a") == b"2"
    assert time.monotonic() - started < 1
    assert local.directory == alive.directory
    local.close()


def test_readers_come_to_the_leaders_zone_though_their_own_is_late_only(
    make_replica: Callable[..., Any],
) -> None:
    late, leading = make_replica(), make_replica()
    for replica in (late, leading):
        replica.apply([(b"a", b"1")])
    last = leading.apply([(b"a", b"2")])
    waited = 0.0

    def pause(seconds: float) -> None:
        nonlocal waited
        time.sleep(seconds)
        waited += seconds
        if waited >= _CATCH_UP_SECONDS:
            late.apply([(b"a", b"2")])

    local = LocalReplica([late.directory, leading.directory], pause=pause)
    assert local.snapshot(last).get(b"a") == b"2"
    assert local.directory == leading.directory
    local.close()


def test_timestamp_that_no_replica_reaches_is_an_error_not_a_guess(replica: Any) -> None:
    last = replica.apply([(b"a", b"1")])
    local = LocalReplica([replica.directory], stall_seconds=0.01, deadline_seconds=0.05)
    with pytest.raises(SqlError) as caught:
        local.snapshot(last + 1)
    assert caught.value.sqlstate == "58000"
    local.close()


def test_a_wait_for_a_replica_ends_when_its_sleeper_wants(replica: Any) -> None:
    last = replica.apply([(b"a", b"1")])

    def interrupt(seconds: float) -> None:
        assert seconds <= 0.002
        raise InterruptedError

    local = LocalReplica([replica.directory], pause=interrupt)
    with pytest.raises(InterruptedError):
        local.snapshot(last + 1)
    assert local.snapshot(last).get(b"a") == b"1"
    local.close()


def test_missing_replica_is_an_error_after_the_deadline(tmp_path: Path) -> None:
    with pytest.raises(SqlError):
        LocalReplica([tmp_path / "nowhere"], deadline_seconds=0.01)


def test_snapshot_knows_which_keys_were_written_after_it(replica: Any) -> None:
    replica.apply([(b"a", b"1"), (b"b", b"1"), (b"gone", b"1")])
    last = replica.apply([(b"gone", None)])  # its tombstone is older than the snapshot
    local = LocalReplica([replica.directory])
    snapshot = local.snapshot(last)
    assert not snapshot.is_outdated(
        [b"a", b"b", b"gone", b"new", b"long" * 200], snapshot.timestamp
    )
    replica.apply([(b"b", b"2"), (b"new", b"1")])
    assert not snapshot.is_outdated([b"a", b"gone"], snapshot.timestamp)
    assert snapshot.is_outdated([b"a", b"b"], snapshot.timestamp)
    assert snapshot.is_outdated([b"new"], snapshot.timestamp)
    replica.apply([(b"a", None)])
    assert snapshot.is_outdated([b"a"], snapshot.timestamp)
    local.close()
