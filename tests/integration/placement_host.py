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
import ctypes, os, socket, subprocess, sys, time
from pathlib import Path
from dsql.control.layout import Layout
from dsql.sql import gate
from placement import seed
from storage.client import LocalReplica, ReaderSlot

class EchoTenant:
    def __init__(self, assignment, slots, line):
        self.assignment, self.line, self.cancelled = assignment, line, False
        self.slots = [ReaderSlot(pair) for pair in zip(slots[::2], slots[1::2])]
    def open(self):
        pass
    def close(self):
        pass
    @property
    def interrupts(self):
        return self
    def cancel(self, frame):
        self.cancelled = True
    def tick(self, frame):
        pass
    def terminate(self, frame):
        pass
    def run_jobs(self):
        self.job_runs = getattr(self, "job_runs", 0) + 1
    def serve(self, session, client):
        stream = client.makefile("rw")
        for line in stream:
            try:
                answer = str(eval(line, globals(), {"tenant": self, "session": session}))
            except BaseException as error:
                answer = f"{type(error).__name__}: {error}"
            stream.write(answer.replace(chr(10), " ") + chr(10))
            stream.flush()

seed.run(Layout(Path(".")), EchoTenant, on_ready=lambda: print("ready", flush=True))
"""


def start_seed(root: Path) -> subprocess.Popen[str]:
    """Start a seed with the data directory as its working directory; return it once it is ready."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    seed = subprocess.Popen(
        [sys.executable, "-c", SEED_PROGRAM],
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


async def open_session(placement: PlacementClient, cluster: str) -> Client:
    """Do what a relay does: acquire, hand over."""
    place = await placement.acquire(cluster, "az1")
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
