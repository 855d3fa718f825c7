"""A zone's journal is deleted: no acknowledged row is lost, and it counts once it has everything again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from running_cluster import DSQL, RunningCluster

from dsql.control.layout import Layout
from dsql.rpc.client import ask_status

LEADER, *FOLLOWERS = ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
SECONDS_MAX = 30.0


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    """A cluster whose supervisor leaves alone what a test has stopped."""
    running = RunningCluster(tmp_path, options=("--hang-seconds", "0")).start()
    yield running
    running.stop()


@pytest.mark.parametrize("zone", [LEADER, FOLLOWERS[0]])
def test_zone_that_lost_its_journal_gets_it_back_and_then_others_may_die(
    own_cluster: RunningCluster, zone: str
) -> None:
    cluster = own_cluster
    execute(cluster, "create table kept (id int primary key)")
    stored = insert_until(cluster, 0, 50)
    os.kill(cluster.role(f"{zone}.az"), signal.SIGSTOP)  # it says nothing more
    shutil.rmtree(journal(cluster, zone))
    kill(cluster, zone)
    stored = insert_until(cluster, stored, 100)
    eventually(lambda: journal_status(cluster, zone)["lost"] == 0)
    eventually(lambda: "the log is complete again" in log_of(cluster, zone))
    for other in (o for o in ZONES if o != zone):
        (third,) = (o for o in ZONES if o not in (zone, other))
        with frozen(cluster, third if third != LEADER else None):
            kill(cluster, other)
            stored = insert_until(cluster, stored, stored + 10)
            assert execute(cluster, "select count(*), max(id) from kept") == [(stored, stored - 1)]


def test_leaders_zone_whose_journal_is_damaged_is_restored_while_commits_go_on(
    own_cluster: RunningCluster,
) -> None:
    cluster = own_cluster
    execute(cluster, "create table kept (id int primary key)")
    stored = insert_until(cluster, 0, 50)
    cluster.stop()
    newest = max(journal(cluster, LEADER).glob("*.segment"))
    content = bytearray(newest.read_bytes())
    for position in (3, len(content.rstrip(b"\0")) - 5):  # the header, and the last record
        content[position] ^= 1
    newest.write_bytes(content)
    cluster.start()
    stored = insert_until(cluster, stored, 100)
    eventually(lambda: journal_status(cluster, LEADER)["lost"] == 0)
    assert journal(cluster, LEADER).with_name("journal.damaged-1").is_dir()
    kill(cluster, FOLLOWERS[0])
    stored = insert_until(cluster, stored, 110)
    assert execute(cluster, "select count(*) from kept") == [(stored,)]


def test_two_lost_journals_stop_everything_until_one_is_put_back(
    own_cluster: RunningCluster, tmp_path: Path
) -> None:
    cluster, lost = own_cluster, FOLLOWERS
    execute(cluster, "create table kept (id int primary key)")
    stored = insert_until(cluster, 0, 20)
    for zone in lost:
        os.kill(cluster.role(f"{zone}.az"), signal.SIGSTOP)  # so that none is restored in between
        journal(cluster, zone).rename(tmp_path / zone)
    for zone in lost:
        kill(cluster, zone)
    eventually(lambda: "most journal replicas have lost their logs" in log_of(cluster, LEADER))
    assert [journal_status(cluster, zone)["lost"] for zone in lost] == [1, 1]
    cluster.stop()
    shutil.rmtree(journal(cluster, lost[0]))
    (tmp_path / lost[0]).rename(journal(cluster, lost[0]))
    cluster.start()
    assert insert_until(cluster, stored, stored + 1) == stored + 1
    assert execute(cluster, "select count(*) from kept") == [(stored + 1,)]
    eventually(lambda: journal_status(cluster, lost[1])["lost"] == 0)


def test_who_accepts_the_loss_goes_on_with_the_log_that_is_left(
    own_cluster: RunningCluster,
) -> None:
    cluster, lost = own_cluster, FOLLOWERS
    execute(cluster, "create table kept (id int primary key)")
    stored = insert_until(cluster, 0, 20)
    assert recover(cluster).returncode == 0
    for zone in lost:
        os.kill(cluster.role(f"{zone}.az"), signal.SIGSTOP)
        shutil.rmtree(journal(cluster, zone))
    for zone in lost:
        kill(cluster, zone)
    eventually(lambda: "stranded" in status(cluster).stdout)
    assert status(cluster).returncode == 2
    choice = ("--use", LEADER, "--accept-loss")
    assert "the cluster runs" in recover(cluster, *choice).stderr
    cluster.stop()
    assert "nobody can lead" in recover(cluster).stdout
    assert "--accept-loss" in recover(cluster, "--use", LEADER).stderr
    answer = recover(cluster, *choice)
    assert answer.returncode == 0, answer.stderr
    assert "may be lost" in answer.stdout
    assert "most logs are whole" in recover(cluster, *choice).stderr
    cluster.start()
    assert insert_until(cluster, stored, stored + 1) == stored + 1
    assert execute(cluster, "select count(*) from kept") == [(stored + 1,)]
    eventually(lambda: status(cluster).returncode == 0)


def recover(cluster: RunningCluster, *words: str) -> subprocess.CompletedProcess[str]:
    return command(cluster, "recover", *words)


def status(cluster: RunningCluster) -> subprocess.CompletedProcess[str]:
    return command(cluster, "status")


def command(cluster: RunningCluster, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    data = ("--data", str(cluster.directory / "data"))
    return subprocess.run(
        [DSQL, name, *data, *words], capture_output=True, text=True, timeout=60, check=False
    )


def kill(cluster: RunningCluster, zone: str) -> None:
    before = cluster.role(f"{zone}.az")
    os.kill(before, signal.SIGKILL)
    cluster.wait_for_restart(f"{zone}.az", before, SECONDS_MAX)


@contextmanager
def frozen(cluster: RunningCluster, zone: str | None) -> Iterator[None]:
    if zone is None:
        yield
        return
    process = cluster.role(f"{zone}.az")
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def journal(cluster: RunningCluster, zone: str) -> Path:
    layout = Layout(cluster.directory / "data")
    return layout.journal(zone, cluster.variables["DSQL_CLUSTER"])


def journal_status(cluster: RunningCluster, zone: str) -> dict[str, object]:
    """What the zone's journal says of the cluster; `lost` is -1 as long as it says nothing."""
    socket = Layout(cluster.directory / "data").socket(f"{zone}.journal")
    prefix = cluster.variables["DSQL_CLUSTER"] + "."
    try:
        values = ask_status(Path(os.path.relpath(socket))).values
    except OSError:
        values = {}
    own = {key.removeprefix(prefix): v for key, v in values.items() if key.startswith(prefix)}
    return {"lost": -1} | own


def log_of(cluster: RunningCluster, zone: str) -> str:
    return (cluster.directory / "data" / "logs" / f"{zone}.az.log").read_text()


def insert_until(cluster: RunningCluster, first: int, end: int) -> int:
    """Insert the numbers from `first` to `end`; a lost answer is asked for again. Returns `end`."""
    deadline = time.monotonic() + SECONDS_MAX
    number = first
    while number < end:
        try:
            with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
                while number < end:
                    connection.execute("insert into kept values (%s)", [number])
                    number += 1
        except psycopg.errors.UniqueViolation:
            number += 1  # its commit's answer was lost
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, cluster.log()
            time.sleep(0.05)
    return end


def execute(cluster: RunningCluster, statement: str) -> list[tuple[object, ...]]:
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
                cursor = connection.execute(statement)
                return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, cluster.log()
            time.sleep(0.05)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
