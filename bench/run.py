"""Measure this server beside PostgreSQL, in one run, and write what was seen to bench/results/.

    python bench/run.py                    everything, about 20 minutes
    python bench/run.py --seconds 3 --clients 1 8 --only select-only churn

Both serve TLS. The write workloads are compared with a PostgreSQL that has two synchronous standbys
(`ANY 1`), the others with a single one; with `--pgbouncer`, reads and connections also with a PgBouncer in
transaction mode before it, where clients cannot prepare statements. The two sides take turns in short
runs, because a machine's speed changes from minute to minute: each pair of runs gives a ratio, and the
median of these counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import bouncer
import chart
import postgres
import server
import workloads

RESULTS = Path(__file__).parent / "results"
READS = ("select-only", "select-simple", "churn", "memory")
WRITES = ("simple-update", "tpcb-like")
THROUGH_PGBOUNCER = {"select-only": "select-extended", "churn": "churn"}
IDLE_CONNECTIONS = 50


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=5, help="length of one run")
    parser.add_argument("--repeat", type=int, default=7, help="pairs of runs per figure")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--scale", type=int, default=10, help="pgbench's scale factor")
    parser.add_argument("--only", nargs="+", choices=READS + WRITES)
    parser.add_argument("--pgbouncer", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsql-bench-") as temporary:
        os.chmod(temporary, 0o711)
        rows = _measure_all(arguments, Path(temporary))
    _write(rows, arguments)


def _measure_all(arguments: argparse.Namespace, directory: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with server.running(directory / "dsql", workloads.free_port()) as ours:
        print("filling this server's tables with pgbench -i", flush=True)
        started = time.monotonic()
        workloads.initialise(ours, arguments.scale)
        print(f"  {time.monotonic() - started:.1f} s", flush=True)
        for standbys, names in ((0, READS), (2, WRITES)):
            chosen = [name for name in names if not arguments.only or name in arguments.only]
            if chosen:
                rows += _beside(arguments, directory, ours, standbys, chosen)
    return rows


def _beside(
    arguments: argparse.Namespace,
    directory: Path,
    ours: Mapping[str, str],
    standbys: int,
    names: list[str],
) -> list[dict[str, Any]]:
    if postgres.binaries() is None:
        print("PostgreSQL is not installed: this server is measured alone", flush=True)
        return [row for name in names for row in _rows(arguments, name, {"dsql": ours})]
    port = workloads.free_port()
    home = directory / f"postgres{standbys}"
    with postgres.running(home, port, standbys=standbys) as theirs:
        workloads.initialise(theirs, arguments.scale)
        sides = {"dsql": ours, "postgres": theirs}
        rows = [row for name in names for row in _rows(arguments, name, sides)]
        if not arguments.pgbouncer or bouncer.binary() is None:
            return rows
        port = workloads.free_port()
        with bouncer.running(directory / f"bouncer{standbys}", port, theirs, home) as before:
            sides = {"dsql": ours, "pgbouncer": before}
            through = [name for name in names if name in THROUGH_PGBOUNCER]
            return rows + [row for name in through for row in _rows(arguments, name, sides)]


def _rows(
    arguments: argparse.Namespace, name: str, sides: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    if name == "memory":
        return [_report({"figure": "memory per idle connection, KiB", **_memory(sides)})]
    rows = []
    for clients in arguments.clients:
        row = {"figure": name, "clients": clients, **_rates(arguments, name, clients, sides)}
        rows.append(_report(row))
    return rows


def _rates(
    arguments: argparse.Namespace, name: str, clients: int, sides: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    def rate(side: str) -> workloads.Rate:
        workload = THROUGH_PGBOUNCER[name] if side == "pgbouncer" else name
        return workloads.rate(
            sides[side], workload, clients, arguments.seconds, scale=arguments.scale
        )

    runs = _in_turns(rate, list(sides), arguments.repeat)
    row: dict[str, Any] = {side: round(median(run.tps for run in runs[side])) for side in sides}
    for peer in [side for side in sides if side != "dsql"]:
        pairs = zip(runs["dsql"], runs[peer], strict=True)
        row["peer"] = peer
        row["ratios"] = sorted(round(ours.tps / theirs.tps, 3) for ours, theirs in pairs)
        row["ratio"] = round(median(row["ratios"]), 2)
    row["runs"] = {side: [asdict(run) for run in runs[side]] for side in sides}
    return row


def _in_turns(
    rate: Callable[[str], workloads.Rate], order: list[str], repeat: int
) -> dict[str, list[workloads.Rate]]:
    """Return the runs of each side; who begins changes from one pair to the next."""
    for side in order:
        rate(side)  # what has not been used for a while comes back into memory
    runs: dict[str, list[workloads.Rate]] = {side: [] for side in order}
    for _ in range(repeat):
        for side in order:
            runs[side].append(rate(side))
        order.reverse()
    return runs


def _memory(sides: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for side, variables in sides.items():
        port = int(variables["PGPORT"])
        before = workloads.server_memory_kib(port)
        with workloads.OpenConnections(variables, IDLE_CONNECTIONS):
            time.sleep(1.0)
            after = workloads.server_memory_kib(port)
        row[side] = round((after - before) / IDLE_CONNECTIONS)
    if "postgres" in row:
        row["ratio"] = round(row["dsql"] / row["postgres"], 2)
    return row


def _report(row: dict[str, Any]) -> dict[str, Any]:
    clients = f"{row['clients']:3d} clients" if "clients" in row else ""
    ratios, peer = row.get("ratios"), row.get("peer", "postgres")
    spread = f" ({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios else ""
    print(
        f"{row['figure']:32s} {clients:12s} dsql {row['dsql']:8d}   "
        f"{peer} {row.get(peer, 0):8d}   ratio {row.get('ratio', '-')}{spread}",
        flush=True,
    )
    return row


def _write(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    result = {
        "taken": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "commit": commit,
        "machine": {
            "cpus": os.cpu_count(),
            "processor": platform.machine(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "settings": vars(arguments),
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    name = f"{time.strftime('%Y%m%d-%H%M', time.gmtime())}-{commit or 'uncommitted'}"
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    chart.draw(result, RESULTS / f"{name}.svg")
    print(f"written: {RESULTS / name}.json and .svg")


if __name__ == "__main__":
    main()
