from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from memory_server import ARN, Peer, errors

from dsql.control.layout import Layout
from dsql.errors import SqlError
from dsql.hub.hub import Hub
from dsql.hub.task import Task
from dsql.rpc import packets
from dsql.rpc.boot import current_boot
from dsql.rpc.clock import ClockPublisher
from dsql.session import handed, tenant
from dsql.session.agent_line import AgentLine
from dsql.session.block import TransactionBlock
from dsql.session.control import Assign
from dsql.session.handed import HandedSession
from dsql.session.roster import Roster
from dsql.session.session import Session
from dsql.session.settings import Settings
from dsql.session.state import SessionState
from dsql.session.tenant import ClusterTenant
from dsql.tls.connection import PlainConnection
from dsql.wire.client import query as encode_query
from storage.client import open_slot
from storage.environment import ENVIRONMENT, WritableEnvironment

CLUSTER, AZ = "a" * 26, "az1"
ASSIGNMENT = Assign(CLUSTER, "dsql", [AZ], None)


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


@contextmanager
def opened() -> Iterator[tuple[ClusterTenant, Hub, Roster]]:
    ours, agent = packets.pair()
    hub = Hub()
    roster = Roster(hub)
    slots = list(open_slot(Layout(Path()).storage(AZ, CLUSTER)))
    with ours, agent:
        line = AgentLine(ours)
        with closing(ClusterTenant(ASSIGNMENT, slots, line, hub, roster)) as found:
            yield found, hub, roster


def run(
    opened: tuple[ClusterTenant, Hub, Roster], talks: Callable[[Peer], None], early=b""
) -> None:
    """Serve a client that has been greeted and talks, in a thread of its own; the hub runs in this one."""
    tenant, hub, _ = opened
    ours, theirs = socket.socketpair()
    parameters = {"user": "admin", "database": "postgres"}
    session = HandedSession(CLUSTER, "admin", "postgres", ARN, parameters, 1, 1, "", None, early)
    hub.spawn(lambda: tenant.serve(1, handed.encode(session), theirs))
    with ThreadPoolExecutor(1) as client, ours:
        peer = Peer(ours)

        def talk() -> None:
            with ours:
                talks(peer)

        talking = client.submit(talk)
        hub.run(lambda: hub.tasks == 0)
        talking.result(10)


def after_greeting(act: Callable[[Peer], None]) -> Callable[[Peer], None]:
    def talk(peer: Peer) -> None:
        peer.until_ready()
        act(peer)

    return talk


def test_replicas_are_opened_when_a_client_has_been_greeted(layout: Layout) -> None:
    def ask(peer: Peer) -> None:
        assert peer.rows("SELECT 1") == [[b"1"]]

    with led(layout), opened() as found, stored(layout):
        run(found, after_greeting(ask))


def test_a_session_leaves_nothing_that_only_the_collector_would_find(layout: Layout) -> None:
    parts = (Session, SessionState, Settings, TransactionBlock, PlainConnection, Task)

    def ask(peer: Peer) -> None:
        assert peer.rows("SELECT 1") == [[b"1"]]
        assert peer.fails("SELECT nothing")[0] == "42703"
        assert peer.rows("SET application_name = 'one'; SELECT 2") == [[b"2"]]

    with led(layout), opened() as found, stored(layout):
        run(found, after_greeting(ask))
        gc.collect()
        gc.disable()
        try:
            before = list(map(type, gc.get_objects()))
            run(found, after_greeting(ask))
            after = list(map(type, gc.get_objects()))
        finally:
            gc.enable()
    assert {part: after.count(part) - before.count(part) for part in parts} == dict.fromkeys(
        parts, 0
    )


def test_the_end_that_was_asked_for_before_a_session_ends_it(layout: Layout) -> None:
    def read(peer: Peer) -> None:
        (fields,) = errors(peer.until("E"))
        assert (fields["S"], fields["C"]) == ("FATAL", "57P01")

    with opened() as found:
        found[2].end()
        run(found, read, encode_query("SELECT 1"))


def test_who_comes_while_there_is_no_replica_is_told_so(layout: Layout) -> None:
    def read(peer: Peer) -> None:
        (fields,) = errors(peer.until("E"))
        assert (fields["S"], fields["C"]) == ("FATAL", "58000")

    with led(layout), opened() as found:
        run(found, read)


def test_opening_at_once_tells_that_there_is_no_replica(layout: Layout) -> None:
    with led(layout), opened() as (found, _, _), pytest.raises(SqlError) as caught:
        found.open()
    assert caught.value.sqlstate == "58000"


def test_cluster_that_nobody_leads_cannot_be_opened(layout: Layout) -> None:
    assert not layout.clock(CLUSTER).exists()
    with opened() as (found, _, _), pytest.raises(SqlError) as caught:
        found.open()
    assert caught.value.sqlstate == "57P03"
