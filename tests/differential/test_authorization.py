"""Every statement kind, by every kind of role, on every road: may it, and if not, in PostgreSQL's words?

The objects are made twice, here and on a real PostgreSQL, by the same statements. Each statement is
followed by a division by zero in the same implicit transaction: what was allowed leaves nothing.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from memory_server import ARN, Peer, Server, errors, letters, notices

from dsql.access import authorize
from dsql.errors import SqlError
from dsql.sql.gate import parse_statement
from dsql.sql.libpg_query import grammar
from dsql.wire import client

# Role by what it has on {t}; `public` stands for one who has what everybody has, on a table open to all.
ROLES = ("owner", "member", "granted", "columns", "public", "outsider", "admin")
SETUP = """
create role owner login; create role member login; create role granted login
create role idle; create role columns login; create role public_ login; create role outsider login
grant owner to member; grant owner to admin
create schema s; grant all on schema s to owner
grant usage on schema s to granted, columns, public_, outsider
create schema closed; grant create on schema closed to owner
create table closed.t (a int primary key)
set role owner
create table s.t (a int primary key, b int, c int); create index t_b on s.t (b)
create table s.p (a int primary key, b int, c int); create index p_b on s.p (b)
{objects}
insert into s.t values (1, 2, 3); insert into s.p values (1, 2, 3)
grant select, insert, update, delete, truncate on s.t to granted
grant select (a), insert (a, b), update (b) on s.t to columns
grant select, insert, update, delete, truncate on s.p to public
reset role
"""
QUERIES = """
select * from {t}; select a from {t}; select b from {t}; select count(*) from {t}; select {n} from {t} {n}
select a from {t} where c = 1; select a from {t} order by b; select a as b from {t} order by b
select max(a) from {t} group by b; select tableoid from {t}; select count({n}) from {t} {n}
select a from {t} for update; select b from {t} for update; select 1 from {t} where false and b = 1
select x.a from {t} x join {t} y using (a); select x.a from {t} x join {t} y using (b)
select x.a from {t} x natural join {t} y; select 1 from (select * from {t}) q
with q as (select * from {t}) select 1; with q as (select * from {t}) select 1 from q
select exists (select b from {t}); select 1 where 1 in (select a from {t})
insert into {t} values (5, 6, 7); insert into {t} (a) values (5); insert into {t} values (5, 6)
insert into {t} (a, b) values (5, 6) returning a; insert into {t} (a) values (5) returning b
insert into {t} select a + 9 from {t}; insert into {t} (a) values (1) on conflict do nothing
insert into {t} (a) values (1) on conflict (a) do nothing
insert into {t} (a, b) values (1, 1) on conflict on constraint {n}_pkey do nothing
insert into {t} (a, b) values (1, 1) on conflict (a) do update set b = 1
insert into {t} (a, b) values (1, 1) on conflict (a) do update set b = excluded.a
insert into {t} (a, b) values (1, 1) on conflict (a) do update set b = excluded.b
insert into {t} (a, b) values (1, 1) on conflict (a) do update set c = 1
update {t} set b = 1; update {t} set b = b; update {t} set c = 1; update {t} set b = 1 where a = 1
update {t} set b = 1 where c = 1; update {t} set b = 1 returning c; update {t} set b = x.a from {t} x
merge into {t} using {t} x on false when matched then delete
merge into {t} x using (values (-1)) y(i) on x.a = i when matched then update set b = 1
merge into {t} x using (values (-1)) y(i) on x.b = i when matched then do nothing
merge into {t} using (values (1)) y(i) on false when not matched and i = 2 then insert (a) values (i)
delete from {t}; delete from {t} where a = 1; with q as (delete from {t} returning a) select * from q
select * from closed.t; select nope from closed.t; select * from closed.nope; select nope from {t}
select * from nope.t; insert into closed.t values (1); select relname from pg_catalog.pg_class limit 1
delete from pg_catalog.pg_class; select * from {t}, closed.t
""" + (Path(__file__).parent / "object_queries.txt").read_text()
UTILITIES = """
copy {t} to stdout; copy {t} (a) to stdout; copy {t} (b) to stdout; copy (select b from {t}) to stdout
copy {t} from stdin; copy {t} (a, b) from stdin; copy closed.t from stdin
copy {t} (nope) to stdout; copy closed.t to stdout; copy nope.t to stdout
drop table {t}; drop table if exists {t}; drop index s.{n}_b; drop table {t}, s.nope; drop table s.nope, {t}
drop table s.{n}_b; drop index {t}; drop schema s; drop schema s cascade; drop schema nope
drop table closed.t; drop table nope.t; drop table if exists nope.t; drop table pg_catalog.pg_class
drop schema pg_catalog
alter table {t} add column d int; alter table {t} drop column b; alter table {t} alter a set default 1
alter table {t} drop column nope; alter table {t} add unique (c); alter table {t} drop constraint nope
alter table {t} owner to outsider; alter table {t} owner to owner; alter table {t} owner to nope
alter table {t} owner to current_user; alter table {t} rename to x; alter table {t} rename a to x
alter table {t} rename constraint {n}_pkey to x; alter table {t} set schema closed
alter table {t} set schema nope; alter table {t} set schema public; alter index s.{n}_b rename to x
alter table closed.t add column d int; alter table s.nope add column d int
alter table if exists s.nope add column d int; alter table pg_catalog.pg_class add column d int
alter schema s rename to x; alter schema nope rename to x; alter schema pg_catalog rename to x
create index on {t} (b); create index on {t} (nope); create unique index x on {t} (b)
create index on closed.t (a); create index on pg_catalog.pg_class (oid)
create table s.x (a int); create table {t} (a int); create table if not exists {t} (a int)
create table closed.x (a int); create table nope.x (a int); create table public.x (a int)
create table pg_catalog.x (a int); create table information_schema.x (a int)
create table s.x (like {t}); create table x (a int)
create schema x; create schema if not exists s; create schema authorization owner
create schema x authorization outsider; create schema authorization nope
truncate {t}; truncate {t}, closed.t; truncate closed.t; truncate s.nope; truncate pg_catalog.pg_class
lock table {t} in access share mode; lock table closed.t in access share mode
lock table pg_catalog.pg_class in access share mode
analyze {t}; analyze closed.t; analyze s.nope; vacuum {t}; vacuum closed.t; vacuum s.nope
set role owner; set local role owner; set "ROLE" = owner; set role outsider; set role nope; set role none
reset role; set session authorization outsider; set session authorization nope
reset session authorization; set session authorization default; set lc_messages = 'x'
reset all; discard plans; set nope = 1; set a.1b = 1; set search_path = closed
create role x; drop role idle; drop role nope
"""
FUNCTIONS = """
select set_config('role', 'owner', true); select set_config('ROLE', 'outsider', false)
select set_config('session_authorization', 'outsider', false); select set_config('nope', 'x', true)
select set_config('server_version', 'x', true)
select 'closed.t'::regclass; select to_regclass('closed.t'); select 'closed.nope'::regclass
select to_regclass('closed.nope'); select 'closed.f'::regproc; select to_regproc('closed.f')
select 'closed.f(int)'::regprocedure; select to_regprocedure('closed.f(int)'); select 'closed.x'::regtype
select to_regtype('closed.x'); select 's.{n}'::regclass; select to_regclass('s.nope')
select to_regclass('nope.t'); select 'pg_catalog.pg_class'::regclass
select cast(n as regclass) from (values ('closed.t')) v (n)
select 'closed'::regnamespace; select has_table_privilege('closed.t', 'select')
"""
# What PostgreSQL 16, which this server follows where the rule itself is newer, says for what 15 says.
NEWER_WORDS = (
    ("must be member of role", "must be able to SET ROLE"),
    (
        r'skipping "(\w+)" --- only table or database owner can (\w+) it',
        r'permission denied to \2 "\1", skipping it',
    ),
    (r"must be superuser or have privileges of the \w+ role to COPY", "permission denied to COPY"),
    (r'^"(\w+)" is an index', r'cannot open relation "\1"'),
    ("must be superuser .* to do CHECKPOINT", "permission denied to execute CHECKPOINT command"),
    ("must be superuser to create subscriptions", "permission denied to create subscription"),
)


# How this server refuses what it cannot do, once all checks have passed.
LACKING = (
    r"^unsupported (statement: |ALTER TABLE )|not supported|does not support inline code"
    r"|cannot drop the primary key"
)


def listed(text: str) -> list[str]:
    return [part.strip() for line in text.splitlines() for part in line.split(";") if part.strip()]


def simple(text: str) -> list[bytes]:
    return [client.query(f"{text}; select 1 / 0")]


def alone(text: str) -> list[bytes]:
    return [client.query(text)]


def in_block(text: str) -> list[bytes]:
    return [client.query("begin"), client.query(text), client.query("rollback")]


def extended(text: str) -> list[bytes]:
    first = (client.parse(text), client.bind(), client.describe(b"P"), client.execute())
    second = (client.parse("select 1 / 0"), client.bind(), client.execute(), client.sync())
    return [b"".join(first + second)]


def separately(text: str) -> list[bytes]:
    """As `extended`, with nothing behind it."""
    return [b"".join((client.parse(text), client.bind(), client.execute(), client.sync()))]


def explained(text: str) -> list[bytes]:
    return simple(f"explain (costs off) {text}")


def analyzed(text: str) -> list[bytes]:
    return simple(f"explain (analyze, costs off) {text}")


def copied(text: str) -> list[bytes]:
    return simple(f"copy ({text}) to stdout")


def declared(text: str) -> list[bytes]:
    return in_block(f"declare x cursor for {text}")


Road = Callable[[str], list[bytes]]


# What takes no block, nor anything else in its message.
ALONE = (
    "vacuum", "reindex schema", "reindex database", "reindex system", "alter system",
    *(f"{verb} {what}" for verb in ("create", "drop") for what in ("database", "tablespace")),
    "create subscription",
)  # fmt: skip


def roads(text: str) -> Iterator[Road]:
    """Yield the roads on which a statement can come."""
    if text.startswith(ALONE):
        yield alone
        return
    yield in_block
    if text.startswith(("lock", "set local")):  # which want a block
        return
    yield simple
    if not text.endswith("from stdin"):
        yield extended
    if text in listed(QUERIES):
        yield explained
        yield analyzed
        if text.startswith("select") or " returning " in text:
            yield copied
        if text.startswith("select"):
            yield declared


HERE = Path(__file__).parent
MORE = (HERE / "utilities.txt").read_text()  # of every kind that there is
OBJECTS = (HERE / "object_utilities.txt").read_text()
STATEMENTS = [
    text for group in (QUERIES, UTILITIES, FUNCTIONS, MORE, OBJECTS) for text in listed(group)
]


def set_up() -> list[str]:
    """Return what makes the roles, the tables, and beside each table an object of every kind."""
    _, *lines = (HERE / "objects.sql").read_text().splitlines()
    objects = [
        line.replace("{t}", table).replace("{whom}", whom).replace("{few}", few)
        for table, whom, few in (("s.t", "granted", "columns"), ("s.p", "public", "public"))
        for line in lines
    ]
    return listed(SETUP.replace("{objects}", "\n".join(objects)))


def _name(role: str) -> str:
    return "public_" if role == "public" else role


def _set_up(admin: Peer, statements: list[str]) -> None:
    for statement in statements:
        answers = admin.query(statement)
        assert not errors(answers), (statement, errors(answers))


@pytest.fixture(scope="module")
def ours() -> Iterator[dict[str, Peer]]:
    server = Server("postgres")
    admin = server.connect()
    _set_up(admin, set_up())
    for role in ROLES:
        if role != "admin":
            admin.query(f"aws iam grant {_name(role)} to '{ARN}'")
    yield {role: server.connect(user=_name(role)) for role in ROLES}
    server.stop()


@pytest.fixture(scope="module")
def theirs(postgres: psycopg.Connection[Any]) -> Iterator[dict[str, Peer]]:
    """Sessions on a real PostgreSQL, where admin is what it is here: the owner, but no superuser."""
    roles = [text for text in listed(SETUP) if text.startswith(("create role", "grant owner"))]
    for statement in ("create role admin login createrole", *roles):
        postgres.execute(statement)
    postgres.execute("alter schema public owner to admin")
    postgres.execute("alter database postgres owner to admin")
    with ExitStack() as stack:
        peers = {role: stack.enter_context(_connected(postgres, _name(role))) for role in ROLES}
        _set_up(peers["admin"], [text for text in set_up() if text not in roles])
        yield peers
    postgres.execute("alter schema public owner to pg_database_owner")
    postgres.execute("alter database postgres owner to postgres")
    names = ", ".join(map(_name, (*ROLES, "idle")))
    postgres.execute(f"drop owned by {names} cascade")
    postgres.execute(f"drop role {names}")


@contextmanager
def _connected(postgres: psycopg.Connection[Any], role: str) -> Iterator[Peer]:
    info = postgres.info
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{info.host}/.s.PGSQL.{info.port}")
        peer = Peer(connection)
        peer.ask(client.startup({"user": role, "database": info.dbname}))
        yield peer


def _verdict(peer: Peer, messages: list[bytes], *, lacking: bool = False) -> list[tuple[str, str]]:
    """Return (SQLSTATE, message) of the first error and the warnings; none if all was allowed.

    `lacking`: what this server cannot do counts as an error.
    """
    answers: list[tuple[str, bytes]] = []
    for message in messages:
        peer.send(message)
        while not answers or answers[-1][0] != "Z":
            some = peer.read()
            answers += some
            if "G" in letters(some):
                peer.send(client.copy_done())
        answers.append(("", b""))
    warnings = [fields for fields in notices(answers) if fields["S"] == "WARNING"]
    said = [fields for fields in errors(answers)[:1] + warnings if fields["C"] != "22012"]
    return [
        (fields["C"], _newer(fields["M"])) for fields in said if lacking or not _is_lacking(fields)
    ]


def _is_lacking(fields: dict[str, str]) -> bool:
    """Tell whether a statement passed all checks, but is one that this server has no handler for."""
    return fields["C"] == "0A000" and re.search(LACKING, fields["M"]) is not None


def _newer(message: str) -> str:
    for old, new in NEWER_WORDS:
        message = re.sub(old, new, message)
    return message


def _message_by_message(peer: Peer, text: str, values: list[bytes]) -> tuple[str, list[str]]:
    """Return the letters of what answers Parse, Describe, Bind, Describe, Execute, and the error's code."""
    answers = peer.ask(
        client.parse(text),
        client.describe(b"S"),
        client.bind(values),
        client.describe(b"P"),
        client.execute(),
        client.parse("select 1 / 0"),
        client.sync(),
    )
    return letters(answers), [fields["C"] for fields in errors(answers)]


