"""DDL that is all of its transaction is run again if other DDL, or the end of a job, was quicker."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_server import Server, before_next_commit, tags

from dsql.session.attempts import DDL_REPEATS_MAX
from dsql.wire import client

OUTDATED = ("40001", "schema has been updated by another transaction (OC001)")


@pytest.fixture(params=["dsql", "postgres"])
def either(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(
        {"dsql": "server", "postgres": "postgres"}[request.param]
    )
    return server


def overtake(server: Server, *texts: str) -> None:
    """Let another session do this when the next commit reaches the store."""
    other = server.connect()

    def act() -> None:
        for text in texts:
            assert tags(other.query(text)), text

    before_next_commit(server, act)


def in_pieces(text: str) -> bytes:
    """The extended protocol's way to run a statement."""
    return client.parse(text) + client.bind([]) + client.execute() + client.sync()


ROADS: list[Callable[[str], bytes]] = [client.query, in_pieces]


@pytest.mark.parametrize("road", ROADS)
def test_it_makes_what_it_was_told_to(either: Server, road: Callable[[str], bytes]) -> None:
    peer = either.connect()
    overtake(either, "CREATE TABLE other (id int PRIMARY KEY)")
    assert tags(peer.ask(road("CREATE TABLE t (id int PRIMARY KEY)"))) == ["CREATE TABLE"]
    assert peer.rows("SELECT count(*) FROM t, other") == [[b"0"]]


@pytest.mark.parametrize("road", ROADS)
def test_it_says_what_it_found_the_second_time(
    either: Server, road: Callable[[str], bytes]
) -> None:
    peer = either.connect()
    overtake(either, "CREATE TABLE t (id int PRIMARY KEY)")
    answers = peer.ask(road("CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY)"))
    assert tags(answers) == ["CREATE TABLE"]
    assert sum(kind == "N" for kind, _ in answers) == 1


@pytest.mark.parametrize("road", ROADS)
def test_a_job_begins_once(server: Server, road: Callable[[str], bytes]) -> None:
    peer = server.connect()
    peer.query("CREATE TABLE t (id int PRIMARY KEY, n int)")
    overtake(server, "CREATE TABLE other (id int PRIMARY KEY)")
    peer.ask(road("CREATE INDEX ASYNC i ON t (n)"))
    assert peer.rows("SELECT count(*) FROM sys.jobs WHERE object_name = 'public.i'") == [[b"1"]]


def test_what_cannot_be_done_any_more_has_lost(either: Server) -> None:
    peer = either.connect()
    overtake(either, "CREATE TABLE t (id int PRIMARY KEY)")
    assert peer.fails("CREATE TABLE t (id int PRIMARY KEY)") == OUTDATED
    assert peer.rows("SELECT 1") == [[b"1"]]


def test_in_a_block_it_has_lost(either: Server) -> None:
    peer = either.connect()
    peer.query("BEGIN")
    peer.query("CREATE TABLE t (id int PRIMARY KEY)")
    overtake(either, "CREATE TABLE other (id int PRIMARY KEY)")
    assert peer.fails("COMMIT") == OUTDATED


def test_after_a_query_of_the_same_transaction_it_has_lost(postgres: Server) -> None:
    peer = postgres.connect()
    overtake(postgres, "CREATE TABLE other (id int PRIMARY KEY)")
    assert peer.fails("SELECT 1; CREATE TABLE t (id int PRIMARY KEY)") == OUTDATED


def test_it_is_not_tried_for_ever(either: Server) -> None:
    peer, other = either.connect(), either.connect()
    tried: list[int] = []

    def again() -> None:
        tried.append(len(tried))
        other.query(f"CREATE TABLE t{len(tried)} (id int PRIMARY KEY)")
        before_next_commit(either, again)

    before_next_commit(either, again)
    assert peer.fails("CREATE TABLE t (id int PRIMARY KEY)") == OUTDATED
    assert len(tried) == DDL_REPEATS_MAX + 1
