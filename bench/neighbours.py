"""What others do while eight clients read points: the 50th and 99th percentile of the reads, in ms.

    python bench/neighbours.py                       this server beside PostgreSQL
    python bench/neighbours.py --seconds 10 --only scan copy

`scan` is one statement that computes all the time, `copy` one that loads rows as fast as it can, `sleep`
fifty that do nothing. Each is compared with the reads alone, measured just before.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import IO, NamedTuple

import postgres
import server
import workloads

CLIENTS = 8
SCALE = 1
SLEEPERS = 50
_SCAN = "SELECT count(*) FROM pgbench_accounts a, generate_series(1, 1000000) g WHERE a.aid <> g"
_COPY = "COPY loaded FROM STDIN"


class Latency(NamedTuple):
    """Of the reads of one run, in ms."""

    p50: float
    p99: float


def reads(variables: Mapping[str, str], seconds: int) -> Latency:
    """Run pgbench's select-only with prepared statements, and return what its log says."""
    with tempfile.TemporaryDirectory(prefix="dsql-reads-") as directory:
        options = ["-b", "select-only", "-n", "-s", str(SCALE), "-M", "prepared", "-l"]
        options += ["-c", str(CLIENTS), "-T", str(seconds), "--log-prefix", f"{directory}/log"]
        workloads.pgbench(variables, options)
        lines = [line for log in Path(directory).iterdir() for line in log.open()]
    milliseconds = [int(line.split()[2]) / 1000 for line in lines]
    return Latency(median(milliseconds), quantiles(milliseconds, n=100)[98])


@contextmanager
def scan(variables: Mapping[str, str]) -> Iterator[None]:
    """One statement that takes longer than anybody waits for it."""
    with _psql(variables, _SCAN):
        yield


@contextmanager
def sleep(variables: Mapping[str, str]) -> Iterator[None]:
    """Fifty sessions whose statements wait."""
    sleepers = [_start(variables, "SELECT pg_sleep(600)") for _ in range(SLEEPERS)]
    try:
        yield
    finally:
        for sleeper in sleepers:
            _end(sleeper)


@contextmanager
def copy(variables: Mapping[str, str]) -> Iterator[None]:
    """One session that loads rows without end."""
    _run(variables, "CREATE TABLE loaded (id bigint PRIMARY KEY, filler text)")
    rows = subprocess.Popen(
        ["awk", 'BEGIN { while (1) printf "%d\\t%0100d\\n", ++n, n }'],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        with _psql(variables, _COPY, rows.stdout):
            yield
    finally:
        _end(rows)
        _run(variables, "DROP TABLE loaded")


Neighbour = Callable[[Mapping[str, str]], AbstractContextManager[None]]
NEIGHBOURS: dict[str, Neighbour] = {"scan": scan, "copy": copy, "sleep": sleep}


@contextmanager
def _psql(
    variables: Mapping[str, str], statement: str, rows: IO[bytes] | None = None
) -> Iterator[None]:
    process = _start(variables, statement, rows)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"{statement}: it ended before the reads did")
    finally:
        _end(process)


def _start(
    variables: Mapping[str, str], statement: str, rows: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["psql", "-qAtX", "-c", statement],
        env=os.environ | dict(variables),
        stdin=rows or subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _run(variables: Mapping[str, str], statement: str) -> None:
    if _start(variables, statement).wait():
        raise RuntimeError(statement)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(10)


def compare(side: str, variables: Mapping[str, str], names: list[str], seconds: int) -> None:
    """Print the reads beside each neighbour, and how many times those alone that is."""
    for name in names:
        alone = reads(variables, seconds)
        with NEIGHBOURS[name](variables):
            beside = reads(variables, seconds)
        print(
            f"{side:10s} {name:6s} alone {alone.p50:6.2f} {alone.p99:6.2f}   beside {beside.p50:6.2f} "
            f"{beside.p99:6.2f}   p99 {beside.p99 / alone.p99:.2f} times",
            flush=True,
        )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=5, help="length of one run")
    parser.add_argument("--only", nargs="+", choices=NEIGHBOURS, default=list(NEIGHBOURS))
    parser.add_argument("--alone", action="store_true", help="leave PostgreSQL out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsql-neighbours-") as temporary:
        directory = Path(temporary)
        os.chmod(directory, 0o711)
        with server.running(directory / "dsql", workloads.free_port()) as ours:
            workloads.initialise(ours, SCALE)
            compare("dsql", ours, arguments.only, arguments.seconds)
        if not arguments.alone and postgres.binaries() is not None:
            port = workloads.free_port()
            with postgres.running(directory / "postgres", port, standbys=0) as theirs:
                workloads.initialise(theirs, SCALE)
                compare("postgres", theirs, arguments.only, arguments.seconds)


if __name__ == "__main__":
    main()
