"""The measurements: pgbench's own transactions, connection churn, memory of open connections."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TRIES_MAX = 20
# What pgbench is told: prepared statements, but where the name says otherwise. `churn` connects for each.
WORKLOADS = {
    "select-only": ("-b", "select-only", "-M", "prepared"),
    "select-extended": ("-b", "select-only", "-M", "extended"),
    "select-simple": ("-b", "select-only", "-M", "simple"),
    "simple-update": ("-b", "simple-update", "-M", "prepared"),
    "tpcb-like": ("-b", "tpcb-like", "-M", "prepared"),
    "churn": ("-b", "select-only", "-C"),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """One pgbench run: transactions per second, mean latency in ms, share that needed another try."""

    tps: float
    latency_ms: float
    retried_percent: float
    failed: int


def initialise(variables: Mapping[str, str], scale: int) -> None:
    """Create and fill pgbench's tables with pgbench -i, unmodified."""
    pgbench(variables, ["-i", "-q", "-s", str(scale)])


def rate(
    variables: Mapping[str, str],
    workload: str,
    clients: int,
    seconds: int,
    *,
    scale: int,
) -> Rate:
    """Run one of `WORKLOADS`. Raises RuntimeError if no transaction came to its end."""
    options = [*WORKLOADS[workload], "-n", "-s", str(scale), "-T", str(seconds)]
    options += ["-c", str(clients), "-j", str(min(clients, 2))]
    options += [f"--max-tries={TRIES_MAX}"]
    run = parse(pgbench(variables, options))
    if not run.tps:
        raise RuntimeError(f"{workload}: {seconds} s are too few for {clients} clients")
    return run


def pgbench(variables: Mapping[str, str], options: Sequence[str]) -> str:
    """Run pgbench and return its report. Raises RuntimeError with what it says when it fails."""
    done = subprocess.run(
        ["pgbench", *options],
        env=os.environ | dict(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"pgbench {' '.join(options)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def parse(report: str) -> Rate:
    """Read pgbench's report."""

    def number(pattern: str) -> float:
        found = re.search(pattern, report)
        return float(found.group(1)) if found else 0.0

    return Rate(
        tps=number(r"tps = ([\d.]+)"),
        latency_ms=number(r"latency average = ([\d.]+)"),
        retried_percent=number(r"transactions retried: \d+ \(([\d.]+)%\)"),
        failed=int(number(r"number of failed transactions: (\d+)")),
    )


class OpenConnections:
    """Idle psql sessions that stay open until the block ends."""

    def __init__(self, variables: Mapping[str, str], count: int) -> None:
        self._variables = variables
        self._count = count
        self._clients: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> OpenConnections:
        for _ in range(self._count):
            client = subprocess.Popen(
                ["psql", "-qAtX"],
                env=os.environ | dict(self._variables),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._clients.append(client)
        for client in self._clients:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(b"select 1;\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"1\n"
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            assert client.stdin is not None
            client.stdin.close()
            client.wait(10)


def server_memory_kib(port: int) -> int:
    """Return the proportional memory of the process tree that listens on a port, in KiB.

    Pages of files and what is shared by design do not count: who reads data maps more of it by and by.
    """
    return sum(_pss_kib(pid) for pid in tree(listener(port)))


def listener(port: int) -> int:
    """Return the root of the tree: the topmost ancestor of the listening process but init and us."""
    found = subprocess.run(
        ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True
    )
    pid = int(re.findall(r"pid=(\d+)", found.stdout)[0])
    while (parent := _parent(pid)) not in (0, 1, os.getpid()):
        pid = parent
    return pid


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def tree(root: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def _pss_kib(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^Pss_Anon:\s+(\d+)", rollup, re.MULTILINE)
    return int(found.group(1)) if found else 0


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
