"""Functions in LANGUAGE SQL in a session: whose rights count, what a new body changes, what bounds them."""

from __future__ import annotations

import pytest
from memory_server import Peer, Server, errors, rows

from dsql.wire import client


def run(peer: Peer, *statements: str) -> None:
    for statement in statements:
        answers = peer.query(statement)
        assert not errors(answers), (statement, errors(answers))


@pytest.fixture
def admin(postgres: Server) -> Peer:
    """An admin who may become alice, who owns a table and functions, and bob."""
    peer = postgres.connect()
    run(
        peer,
        "create role alice; create role bob",
        "grant alice, bob to admin; grant create on schema public to alice, bob",
        "set role alice",
        "create table secret (id int primary key)",
        "insert into secret values (7)",
        "create function definer() returns int language sql security definer"
        " as 'select id from secret'",
        "create function invoker() returns int language sql as 'select id from secret'",
        "create function closed() returns int language sql as 'select 1'",
        "revoke execute on function closed() from public",
        "set role bob",
    )
    return peer


def test_a_security_definer_function_has_its_owners_rights_while_it_runs(admin: Peer) -> None:
    assert admin.rows("select definer(), current_user") == [[b"7", b"bob"]]
    assert admin.fails("select invoker()") == ("42501", "permission denied for table secret")
    assert admin.rows("select current_user") == [[b"bob"]]


def test_a_definers_error_gives_the_role_back(admin: Peer) -> None:
    run(admin, "set role alice")
    run(
        admin,
        "create function broken() returns int language sql security definer"
        " as 'select 1 / (id - 7) from secret'",
        "set role bob",
    )
    assert admin.fails("select broken()") == ("22012", "division by zero")
    assert admin.rows("select current_user") == [[b"bob"]]


def test_a_function_is_called_with_execute_only_whatever_the_road(admin: Peer) -> None:
    denied = ("42501", "permission denied for function closed")
    for statement in (
        "select closed()",
        "select * from closed()",
        "select 1 where closed() = 1",
        "explain select closed()",
        "copy (select closed()) to stdout",
    ):
        assert admin.fails(statement) == denied, statement
    run(admin, "set role alice", "grant execute on function closed() to bob", "set role bob")
    assert admin.rows("select closed()") == [[b"1"]]


def test_nobody_changes_another_ones_function(admin: Peer) -> None:
    must_own = ("42501", "must be owner of function closed")
    for statement in (
        "create or replace function closed() returns int language sql as 'select 2'",
        "alter function closed() stable",
        "alter function closed() rename to open",
        "alter function closed() set schema public",
        "drop function closed()",
    ):
        assert admin.fails(statement) == must_own, statement


def test_a_prepared_statement_calls_the_function_as_it_is_now(peer: Peer) -> None:
    run(peer, "create function f(a int) returns int language sql as 'select a + 1'")
    prepared = (client.bind([b"1"], statement="s"), client.execute(), client.sync())
    assert rows(peer.ask(client.parse("select f($1)", "s"), *prepared)) == [[b"2"]]
    run(peer, "create or replace function f(a int) returns int language sql as 'select a + 10'")
    assert rows(peer.ask(*prepared)) == [[b"11"]]
    run(peer, "drop function f")
    assert errors(peer.ask(*prepared))[0]["C"] == "42883"


def test_recursion_without_end_is_stopped_and_the_session_goes_on(postgres: Server) -> None:
    peer = postgres.connect()
    run(
        peer,
        "set check_function_bodies = off",
        "create function f(n int) returns int language sql as 'select f(n + 1) + 1'",
    )
    assert peer.fails("select f(1)") == ("54001", "stack depth limit exceeded")
    assert peer.rows("select 1") == [[b"1"]]


def test_a_simple_function_is_written_into_the_plan(postgres: Server) -> None:
    peer = postgres.connect()
    run(
        peer,
        "create table t (id int primary key)",
        "create function one() returns int immutable language sql as 'select 1'",
        "create function from_id(n int) returns setof t stable language sql"
        " as 'select * from t where id >= n'",
    )

    def plan(text: str) -> str:
        return "\n".join((line or b"").decode() for (line,) in peer.rows(f"explain {text}"))

    assert plan("select * from t where id = one()") == plan("select * from t where id = 1")
    assert plan("select * from from_id(5)") == plan("select * from t where id >= 5")


def test_a_function_that_writes_is_part_of_its_statements_transaction(postgres: Server) -> None:
    peer = postgres.connect()
    run(
        peer,
        "create table t (id int primary key)",
        "create function put(n int) returns int language sql as"
        " 'insert into t values (n) returning id'",
        "begin",
        "select put(1)",
        "savepoint a",
        "select put(2)",
        "rollback to a",
        "commit",
    )
    assert peer.rows("select id from t") == [[b"1"]]
    assert peer.fails("select put(3), 1 / (select 0)") == ("22012", "division by zero")
    assert peer.rows("select id from t") == [[b"1"]]


def test_an_index_is_built_with_the_rights_of_its_tables_owner(admin: Peer) -> None:
    run(
        admin,
        "create function leak(n int) returns int immutable language sql as"
        " 'select id from secret where id > n limit 1'",
        "create table own (a int primary key)",
        "insert into own values (1)",
    )
    denied = ("42501", "permission denied for table secret")
    assert admin.fails("create index on own (leak(a))") == denied


def test_domains_are_checked_on_every_road_to_a_row(postgres: Server) -> None:
    peer = postgres.connect()
    run(
        peer,
        "create domain positive as int check (value > 0)",
        "create table t (id int primary key, n positive default 0)",
    )
    violated = ("23514", 'value for domain positive violates check constraint "positive_check"')
    for statement in (
        "insert into t values (1, -1)",
        "insert into t (id) values (1)",
        "insert into t select 1, -1",
        "insert into t values (1, (select -1))",
        "select (-1)::positive",
        "select cast('-1' as positive)",
        "select '{1,-1}'::positive[]",
    ):
        assert peer.fails(statement) == violated, statement
    answers = peer.ask(
        client.parse("insert into t values (1, $1)"),
        client.bind([b"-1"]),
        client.execute(),
        client.sync(),
    )
    assert (errors(answers)[0]["C"], errors(answers)[0]["M"]) == violated
    run(peer, "insert into t values (1, 1)")
    assert peer.fails("update t set n = -n") == violated
    assert peer.rows("select n from t") == [[b"1"]]
