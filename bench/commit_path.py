"""How many commits a second, at what latency and for how much CPU, without SQL.

    python bench/commit_path.py --clients 8 --seconds 5 --writes 4

Starts three AZ processes (journal replica, adjudicator and storage replica, as embedded) and one process
per client, each of which commits blindly through the blocking client. Prints one line, and what processor
time each stage took while the clients ran, in microseconds per commit: of the leader's zone, of both others
together, and of all clients. A zone's loop is journal, adjudicator and storage; what its disk is too slow
for goes to the threads that are named after the zone, and what storage would keep the loop with (pages
that are not in memory, collecting, scrubbing, checkpoints) to those that are named `storage`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import random
import re
import socket
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import uvloop

from adjudicator import server as adjudicator_server
from adjudicator.client import AdjudicatorClient, hello
from dsql.control.layout import ClusterRecord, Layout
from dsql.rpc.client import ask_status, connect_blocking
from dsql.transaction.interface import Committed, Mode, WriteSet
from journal import server as journal_server
from journal.server import JournalServer
from storage import server as storage_server

AZS = ["az1", "az2", "az3"]
CLUSTER = "a" * 26
VALUE = b"x" * 90


def az_process(name: str, parent: Connection) -> None:
    """Run one AZ until the parent says stop; say what it has used as often as it asks."""

    async def run() -> None:
        layout = Layout(Path())
        journal = JournalServer(layout, name)
        rows = storage_server.make_server(layout, name, journal)
        ready = asyncio.Semaphore(0)
        tasks = [
            asyncio.create_task(journal_server.serve(layout, name, ready.release, journal)),
            asyncio.create_task(
                adjudicator_server.serve(
                    layout, name, ready.release, journal, journal, storage=rows
                )
            ),
            asyncio.create_task(storage_server.serve(layout, name, ready.release, rows)),
        ]
        for _ in tasks:
            await ready.acquire()
        parent.send("ready")
        stopped = asyncio.Event()

        def heard() -> None:
            if parent.recv() == "stop":
                stopped.set()
            else:
                parent.send(usage())

        asyncio.get_running_loop().add_reader(parent.fileno(), heard)
        await stopped.wait()
        for task in reversed(tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    uvloop.run(run())
    parent.send("stopped")


def usage() -> tuple[dict[str, float], int]:
    """Return this process's microseconds of CPU so far by stage, and its context switches.

    A stage is the loop, or the threads whose names differ in a number only.
    """
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    cpu: dict[str, float] = defaultdict(float)
    switches = 0
    for task in Path("/proc/self/task").iterdir():
        name = re.sub(r"[-_0-9]+$", "", names.get(int(task.name), "other"))
        ran = int((task / "schedstat").read_text().split()[0])
        cpu["loop" if name == "MainThread" else name] += ran / 1000
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches" in line:
                switches += int(line.split()[1])
    return dict(cpu), switches


def client_process(seconds: float, writes: int, parent: Connection) -> None:
    """Commit for a while; send (commits, conflicts, latencies in microseconds)."""

    def connect(az: str) -> tuple[str, socket.socket]:
        az = az or AZS[0]
        connected = connect_blocking(Path(f"run/{az}.adjudicator.sock"))
        connected.sendall(hello(CLUSTER))
        return az, connected

    client = AdjudicatorClient(AZS, connect)
    encode = msgspec.msgpack.Encoder().encode
    start = 0
    while not start:
        with contextlib.suppress(ConnectionError):  # the first leader is being elected
            start = client.heartbeat()
    parent.send("ready")
    parent.recv()
    began_cpu = time.process_time()
    latencies = []
    committed = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        transaction_id = os.urandom(16)
        keys = [b"%4d%8d" % (table, random.randrange(1_000_000)) for table in range(writes)]
        entries = [(key, int(Mode.NON_KEY), VALUE) for key in keys]
        began = time.perf_counter()
        outcome = client.commit(
            encode(WriteSet(transaction_id, start, [], entries)), transaction_id
        )
        latencies.append((time.perf_counter() - began) * 1e6)
        if isinstance(outcome, Committed):
            committed += 1
            start = outcome.timestamp
        else:
            start = client.heartbeat()
    cpu = (time.process_time() - began_cpu) * 1e6
    parent.send((committed, len(latencies) - committed, latencies, cpu))


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--writes", type=int, default=4)
    parser.add_argument("--directory", default=None, help="where the journals lie")
    options = parser.parse_args()
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        os.chdir(directory)
        layout = Layout(Path())
        layout.cluster(CLUSTER).mkdir(parents=True)
        record = ClusterRecord(CLUSTER, "local", "", "", "dsql", AZS, 0.0)
        (layout.cluster(CLUSTER) / "cluster.json").write_bytes(msgspec.json.encode(record))
        azs = [(name, _start(context, az_process, name)) for name in AZS]
        for _, pipe in azs:
            pipe.recv()
        clients = [
            _start(context, client_process, options.seconds, options.writes)
            for _ in range(options.clients)
        ]
        for pipe in clients:
            pipe.recv()  # its first heartbeat is over, hence the leader is open
        status = ask_status(layout.socket(f"{AZS[0]}.adjudicator")).values
        azs.sort(key=lambda az: az[0] != status[f"{CLUSTER}.leader"])
        before = [_ask(pipe) for _, pipe in azs]
        for pipe in clients:
            pipe.send("go")
        results = [pipe.recv() for pipe in clients]
        time.sleep(0.2)  # the last batches are being applied
        after = [_ask(pipe) for _, pipe in azs]
        for _, pipe in azs:
            pipe.send("stop")
            pipe.recv()
        os.chdir("/")
    committed = sum(result[0] for result in results)
    latencies = sorted(latency for result in results for latency in result[2])
    leader, *others = (_spent(*pair) for pair in zip(before, after, strict=True))
    switches = sum(late[1] - early[1] for early, late in zip(before, after, strict=True))
    stages = {
        "leader's zone": leader,
        "other zones": {stage: sum(cpu[stage] for cpu in others) for stage in others[0]},
        "clients": {"": sum(result[3] for result in results)},
    }
    print(
        f"{options.clients} clients, {options.writes} writes:"
        f" {committed / options.seconds:.0f} commits/s, {sum(r[1] for r in results)} conflicts,"
        f" p50 {statistics.median(latencies):.0f} us, p99 {latencies[len(latencies) * 99 // 100]:.0f} us,"
        f" {switches / committed:.2f} switches/commit"
    )
    for where, spent in stages.items():
        for stage, cpu in sorted(spent.items(), key=lambda one: -one[1]):
            print(f"  {where:<14} {stage:<10} {cpu / committed:>7.1f}")


def _ask(zone: Connection) -> tuple[dict[str, float], int]:
    zone.send("usage")
    used: tuple[dict[str, float], int] = zone.recv()
    return used


def _spent(
    before: tuple[dict[str, float], int], after: tuple[dict[str, float], int]
) -> defaultdict[str, float]:
    """Return the CPU of each stage between two answers."""
    spent = {stage: cpu - before[0].get(stage, 0.0) for stage, cpu in after[0].items()}
    return defaultdict(float, spent)


def _start(context, target, *arguments) -> Connection:  # type: ignore[no-untyped-def]
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*arguments, theirs), daemon=True)
    process.start()
    return ours


if __name__ == "__main__":
    main()
