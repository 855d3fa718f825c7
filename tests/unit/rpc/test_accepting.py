"""A listener without descriptors to spare does not keep its loop busy, and goes on afterwards."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from dsql.rpc import accepting
from dsql.rpc.accepting import Acceptor


class ScarceListener(socket.socket):
    """A listener of a system that has no descriptors for a while."""

    scarce = True
    attempts = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.attempts += 1
        if self.scarce:
            raise OSError(errno.EMFILE, "too many open files")
        return super().accept()


def scarce_listener() -> ScarceListener:
    listener = ScarceListener()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


async def until_attempted(listener: ScarceListener) -> None:
    while not listener.attempts:
        await asyncio.sleep(0)


async def test_who_waits_at_the_door_does_not_keep_the_loop_busy() -> None:
    listener = scarce_listener()
    acceptor = Acceptor(listener, lambda _: None)
    with socket.create_connection(listener.getsockname()):
        await until_attempted(listener)
        for _ in range(50):
            await asyncio.sleep(0)
    assert listener.attempts == 1
    acceptor.close()


async def test_who_waits_is_taken_when_there_are_descriptors_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accepting, "AGAIN_SECONDS", 0.0)
    listener = scarce_listener()
    taken: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
    acceptor = Acceptor(listener, taken.set_result)
    with socket.create_connection(listener.getsockname()):
        await until_attempted(listener)
        listener.scarce = False
        (await asyncio.wait_for(taken, 10)).close()
    acceptor.close()


async def test_who_closes_accepts_nobody_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "AGAIN_SECONDS", 0.0)
    listener = scarce_listener()
    acceptor = Acceptor(listener, lambda _: None)
    with socket.create_connection(listener.getsockname()):
        await until_attempted(listener)
        acceptor.close()
        attempts = listener.attempts
        for _ in range(20):
            await asyncio.sleep(0)
    assert listener.attempts == attempts
