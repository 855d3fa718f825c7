"""Listeners hear everything, or end: whatever dies, and wherever they go meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from running_cluster import DSQL, RunningCluster, children_of, lives

HEAR_SECONDS = 30.0
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    options = ("--park-seconds", "0.1", "--processes", "2")
    running = RunningCluster(tmp_path_factory.mktemp("listening"), "postgres", options).start()
    yield running
    running.stop()


def connect(cluster: RunningCluster) -> psycopg.Connection[Any]:
    return psycopg.connect(**cluster.dsn(), autocommit=True)


@contextmanager
def killed(cluster: RunningCluster, az: str) -> Iterator[None]:
    """Kill a zone; go on when all are whole again, lest two of three are lost at once."""
    before = cluster.role(f"{az}.az")
    os.kill(before, signal.SIGKILL)
    yield
    cluster.wait_for_restart(f"{az}.az", before, HEAR_SECONDS)
    wait_until(
        lambda: (
            subprocess.run(
                [DSQL, "status", "--data", cluster.directory / "data"],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )
    )


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HEAR_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def hear(listener: psycopg.Connection[Any], count: int) -> list[str]:
    found = listener.notifies(timeout=HEAR_SECONDS, stop_after=count)
    return [notification.payload for notification in found]


def tell(speaker: psycopg.Connection[Any], numbers: range) -> list[str]:
    """Notify these; return them as they will be heard."""
    for number in numbers:
        speaker.execute("SELECT pg_notify('news', %s)", (str(number),))
    return [str(number) for number in numbers]


def test_what_is_told_while_zones_die_is_heard_once_and_in_order(cluster: RunningCluster) -> None:
    with connect(cluster) as listener, connect(cluster) as speaker:
        listener.execute("LISTEN news")
        told = tell(speaker, range(10))
        for round_, az in enumerate(ZONES, 1):
            with killed(cluster, az):
                told += tell(speaker, range(round_ * 10, round_ * 10 + 10))
        assert hear(listener, len(told)) == told
        listener.execute("UNLISTEN *")
        speaker.execute("NOTIFY news")
        assert not list(listener.notifies(timeout=0))


def test_who_is_parked_is_woken_by_what_it_listens_to_and_nothing_else(
    cluster: RunningCluster,
) -> None:
    with connect(cluster) as listener, connect(cluster) as speaker:
        listener.execute("LISTEN news")
        wait_until(lambda: cluster.host()["parked"] == 2)
        wakes = cluster.host()["wakes"]
        speaker.execute("NOTIFY weather")
        wait_until(lambda: cluster.host()["parked"] == 2)
        assert cluster.host()["wakes"] == wakes + 1  # that of the speaker
        assert hear(listener, len(tell(speaker, range(3)))) == ["0", "1", "2"]
        wait_until(lambda: cluster.host()["parked"] == 2)
        assert hear(listener, len(tell(speaker, range(3)))) == ["0", "1", "2"]


def test_who_goes_to_another_process_hears_on(cluster: RunningCluster) -> None:
    """A new seed takes over: all processes of before end, when their sessions have left."""
    with connect(cluster) as listener, connect(cluster) as speaker:
        listener.execute("LISTEN news")
        told = tell(speaker, range(5))
        seed = cluster.role("seed")
        before = children_of(seed)
        assert before
        subprocess.run([DSQL, "agent", "reseed", "--data", cluster.directory / "data"], check=True)
        deadline = time.monotonic() + HEAR_SECONDS
        while cluster.role("seed") == seed or any(map(lives, before)):
            assert time.monotonic() < deadline
            told += tell(speaker, range(len(told), len(told) + 5))
        told += tell(speaker, range(len(told), len(told) + 5))
        assert hear(listener, len(told)) == told
        assert listener.execute("SELECT * FROM pg_listening_channels()").fetchall() == [("news",)]


def test_a_listener_whose_process_is_killed_ends(cluster: RunningCluster) -> None:
    with connect(cluster) as listener:
        listener.execute("LISTEN news")
        for process_id in children_of(cluster.role("seed")):
            os.kill(process_id, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            list(listener.notifies(timeout=HEAR_SECONDS))


def test_an_advisory_lock_is_free_again_when_its_process_was_killed(
    cluster: RunningCluster,
) -> None:
    with connect(cluster) as watcher, connect(cluster) as holder:
        holder.execute("SELECT pg_advisory_lock(5)")
        assert watcher.execute("SELECT pg_try_advisory_lock(5)").fetchone() == (False,)
        for process_id in children_of(cluster.role("seed")):
            os.kill(process_id, signal.SIGKILL)
        with connect(cluster) as next_one:
            next_one.execute("SET lock_timeout = '60s'")
            next_one.execute("SELECT pg_advisory_lock(5)")
            assert next_one.execute("SELECT count(*) FROM pg_locks").fetchone() == (1,)


def test_an_advisory_lock_outlives_the_zones(cluster: RunningCluster) -> None:
    with connect(cluster) as holder, connect(cluster) as other:
        holder.execute("SELECT pg_advisory_lock(6)")
        for az in ZONES:
            with killed(cluster, az):
                pass
            assert other.execute("SELECT pg_try_advisory_lock(6)").fetchone() == (False,)
        assert holder.execute("SELECT pg_advisory_unlock(6)").fetchone() == (True,)
        assert other.execute("SELECT pg_try_advisory_lock(6)").fetchone() == (True,)
