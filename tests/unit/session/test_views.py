"""Views: what they show, to whom, and what becomes of them when something else changes."""

from __future__ import annotations

import pytest
from memory_server import Peer, Server, errors, rows, tags

from dsql.wire import client


@pytest.fixture
def admin(postgres: Server) -> Peer:
    peer = postgres.connect()
    for statement in (
        "create role owner login; grant owner to admin",
        "create role reader login; grant reader to admin",
        "create schema s authorization owner; grant usage on schema s to reader",
        "set role owner",
        "create table s.t (a int primary key, b text)",
        "insert into s.t values (1, 'one'), (2, 'two')",
        "create view s.v as select a, b from s.t",
        "create view s.asking with (security_invoker) as select a, b from s.t",
        "grant select on s.v, s.asking to reader",
        "reset role",
    ):
        for part in statement.split("; "):
            answers = peer.query(part)
            assert not errors(answers), (part, errors(answers))
    return peer


def test_a_view_reads_with_the_rights_of_its_owner(admin: Peer):
    admin.query("set role reader")
    assert admin.rows("select b from s.v order by a") == [[b"one"], [b"two"]]
    assert admin.fails("select b from s.t") == ("42501", "permission denied for table t")


def test_a_view_with_security_invoker_reads_with_those_of_the_user(admin: Peer):
    admin.query("set role reader")
    assert admin.fails("select b from s.asking") == ("42501", "permission denied for table t")
    admin.query("reset role")
    admin.query("set role owner")
    assert len(admin.rows("select b from s.asking")) == 2


def test_a_view_over_a_view_asks_the_owner_of_each(admin: Peer):
    admin.query("set role reader")
    assert admin.fails("create view s.over as select * from s.v")[0] == "42501"
    admin.query("reset role")
    admin.query("grant create on schema s to reader")
    admin.query("set role reader")
    assert tags(admin.query("create view s.over as select * from s.v")) == ["CREATE VIEW"]
    assert len(admin.rows("select * from s.over")) == 2
    admin.query("reset role")
    admin.query("set role owner")
    admin.query("revoke select on s.v from reader")
    admin.query("grant select on s.over to owner")
    assert admin.fails("select * from s.over")[0] == "42501"


def test_a_prepared_statement_over_a_replaced_view_is_compiled_again(admin: Peer):
    ask = (client.bind(statement="q"), client.execute(), client.sync())
    assert not errors(admin.ask(client.parse("select b from s.v where a = 1", "q"), client.sync()))
    assert rows(admin.ask(*ask)) == [[b"one"]]
    admin.query("set role owner")
    admin.query("create or replace view s.v as select a, upper(b) as b from s.t")
    admin.query("reset role")
    assert rows(admin.ask(*ask)) == [[b"ONE"]]


@pytest.mark.parametrize(
    "change",
    [
        "alter table s.t rename to other",
        'alter table s.t rename column b to "B b"',
        "alter schema s rename to s2",
        "alter view s.v rename column b to c",
        "alter view s.v rename to w",
    ],
)
def test_views_follow_what_is_renamed(admin: Peer, change: str):
    admin.query("set role owner")
    admin.query("create view s.over as select b || '!' as x from s.v where b <> 'two'")
    admin.query("create view s.direct as select t.*, (select max(b) from s.t) as m from s.t")
    admin.query("reset role")
    admin.query("grant create on database postgres to owner")
    admin.query("set role owner")
    assert not errors(admin.query(change))
    schema = "s2" if "s2" in change else "s"
    assert admin.rows(f"select x from {schema}.over") == [[b"one!"]]
    assert admin.rows(f"select m from {schema}.direct where a = 1") == [[b"two"]]


def test_expressions_of_a_table_follow_its_renamed_columns(postgres: Server):
    peer = postgres.connect()
    for statement in (
        "create table t (a int check (a > 0), b int generated always as (a * 2) stored)",
        "create index i on t ((a + 1)) where a < 100",
        'alter table t rename a to "A a"',
        'insert into t ("A a") values (3)',
    ):
        assert not errors(peer.query(statement)), statement
    assert peer.rows("select * from t") == [[b"3", b"6"]]
    assert peer.fails('insert into t ("A a") values (0)')[0] == "23514"
    definition = peer.rows("select pg_get_indexdef('i'::regclass, 1, true)")
    assert definition == [[b'("A a" + 1)']]


def test_the_dsql_profile_has_views_but_none_that_are_temporary_or_materialized(peer: Peer):
    temporary = "TEMPORARY or TEMP view not supported for CREATE VIEW"
    assert peer.fails("create temp view v as select 1") == ("0A000", temporary)
    assert peer.fails("create materialized view v as select 1")[0] == "0A000"
    for statement in (
        "create view v with (security_barrier) as select 1 as a",
        "alter view v set (security_invoker = true)",
        "alter view v rename a to b",
        "create or replace view v as select 2 as b",
    ):
        assert not errors(peer.query(statement)), statement
    assert peer.rows("select b from v") == [[b"2"]]
    assert tags(peer.query("drop view v")) == ["DROP VIEW"]


