"""Servers die, freeze and part, disks fill and lie, under load: nothing is lost, no client is deceived.

DSQL_CHAOS_SECONDS sets how long that goes on (25 by default).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
from load.load import Load
from running_cluster import DSQL, RunningCluster

CONNECTIONS = 16
CHAOS_SECONDS = os.environ.get("DSQL_CHAOS_SECONDS", "25")
FAULTS = "*"
RECOVERY_SECONDS = 30.0  # generous: what is measured is reported, not asserted


@pytest.fixture
def battered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    running = RunningCluster(tmp_path_factory.mktemp("battered"), options=("--chaos",)).start()
    yield running
    running.stop()


@pytest.fixture
def load(battered: RunningCluster) -> Load:
    connect = partial(psycopg.connect, **battered.dsn(), connect_timeout=20)  # type: ignore[arg-type]
    load = Load(connect)
    load.errors.full_expected = True  # in some zones there is no room for a while
    load.create()
    return load


def test_no_history_under_chaos_has_an_anomaly(battered: RunningCluster, load: Load) -> None:
    command = [DSQL, "chaos", "--data", battered.directory / "data", "--json", "--faults", FAULTS]
    options = ["--seconds", CHAOS_SECONDS, "--seed", "1", "--hold", "1.5", "--rest", "0.2"]
    with load.running(CONNECTIONS):
        chaos = subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=600, check=False
        )
    assert chaos.returncode == 0, chaos.stderr + chaos.stdout
    longest = json.loads(chaos.stdout)["longest"]
    sys.stdout.write(f"{load.committed} transactions, {load.errors}, longest waits {longest}\n")
    assert load.check() == []


def test_sessions_that_lost_their_agent_and_then_the_leader_end(
    battered: RunningCluster, load: Load
) -> None:
    """Their query processors can never reach an adjudicator again; new ones can."""
    with load.running(CONNECTIONS):
        for role in ("host", "us-east-1a.az"):
            before = battered.role(role)
            os.kill(before, signal.SIGKILL)
            battered.wait_for_restart(role, before, RECOVERY_SECONDS)
        wait_until_let_in(battered)
        load.wait_for_more(100, RECOVERY_SECONDS)
    assert load.check() == []


def wait_until_let_in(cluster: RunningCluster) -> None:
    """Return once a newcomer can connect."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not is_let_in(cluster):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_let_in(cluster: RunningCluster) -> bool:
    try:
        psycopg.connect(**cluster.dsn()).close()
    except psycopg.OperationalError:
        return False
    return True
