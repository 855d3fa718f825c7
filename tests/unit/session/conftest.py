from __future__ import annotations

from collections.abc import Iterator

import pytest
from memory_server import MOVES, Peer, Server


def running(profile: str, request: pytest.FixtureRequest) -> Iterator[Server]:
    """Run a server whose sessions move, if that is asked for, unless the test looks into one process."""
    stays = request.node.get_closest_marker("one_process") is not None
    server = Server(profile, moves=MOVES and not stays)
    yield server
    server.stop()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from running("dsql", request)


@pytest.fixture
def postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from running("postgres", request)


@pytest.fixture
def peer(server: Server) -> Peer:
    return server.connect()
