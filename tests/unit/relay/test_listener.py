import select
import socket

import pytest

from relay import listener


def _listen(port: int = 0) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(64)
    listening.setblocking(False)
    return listening


def _connect(port: int) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client


def _connected(clients: list[socket.socket], seconds: float) -> list[socket.socket]:
    """Which of them are connected, after having waited for the others."""
    poll, waiting = select.poll(), {client.fileno(): client for client in clients}
    for descriptor in waiting:
        poll.register(descriptor, select.POLLOUT)
    while waiting and (events := poll.poll(seconds * 1000)):
        for descriptor, _ in events:
            poll.unregister(descriptor)
            assert waiting.pop(descriptor).getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    return [client for client in clients if client.fileno() not in waiting]


@pytest.fixture
def two():
    first = _listen()
    second = _listen(first.getsockname()[1])
    yield first, second
    first.close()
    second.close()


def test_newcomers_pass_by_a_listener_that_ends_and_are_taken_by_the_next_one(two):
    ending, staying = two
    listener.drop_newcomers(ending)
    clients = [_connect(ending.getsockname()[1]) for _ in range(24)]
    assert len(_connected(clients, 0.2)) < len(clients)
    assert listener.accept_waiting(ending) is None
    ending.close()
    assert _connected(clients, 10) == clients
    for client in clients:
        accepted = listener.accept_waiting(staying)
        assert accepted is not None
        accepted.close()
        client.close()


def test_who_has_come_before_is_still_accepted_and_can_speak(two):
    ending, staying = two
    staying.close()
    clients = [_connect(ending.getsockname()[1]) for _ in range(4)]
    assert _connected(clients, 10) == clients
    listener.drop_newcomers(ending)
    for client in clients:
        client.sendall(b"hello")
    for client in clients:
        accepted = listener.accept_waiting(ending)
        assert accepted is not None
        accepted.settimeout(10)
        assert accepted.recv(5) == b"hello"
        accepted.close()
        client.close()
    assert listener.accept_waiting(ending) is None
