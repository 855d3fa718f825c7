"""An agent's dealings with its keeper: what it has parked is the next one's, and never both's."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from placement.keeping import Keeping
from placement.parking import ParkedSession
from placement.sessions import Keys, ParkedRecord

PROGRAM = """
import sys
from pathlib import Path
from placement import keeper
keeper.run(Path("keeper"), on_ready=lambda: print("ready", flush=True), turned=lambda: None)
"""
PATH = Path("keeper")
ROOT = Path(__file__).parents[3]


class KeeperProcess:
    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, env=environment
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def end(self) -> int:
        self.process.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait()


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeeperProcess]:
    monkeypatch.chdir(tmp_path)
    process = KeeperProcess()
    yield process
    process.end()


class Agent:
    """An agent's parked sessions, and those that it has found."""

    def __init__(self) -> None:
        self.parked: list[ParkedSession] = []
        self.found: list[ParkedSession] = []
        self.keeping = Keeping(PATH, "agent", self.found.append)
        self.keeping.connect(self.parked)

    def park(self, number: int, client: socket.socket, record: bytes = b"record") -> ParkedSession:
        parked = ParkedRecord(number, Keys(number, -number), os.dup(client.fileno()), record, 5.0)
        session = ParkedSession("c", parked)
        self.parked.append(session)
        self.keeping.keep(session)
        return session

    async def until_found(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.found) < count:
                await asyncio.sleep(0.001)

    def die(self) -> None:
        self.keeping.close()
        for session in self.parked + self.found:
            os.close(session.client)


@pytest.fixture
async def client() -> AsyncIterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield theirs


async def test_the_next_agent_finds_who_is_parked_and_not_who_was_woken(
    keeper: KeeperProcess, client: socket.socket
) -> None:
    del keeper
    first = Agent()
    for number in (1, 2, 3):
        first.park(number, client)
    woken = first.parked[1]
    assert woken.kept
    first.keeping.forget(woken)
    assert not woken.kept
    first.die()
    second = Agent()
    await second.until_found(2)
    assert [session.number for session in second.found] == [1, 3]
    found = second.found[0]
    assert (found.cluster, found.keys, found.record) == ("c", Keys(1, -1), b"record")
    assert (found.deadline, found.kept) == (5.0, True)
    assert os.fstat(found.client).st_ino == os.fstat(client.fileno()).st_ino
    second.die()


async def test_the_next_keeper_is_given_all_that_is_parked(
    keeper: KeeperProcess, client: socket.socket
) -> None:
    agent = Agent()
    agent.park(1, client)
    assert keeper.end() == -signal.SIGKILL
    async with asyncio.timeout(10):
        while agent.keeping.connected:
            await asyncio.sleep(0.001)
    agent.park(2, client)
    assert not agent.parked[1].kept
    following = KeeperProcess()
    agent.keeping.connect(agent.parked)
    assert all(session.kept for session in agent.parked)
    agent.die()
    second = Agent()
    await second.until_found(2)
    second.die()
    following.end()


async def test_a_keeper_that_hears_nothing_is_ended_before_anybody_is_woken(
    keeper: KeeperProcess, client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("placement.keeping.TAKE_SECONDS", 0.01)
    agent = Agent()
    agent.park(0, client)
    keeper.process.send_signal(signal.SIGSTOP)
    while agent.keeping.connected:
        agent.park(len(agent.parked), client, bytes(30_000))
    assert keeper.process.wait(5) == -signal.SIGKILL
    agent.keeping.forget(agent.parked[0])
    assert not agent.parked[0].kept
    agent.die()


async def test_without_a_keeper_sessions_are_parked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: socket.socket
) -> None:
    monkeypatch.chdir(tmp_path)
    agent = Agent()
    assert not agent.keeping.connected
    assert not agent.park(1, client).kept
    agent.keeping.forget(agent.parked[0])
    agent.die()