# Parameters show what comes first: a value that its type does not take, or the missing right.
PARAMETERS = """
select * from {t} where a = $1; insert into {t} (a) values ($1); update {t} set b = $1 returning c
"""


@pytest.mark.parametrize("role", ROLES)
def test_rights_are_asked_for_at_the_message_at_which_postgresql_asks(
    role: str, ours: dict[str, Peer], theirs: dict[str, Peer]
) -> None:
    name = "p" if role == "public" else "t"
    # The system's tables are written by nobody: there is no such query to describe.
    queries = [text for text in listed(QUERIES) if not text.startswith("delete from pg_catalog")]
    asked: list[tuple[str, list[bytes]]] = [(text, []) for text in queries]
    asked += [(text, [value]) for text in listed(PARAMETERS) for value in (b"1", b"x")]
    asked += [(text, []) for text in listed(PARAMETERS)]
    wrong = []
    for template, values in asked:
        text = template.replace("{t}", f"s.{name}").replace("{n}", name)
        here = _message_by_message(ours[role], text, values)
        there = _message_by_message(theirs[role], text, values)
        if here != there:
            wrong.append(f"{text} {values}\n  here  {here}\n  there {there}")
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


@pytest.mark.parametrize("role", ROLES)
def test_nobody_may_more_or_less_than_on_postgresql(
    role: str, ours: dict[str, Peer], theirs: dict[str, Peer]
) -> None:
    name = "p" if role == "public" else "t"
    wrong = []
    for text in STATEMENTS:
        for road in roads(text):
            messages = road(text.replace("{t}", f"s.{name}").replace("{n}", name))
            here, there = _verdict(ours[role], messages), _verdict(theirs[role], messages)
            if here != there:
                wrong.append(f"{road.__name__}: {text}\n  here  {here}\n  there {there}")
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


