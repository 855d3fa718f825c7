from __future__ import annotations

from collections.abc import Iterator

import pytest
from memory_server import Peer, Server


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server("dsql")
    yield server
    server.stop()


@pytest.fixture
def postgres() -> Iterator[Server]:
    server = Server("postgres")
    yield server
    server.stop()


@pytest.fixture
def peer(server: Server) -> Peer:
    return server.connect()
