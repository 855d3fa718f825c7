"""pgbench, unmodified, in the postgres profile."""

from __future__ import annotations

import os
import shutil
import subprocess

import psycopg
import pytest
from running_cluster import RunningCluster

pytestmark = pytest.mark.skipif(not shutil.which("pgbench"), reason="pgbench is not installed")

SUMS = (
    "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),"
    " (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history),"
    " (SELECT count(*) FROM pgbench_history)"
)


def pgbench(cluster: RunningCluster, *options: str) -> str:
    done = subprocess.run(
        ["pgbench", *options],
        env=os.environ | cluster.variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_client_writes_the_same_row_and_none_notices(
    postgres_cluster: RunningCluster,
) -> None:
    """At scale 1 all transactions update the one branch, and pgbench does not try again."""
    pgbench(postgres_cluster, "-i", "-q", "-s", "1")
    for mode in ("simple", "extended", "prepared"):
        report = pgbench(postgres_cluster, "-n", "-M", mode, "-c", "6", "-j", "2", "-t", "25")
        assert "number of transactions actually processed: 150/150" in report, report
        assert "number of failed transactions: 0 " in report, report
    with psycopg.connect(**postgres_cluster.dsn(), autocommit=True) as connection:
        accounts, tellers, branches, history, count = connection.execute(SUMS).fetchone()
    assert accounts == tellers == branches == history
    assert count == 450
