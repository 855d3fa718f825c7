from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from memory_server import ARN, Peer, errors

from dsql.control.layout import Layout
from dsql.errors import SqlError
from dsql.rpc import packets
from dsql.rpc.boot import current_boot
from dsql.rpc.clock import ClockPublisher
from dsql.session import tenant
from dsql.session.agent_line import AgentLine
from dsql.session.control import Adjudicator, Assign, encode
from dsql.session.handed import HandedSession
from dsql.session.tenant import ClusterTenant
from dsql.wire.client import query as encode_query
from storage.client import open_slot
from storage.environment import ENVIRONMENT, WritableEnvironment

CLUSTER, AZ = "a" * 26, "az1"
ASSIGNMENT = Assign(CLUSTER, "dsql", [AZ], None, lifetime_seconds=60.0)


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A data directory without a cluster's files, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tenant, "OPEN_SECONDS", 0.05)
    layout = Layout(Path())
    layout.cluster(CLUSTER).mkdir(parents=True)
    return layout


@contextmanager
def led(layout: Layout) -> Iterator[ClockPublisher]:
    """A clock that a leader has published."""
    clock = ClockPublisher(layout.clock(CLUSTER), current_boot(), 0, 1)
    clock.open(0)
    yield clock
    clock.close()


@contextmanager
def stored(layout: Layout) -> Iterator[None]:
    """A replica with its writer."""
    writer = WritableEnvironment(layout.storage(AZ, CLUSTER) / ENVIRONMENT, current_boot())
    yield
    writer.close()


def tenant_of(line: socket.socket) -> ClusterTenant:
    slots = list(open_slot(Layout(Path()).storage(AZ, CLUSTER)))
    return ClusterTenant(ASSIGNMENT, slots, AgentLine(line))


@contextmanager
def opened() -> Iterator[ClusterTenant]:
    ours, agent = packets.pair()
    with ours, agent, closing(tenant_of(ours)) as found:
        yield found


@contextmanager
def connected(to: ClusterTenant) -> Iterator[Peer]:
    """A client that has been greeted."""
    ours, theirs = socket.socketpair()
    parameters = {"user": "admin", "database": "postgres"}
    handed = HandedSession(CLUSTER, "admin", "postgres", ARN, parameters, 1, 1, "", None)
    session = threading.Thread(target=to.serve, args=(handed, theirs))
    session.start()
    with ours:
        peer = Peer(ours)
        peer.until_ready()
        yield peer
    session.join(5)


def test_replicas_are_opened_when_a_client_has_been_greeted(layout: Layout) -> None:
    with led(layout), opened() as found, stored(layout), connected(found) as peer:
        assert peer.rows("SELECT 1") == [[b"1"]]


def test_the_end_that_was_asked_for_before_a_session_ends_it(layout: Layout) -> None:
    ours, agent = packets.pair()
    client, theirs = socket.socketpair()
    with ours, agent, client:
        line = AgentLine(ours)
        slots = list(open_slot(Layout(Path()).storage(AZ, CLUSTER)))
        with closing(ClusterTenant(ASSIGNMENT, slots, line)) as found:
            line.end_input()  # and what ran before is told to end, which is over
            found.interrupts.terminate()
            names = {"user": "admin", "database": "postgres"}
            query = encode_query("SELECT 1")
            handed = HandedSession(CLUSTER, "admin", "postgres", ARN, names, 1, 1, "", None, query)
            found.serve(handed, theirs)
        (fields,) = errors(Peer(client).until("E"))
        assert (fields["S"], fields["C"]) == ("FATAL", "57P01")


def test_statement_without_a_replica_fails_and_the_session_goes_on(layout: Layout) -> None:
    with led(layout), opened() as found, connected(found) as peer:
        (fields,) = errors(peer.query("SELECT 1"))
        assert fields["C"] == "58000"
        with stored(layout):
            assert peer.rows("SELECT 1") == [[b"1"]]


def test_opening_at_once_tells_that_there_is_no_replica(layout: Layout) -> None:
    with led(layout), opened() as found, pytest.raises(SqlError) as caught:
        found.open()
    assert caught.value.sqlstate == "58000"


def test_cluster_that_nobody_leads_cannot_be_opened(layout: Layout) -> None:
    assert not layout.clock(CLUSTER).exists()
    ours, agent = packets.pair()
    with ours, agent:
        for _ in range(100):
            packets.send(agent, encode(Adjudicator()))  # without a connection
        with closing(tenant_of(ours)) as found:
            with pytest.raises(SqlError) as caught:
                found.open()
            assert caught.value.sqlstate == "57P03"
