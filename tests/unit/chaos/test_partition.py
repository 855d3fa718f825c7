"""A loop that does not read from those that it is cut off from, and reads everything afterwards."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dsql.chaos.cuts import allow_cuts, cuts_allowed, forbid_cuts, write_cuts
from dsql.chaos.partition import LOOK_SECONDS, PartitionableLoop
from dsql.control.layout import Layout
from dsql.control.running import RoleProcess, write_processes

OWN, OTHER = "east-a.az", "east-b.az"


class Inbox(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    allow_cuts(layout)
    # Both ends are this process: it is the peer that a connection is judged by.
    write_processes(layout, {OTHER: RoleProcess(os.getpid(), 0, 0)})
    return layout


@asynccontextmanager
async def pair(path: Path) -> AsyncIterator[tuple[asyncio.Transport, Inbox]]:
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[Inbox] = loop.create_future()

    def accept() -> Inbox:
        inbox = Inbox()
        accepted.set_result(inbox)
        return inbox

    server = await loop.create_unix_server(accept, str(path))
    transport, _ = await loop.create_unix_connection(Inbox, str(path))
    try:
        yield transport, await accepted
    finally:
        transport.close()
        server.close()


def run(layout: Layout, work: Callable[[asyncio.Transport, Inbox], object]) -> None:
    async def main() -> None:
        async with pair(layout.root / "x.sock") as (transport, inbox):
            await work(transport, inbox)  # type: ignore[misc]

    with asyncio.Runner(loop_factory=lambda: PartitionableLoop(layout, OWN)) as runner:
        runner.run(main())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(LOOK_SECONDS / 4)


async def looked(layout: Layout) -> None:
    """Return once the loop has seen the cuts that were written."""
    loop = asyncio.get_running_loop()
    version = (layout.root / "run" / "cuts").stat().st_mtime_ns
    await until(lambda: loop._version == version)  # type: ignore[attr-defined]


def test_nothing_is_heard_while_cut_and_everything_afterwards(layout: Layout) -> None:
    async def work(transport: asyncio.Transport, inbox: Inbox) -> None:
        transport.write(b"before")
        await until(lambda: inbox.received == b"before")
        write_cuts(layout, [(OWN, OTHER)])
        await looked(layout)
        transport.write(b" during")
        await asyncio.sleep(3 * LOOK_SECONDS)
        assert inbox.received == b"before"
        write_cuts(layout, [])
        await until(lambda: inbox.received == b"before during")

    run(layout, work)


def test_a_connection_made_while_cut_stands_and_is_silent(layout: Layout) -> None:
    write_cuts(layout, [(OWN, OTHER)])

    async def work(transport: asyncio.Transport, inbox: Inbox) -> None:
        await looked(layout)
        async with pair(layout.root / "y.sock") as (later, silent):
            await asyncio.sleep(0)  # a turn of the loop later it is cut
            later.write(b"hello")
            await asyncio.sleep(3 * LOOK_SECONDS)
            assert silent.received == b""
            write_cuts(layout, [])
            await until(lambda: silent.received == b"hello")

    run(layout, work)


def test_others_cuts_change_nothing(layout: Layout) -> None:
    write_cuts(layout, [(OTHER, OWN), (OWN, "east-c.az")])

    async def work(transport: asyncio.Transport, inbox: Inbox) -> None:
        await looked(layout)
        transport.write(b"hello")
        await until(lambda: inbox.received == b"hello")

    run(layout, work)


def test_a_cluster_started_without_chaos_has_no_such_door(layout: Layout) -> None:
    assert cuts_allowed(layout)
    forbid_cuts(layout)
    assert not cuts_allowed(layout)
    forbid_cuts(layout)