def test_a_view_over_itself_is_refused_when_it_is_read(admin: Peer):
    admin.query("set role owner")
    assert tags(admin.query("create or replace view s.v as select a, b from s.v")) == [
        "CREATE VIEW"
    ]
    message = 'infinite recursion detected in rules for relation "v"'
    assert admin.fails("select * from s.v") == ("42P17", message)
    assert tags(admin.query("drop view s.v")) == ["DROP VIEW"]


@pytest.fixture
def writer(admin: Peer) -> Peer:
    """A session of reader, who may write through views of owner's table."""
    for statement in (
        "set role owner",
        "create view s.w as select a as key, b from s.t where a < 100",
        "create view s.unreadable as select a, b from s.t",
        "grant insert (key, b), update (b), delete on s.w to reader",
        "grant insert, update, delete on s.unreadable to reader",
        "reset role",
        "set role reader",
    ):
        assert not errors(admin.query(statement)), statement
    return admin


def test_writing_through_a_view_takes_rights_on_the_view_only(writer: Peer):
    assert tags(writer.query("insert into s.w values (3, 'three')")) == ["INSERT 0 1"]
    assert tags(writer.query("update s.w set b = 'x'")) == ["UPDATE 3"]
    assert tags(writer.query("delete from s.unreadable")) == ["DELETE 3"]
    assert writer.fails("insert into s.t values (4, 'four')")[0] == "42501"


@pytest.mark.parametrize(
    "statement",
    [
        "update s.w set key = 4",
        "update s.w set b = b",
        "delete from s.w where key = 1",
        "insert into s.w values (5, 'x') returning key",
        "insert into s.w values (1, 'x') on conflict (key) do nothing",
    ],
)
def test_a_column_of_a_view_is_written_and_read_by_its_own_rights(writer: Peer, statement: str):
    assert writer.fails(statement) == ("42501", "permission denied for view w")


def test_the_owner_of_a_view_needs_the_rights_too(writer: Peer):
    writer.query("reset role")
    for statement in (
        "set role owner",
        "revoke insert on s.t from owner",
        "reset role",
        "set role reader",
    ):
        assert not errors(writer.query(statement)), statement
    refusal = ("42501", "permission denied for table t")
    assert writer.fails("insert into s.w values (3, 'three')") == refusal
    assert tags(writer.query("delete from s.w")) == ["DELETE 2"]


def test_a_check_option_tells_of_the_row_only_what_may_be_read(writer: Peer):
    for statement in (
        "reset role",
        "set role owner",
        "alter view s.w set (check_option = local)",
        "reset role",
        "set role reader",
    ):
        assert not errors(writer.query(statement)), statement
    (error,) = errors(writer.query("insert into s.w values (300, 'far')"))
    assert (error["C"], error["M"]) == ("44000", 'new row violates check option for view "w"')
    assert error["D"] == "Failing row contains (a, b) = (300, far)."


@pytest.fixture
def locked(server: Server) -> tuple[Peer, Peer]:
    """Two sessions, and views over one table."""
    one, two = server.connect(), server.connect()
    for statement in (
        "create table t (id int primary key, a int)",
        "insert into t values (1, 1), (2, 2), (3, 3)",
        "create view v as select id, a from t where a > 0",
        "create view top as select id, a from t order by id limit 2",
        "create view barrier with (security_barrier) as select id, a from t where a < 3",
    ):
        assert not errors(one.query(statement)), statement
    return one, two


@pytest.mark.parametrize(
    ("query", "free"),
    [
        ("select * from t where id = 1 for update", 2),
        ("select * from v where id = 1 for update", 2),
        ("select * from (select * from v) s where id = 1 for update", 2),
        ("select * from top for update", 3),
        ("select * from barrier for update", 3),
    ],
)
def test_rows_that_are_locked_through_a_view_are_those_of_its_table(
    locked: tuple[Peer, Peer], query: str, free: int
):
    one, two = locked
    for id_, outcome in ((1, "40001"), (free, "")):
        two.query("begin")
        assert not errors(two.query(query))
        assert not errors(one.query(f"update t set a = a where id = {id_}"))
        found = errors(two.query("commit"))
        assert (found[0]["C"] if found else "") == outcome, id_


def test_nothing_that_can_fail_is_asked_of_rows_that_a_barrier_hides(postgres: Server):
    peer = postgres.connect()
    for statement in (
        "create table t (id int primary key, a int)",
        "insert into t values (1, 0), (2, 2)",
        "create view barrier with (security_barrier) as select id, a from t where a <> 0",
        "create view over as select * from barrier",
        "create view asking with (security_barrier) as select id, a from t"
        " where exists (select 1 from t u where u.id = t.id and u.a <> 0)",
    ):
        assert not errors(peer.query(statement)), statement
    assert peer.rows("select id from barrier where 4 / a = 2") == [[b"2"]]
    assert peer.rows("select id from over where 4 / a = 2 and id > 0") == [[b"2"]]
    peer.query("update barrier set a = 4 where 4 / a = 2")
    assert peer.rows("select a from t order by id") == [[b"0"], [b"4"]]
    assert tags(peer.query("update asking set a = 5 where 4 / a = 1 and id = 2")) == ["UPDATE 1"]
    assert tags(peer.query("delete from asking where 5 / a = 1 and id > 0")) == ["DELETE 1"]
    plan = peer.rows("explain select a from barrier where id = 2")
    assert any(b"Index" in (line[0] or b"") for line in plan)
