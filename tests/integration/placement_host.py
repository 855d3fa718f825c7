"""A seed process and agent with tenants that answer one line instead of speaking SQL."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from dsql.control.layout import ClusterRecord, Layout
from dsql.session import handed
from placement.client import AgentClient, Place, PlacementClient
from storage.environment import ENVIRONMENT

SEED_PROGRAM = """
import ctypes, fcntl, itertools, os, signal, socket, subprocess, sys, time
from pathlib import Path
from dsql.control.layout import Layout
from dsql.hub.waiter import NEVER
from dsql.session import handed
from dsql.session.departure import Departure
from dsql.session.lost_transactions import LostTransactions
from dsql.sql import gate
from dsql.transaction.usage import Usage
from placement import seed
from storage.client import LocalReplica, ReaderSlot

class EchoSession:
    cancelled = False
    statement = connection_id = 0
    def __init__(self, record):
        self.interrupts = self
        self.record = record
    def leave(self):
        return False
    def evacuate(self):
        return Departure(self.record, None, lambda: None)
    def cancel(self):
        self.cancelled = True
    def terminate(self, frame=None):
        os._exit(0)
    def tick(self, frame):
        pass
    def give_way(self, switch, frame):
        pass

class EchoTenant:
    temporary_sizes = []
    usage = Usage()
    lost = LostTransactions()
    def __init__(self, assignment, slots, line, hub, roster):
        self.assignment, self.line, self.hub, self.roster = assignment, line, hub, roster
        self.slots = [ReaderSlot(pair) for pair in zip(slots[::2], slots[1::2])]
        self.job_runs = 0
    def open(self):
        pass
    def close(self):
        pass
    def mourn(self, process_ids):
        pass
    def run_jobs(self, number):
        self.job_runs += 1
        return True
    def resume(self, number, record, client, arrived, *, parks, heard):
        arrived()
        self.serve(number, record, client)
    def serve(self, number, record, client):
        session = handed.decode(record)
        me = EchoSession(record)
        source = self.hub.watch(client.fileno())
        with self.roster.entered(number, me):
            for line in self.lines(client, source):
                try:
                    names = {"tenant": self, "session": session, "me": me}
                    answer = str(eval(line, {**globals(), **names}))
                except BaseException as error:
                    answer = f"{type(error).__name__}: {error}"
                client.sendall(answer.replace(chr(10), " ").encode() + bytes([10]))
        self.hub.forget(source)
    def lines(self, client, source):
        unread = b""
        while True:
            *whole, unread = unread.split(bytes([10]))
            yield from (line.decode() for line in whole)
            try:
                part = client.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                source.readable = False
                self.hub.await_input(source, NEVER)
                continue
            except ConnectionError:
                return
            if not part:
                return
            unread += part

seed.run(
    Layout(Path(".")), EchoTenant, on_ready=lambda: print("ready", flush=True), name=sys.argv[1]
)
"""


def start_seed(root: Path, name: str = "seed") -> subprocess.Popen[str]:
    """Start a seed with the data directory as its working directory; return it once it is ready."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    seed = subprocess.Popen(
        [sys.executable, "-c", SEED_PROGRAM, name],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert seed.stdout is not None
    assert seed.stdout.readline() == "ready\n"
    return seed


def add_cluster(layout: Layout, letter: str) -> str:
    """Write a cluster's record, a clock and one replica directory with files; return its identifier."""
    identifier = letter * 26
    record = ClusterRecord(identifier, "us-east-1", "endpoint", "1", "dsql", ["az1"], time.time())
    layout.cluster(identifier).mkdir(parents=True)
    (layout.cluster(identifier) / "cluster.json").write_bytes(msgspec.json.encode(record))
    layout.clock(identifier).write_bytes(bytes(16))
    environment = layout.storage("az1", identifier) / ENVIRONMENT
    environment.mkdir(parents=True)
    (environment / "data.mdb").write_text("rows")
    for private in ("lock.mdb", "../trial", "state"):
        path = environment / private
        path.write_text("the writer's")
        path.chmod(0o600)
    return identifier


class Client:
    """A client's end of a session."""

    def __init__(self, place: Place, ours: socket.socket) -> None:
        self.place = place
        self._socket = ours
        ours.setblocking(False)

    async def ask(self, expression: str) -> str:
        """Have the query processor evaluate an expression; "" if it is gone."""
        loop = asyncio.get_running_loop()
        answer = b""
        try:
            await loop.sock_sendall(self._socket, expression.encode() + b"\n")
            while not answer.endswith(b"\n"):
                part = await asyncio.wait_for(loop.sock_recv(self._socket, 65536), 5)
                if not part:
                    return ""
                answer += part
        except ConnectionError:
            return ""
        return answer.decode().rstrip("\n")

    def close(self) -> None:
        self._socket.close()


async def open_session(placement: PlacementClient, cluster: str, az: str = "az1") -> Client:
    """Do what a relay in the zone does: acquire, hand over."""
    place = await placement.acquire(cluster, az)
    ours, theirs = socket.socketpair()
    session = handed.HandedSession(
        cluster, "u", "postgres", "arn", {}, place.process_id, place.secret_key, "local", None
    )
    agent = AgentClient(place.agent)
    try:
        await agent.hand_over(handed.encode(session), theirs.fileno())
    finally:
        theirs.close()
        await agent.close()
    return Client(place, ours)
