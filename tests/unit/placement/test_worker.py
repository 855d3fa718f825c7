"""What a query processor says to its agent is not trusted."""

from __future__ import annotations

import array
import asyncio
import os
import random
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable

import pytest

from dsql.rpc import packets
from dsql.session.control import Idle, NeedAdjudicator, Ready, WantJobs, encode
from placement.worker import MESSAGES_PER_SECOND_MAX, Worker


class Events:
    def __init__(self) -> None:
        self.idle = 0
        self.jobs_wanted = 0
        self.lost = asyncio.Event()

    def on_ready(self, worker: Worker, seconds: float) -> None:
        del worker, seconds

    def on_idle(self, worker: Worker) -> None:
        del worker
        self.idle += 1

    def on_jobs_wanted(self, worker: Worker) -> None:
        del worker
        self.jobs_wanted += 1

    def on_lost(self, worker: Worker) -> None:
        del worker
        self.lost.set()


class Hostile:
    """A worker whose process only sleeps, and the process's end of its control socket."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "60"])
        self.events = Events()
        self.control, ours = packets.pair()
        self.worker = Worker(1, ours, os.pidfd_open(self.process.pid), self.events)

    async def is_killed(self) -> bool:
        await asyncio.wait_for(self.events.lost.wait(), 5)
        return self.process.wait(5) == -signal.SIGKILL


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    hostile = Hostile()
    yield hostile
    hostile.process.kill()
    hostile.process.wait()
    hostile.control.close()
    hostile.worker.close()


@pytest.mark.parametrize("seed", range(5))
async def test_nonsense_is_the_end(hostile: Hostile, seed: int) -> None:
    hostile.control.send(b"\xc1" + random.Random(seed).randbytes(1_000))
    assert await hostile.is_killed()


async def test_nesting_is_the_end(hostile: Hostile) -> None:
    hostile.control.send(b"\x92\xa5ready" + b"\x91" * 100_000)
    assert await hostile.is_killed()


async def test_closing_the_control_socket_is_the_end(hostile: Hostile) -> None:
    hostile.control.close()
    assert await hostile.is_killed()


async def test_being_ready_twice_is_the_end(hostile: Hostile) -> None:
    for _ in range(2):
        hostile.control.send(encode(Ready([])))
    assert await hostile.is_killed()


async def test_falling_idle_without_having_had_work_is_the_end(hostile: Hostile) -> None:
    hostile.control.send(encode(Idle()))
    assert await hostile.is_killed()
    assert not hostile.events.idle


@pytest.mark.parametrize("work", [Worker.run_jobs, lambda worker: worker.serve(b"", 0, 1, 1)])
async def test_falling_idle_twice_is_the_end(
    hostile: Hostile, work: Callable[[Worker], None]
) -> None:
    work(hostile.worker)
    for _ in range(2):
        hostile.control.send(encode(Idle()))
    assert await hostile.is_killed()
    assert hostile.events.idle == 1


async def test_too_many_messages_are_the_end(hostile: Hostile) -> None:
    hostile.control.setblocking(False)
    sent = 0
    async with asyncio.timeout(10):
        while not hostile.events.lost.is_set():
            try:
                hostile.control.send(encode(WantJobs()))
                sent += 1
            except OSError:
                await asyncio.sleep(0)
    assert hostile.events.jobs_wanted <= MESSAGES_PER_SECOND_MAX * 10
    assert await hostile.is_killed()


async def test_descriptors_that_come_along_are_closed(hostile: Hostile) -> None:
    before = len(os.listdir("/proc/self/fd"))
    rights = array.array("i", [2] * packets.DESCRIPTORS_MAX)
    for _ in range(20):
        hostile.control.sendmsg(
            [encode(WantJobs())], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        )
    while hostile.events.jobs_wanted < 20:
        await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_process_has_one_connection_to_each_adjudicator(hostile: Hostile) -> None:
    ends: list[socket.socket] = []

    def connect(az: str) -> tuple[str, socket.socket]:
        ours, theirs = socket.socketpair()
        ends.append(theirs)
        return az or "az1", ours

    hostile.worker._connect = connect
    for az in ("", "az2", "az1"):
        hostile.control.send(encode(NeedAdjudicator(az)))
    while len(ends) < 3:
        await asyncio.sleep(0)
    assert ends[0].recv(1) == b""
    for still_open in ends[1:]:
        still_open.setblocking(False)
        with pytest.raises(BlockingIOError):
            still_open.recv(1)
    for end in ends:
        end.close()