# What libpg_query's grammar has nodes for, but no statement that a client can send.
NO_STATEMENTS = {"CreatePLang", "PLAssign", "Raw", "ReplicaIdentity", "Return", "SetOperation"}
# Statements that would leave something in PostgreSQL's sessions, or are compared elsewhere:
# those about roles in test_role_statements.py and privileges/.
ELSEWHERE = """
alter default privileges grant select on tables to outsider; grant owner to outsider
alter role idle nologin; alter role idle set work_mem = 64; drop owned by idle
reassign owned by idle to owner; notify x; prepare x as select * from {t}
alter table all in tablespace pg_default set tablespace pg_default
"""
BLOCKS = {"Transaction"}  # which say nothing about anything that has an owner


def kinds(texts: list[str]) -> set[str]:
    names = set()
    for text in texts:
        with suppress(SqlError):  # some are wrong on purpose
            names.add(parse_statement(text.replace("{t}", "s.t").replace("{n}", "t")).name)
    return names


def test_every_kind_of_statement_is_compared() -> None:
    grammar_kinds = {
        name.removesuffix("Stmt")
        for name in grammar.DESCRIPTOR.message_types_by_name
        if name.endswith("Stmt")
    }
    known = kinds(STATEMENTS) | kinds(listed(ELSEWHERE))
    assert grammar_kinds - NO_STATEMENTS - BLOCKS == (known - BLOCKS) & grammar_kinds


@pytest.mark.parametrize("profile", ["postgres", "dsql"])
def test_nothing_runs_that_the_step_does_not_let_in(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever adds a statement, a road or a function: with a step that lets nothing in, nothing runs."""

    def refuse(*_: object) -> None:
        raise SqlError("42501", "nothing is let in")

    server = Server(profile)
    try:
        owner = server.connect()
        for text in ("create schema s", "create table s.t (a int primary key, b int, c int)"):
            assert not errors(owner.query(text))
        monkeypatch.setattr(authorize, "Authorized", refuse)
        ran = [
            f"{road.__name__}: {text}"
            for template in (*STATEMENTS, *listed(ELSEWHERE))
            for text in [template.replace("{t}", "s.t").replace("{n}", "t")]
            for road in (alone, separately)
            if not _verdict(owner, road(text), lacking=True)
        ]
    finally:
        server.stop()
    assert ran == []
