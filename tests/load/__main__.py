"""A cluster under load and under chaos: `python -m load` in tests/, see --help.

Starts a cluster of its own, runs the clients and `dsql chaos` beside them, and holds what the clients saw
against what strict snapshot isolation allows. Exit status 1 if anything was lost, wrong or unexpected.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import psycopg
from load.load import Load
from running_cluster import DSQL, RunningCluster

TOKEN_SECONDS = 7 * 24 * 3600
ANOMALIES_SHOWN = 20


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m load")
    parser.add_argument("--seconds", type=float, default=60.0, help="default: %(default)g")
    parser.add_argument("--connections", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--profile", default="dsql", choices=("dsql", "postgres"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default="*", help="as dsql chaos has it")
    parser.add_argument(
        "--moves", action="store_true", help="have every session move wherever it may"
    )
    parser.add_argument("--directory", help="of the cluster: one on a small disk, to fill that")
    parser.add_argument("words", nargs="*", help="more words for dsql chaos, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsql-load-", dir=arguments.directory) as directory:
        options = ("--chaos", *(("--park-seconds", "0") if arguments.moves else ()))
        cluster = RunningCluster(Path(directory), arguments.profile, options).start()
        try:
            return run(cluster, arguments)
        finally:
            cluster.stop()


def run(cluster: RunningCluster, arguments: argparse.Namespace) -> int:
    """Load and harm the cluster, then judge."""
    password = cluster.token(seconds=TOKEN_SECONDS)
    dsn = cluster.dsn(password=password) | {"connect_timeout": "20"}
    if arguments.profile == "postgres":  # the level that the histories are checked against
        dsn["options"] = r"-c default_transaction_isolation=repeatable\ read"
    load = Load(partial(psycopg.connect, **dsn), arguments.seed)  # type: ignore[arg-type]
    load.errors.full_expected = "--filler" in arguments.words
    load.create()
    began = time.monotonic()
    with load.running(arguments.connections):
        chaos = subprocess.run(
            [
                *(
                    DSQL,
                    "chaos",
                    "--data",
                    cluster.directory / "data",
                    "--faults",
                    arguments.faults,
                ),
                *("--seconds", str(arguments.seconds), "--seed", str(arguments.seed)),
                *arguments.words,
            ],
            check=False,
        )
    seconds = time.monotonic() - began
    kinds = ", ".join(f"{name} {w.committed}" for name, w in load.workloads.items())
    say(
        f"{load.committed} transactions in {seconds:.0f} s ({kinds}), errors {dict(load.errors.counts)}"
    )
    anomalies = load.check()
    for anomaly in anomalies[:ANOMALIES_SHOWN]:
        say(f"ANOMALY {anomaly.name}: {anomaly.evidence}")
    say(f"{len(anomalies)} anomalies")
    return int(bool(anomalies) or chaos.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
