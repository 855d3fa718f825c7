"""What is known of an expression before it runs: what goes away, what fails, what that means for rights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from memory_database import Database, tables
from memory_server import ARN, Peer, Server

from dsql.planner.needs import remaining_needs
from dsql.planner.planner import plan
from dsql.sql.binder import bind
from dsql.sql.gate import parse_statement
from dsql.types.type import FormatSettings


@pytest.fixture
def database() -> Database:
    return Database(tables())


def fault(database: Database, text: str) -> str:
    found = plan(bind(parse_statement(text), database.catalog, ("public",), FormatSettings()))
    return found.fault.sqlstate if found.fault is not None else ""


def needs(database: Database, text: str) -> list[str]:
    """Return the tables that a statement needs rights on as it is planned."""
    statement = bind(parse_statement(text), database.catalog, ("public",), FormatSettings())
    return [use.relation.name for use in remaining_needs(statement)[0]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "expression",
    [
        "1/0", "case when a > 0 then 1/0 end", "coalesce(a, 1/0)", "a = 1 or 1/0 = 1", "count(1/0)",
        "1/0 = 1 or true", "null::int + 1/0", "case a when 1/0 then 1 end", "(select 1/0)",
        "a in (select 1/0 from t)", "array[1, 1/0]", "'x'::text::int", "null and 1/0 = 1",
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_found_before_there_is_a_row(
    database: Database, expression: str
) -> None:
    grouped = " group by ()" if "count" in expression else ""
    assert fault(database, f"select {expression} from t{grouped}") in ("22012", "22P02")


@pytest.mark.parametrize(
    "expression",
    [
        "case when false then 1/0 end", "case when true then 1 else 1/0 end", "coalesce(1, 1/0)",
        "true or 1/0 = 1", "false and 1/0 = 1", "case 1 when 1 then 2 else 1/0 end",
        "exists (select 1/0 from u)", "a / 0", "coalesce(null, 1, 1/0)", "not (true or 1/0 = 1)",
        "random() > 2 and false and 1/0 = 1",
    ],
)  # fmt: skip
def test_what_is_never_computed_does_not_fail(database: Database, expression: str) -> None:
    assert not fault(database, f"select {expression} from t")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1 from (select a, 1/0 as x from t) q", ""),
        ("select x from (select a, 1/0 as x from t) q", "22012"),
        ("select 1 from (select a, 1/0 as x from t offset 0) q", ""),
        ("select x from (select a, 1/0 as x from t offset 0) q", "22012"),
        ("select 1 from (select distinct a, 1/0 as x from t) q", "22012"),
        ("insert into t (id) values (1/0)", "22012"),
        ("update t set a = 1/0 where false", "22012"),
    ],
)
def test_a_column_that_nobody_reads_does_not_fail(
    database: Database, text: str, expected: str
) -> None:
    assert fault(database, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select case when false then (select id from u) end from t", ["t"]),
        ("select case when false then 1 else (select id from u) end from t", ["t", "u"]),
        ("select coalesce(1, (select id from u)) from t", ["t"]),
        ("select id from t where false and 1 in (select id from u)", ["t"]),
        ("select id from t where id in (select id from u) and false", ["t", "u"]),
        ("select id from t where exists (select 1 from u) and false", ["t"]),
        ("select id from t where exists (select 1 from u where u.id = t.id) and false", ["t", "u"]),
        ("select id from t where null and 1 in (select id from u)", ["t"]),
        ("select null::int8 + (select id from u) from t", ["t"]),
        ("select case (select id from u) when null::int then 1 when 2 then 3 end from t", ["t", "u"]),
        ("select id from t where 1 = 2 and exists (select 1 from u)", ["t"]),
    ],
)  # fmt: skip
def test_what_goes_away_needs_nothing_and_what_stays_somewhere_does(
    database: Database, text: str, expected: list[str]
) -> None:
    assert needs(database, text) == expected


@pytest.fixture
def peer() -> Iterator[Peer]:
    server = Server("postgres")
    yield server.connect()
    server.stop()


def test_literals_that_fail_do_so_without_a_row_though_plans_are_shared(peer: Peer) -> None:
    peer.query("create table e (a int)")
    assert peer.rows("select 6 / 3 from e") == []
    assert peer.fails("select 6 / 0 from e") == ("22012", "division by zero")
    assert peer.rows("select 6 / 2 from e") == []
    assert peer.fails("select 'x'::text::int from e")[0] == "22P02"


def test_exists_asks_whether_a_set_has_a_member(peer: Peer) -> None:
    peer.query("create table e (a int)")
    peer.query("insert into e values (1)")
    assert peer.rows("select a from e where exists (select generate_series(1, 0) from e)") == []
    assert peer.rows("select exists (select generate_series(1, 0))") == [[b"f"]]


def test_what_a_role_may_not_call_it_cannot_pass_to_execute() -> None:
    server = Server("postgres")
    admin = server.connect()
    admin.query("create role other login")
    admin.query(f"aws iam grant other to '{ARN}'")
    admin.query("create function f() returns int language sql security definer as 'select 1'")
    admin.query("revoke execute on function f() from public")
    other = server.connect(user="other")
    other.query("prepare p(int) as select $1")
    assert other.fails("execute p(f())") == ("42501", "permission denied for function f")
    server.stop()
