"""GRANT, REVOKE and what they lead to answer as a real PostgreSQL does: tags, rows, warnings, errors.

A script in `privileges/` has one `role> statement` a line, which runs as that role in a session of its own,
here and there. Nobody is a superuser: admin owns the database and the schema public.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from memory_server import ARN, Server, errors, notices, rows, tags

FILES = sorted((Path(__file__).parent / "privileges").glob("*.sql"))
ROLES = ("alice", "bob", "carol", "dave")
Answer = dict[str, Any]


@pytest.fixture
def reference(postgres: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """The shared server with the roles; they go with all that is theirs."""
    postgres.execute("create role admin login createrole")
    postgres.execute("alter schema public owner to admin")
    postgres.execute("alter database postgres owner to admin")
    for role in ROLES:
        postgres.execute(f"create role {role} login")
    yield postgres
    postgres.execute("alter schema public owner to pg_database_owner")
    postgres.execute("alter database postgres owner to postgres")
    postgres.execute("grant connect, temporary on database postgres to public")
    everybody = (*ROLES, "admin")
    for role in everybody:
        postgres.execute(f"drop owned by {role} cascade")
    postgres.execute(f"drop role {', '.join(everybody)}")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server("postgres")
    admin = server.connect()
    for role in ROLES:
        admin.query(f"create role {role} login")
        admin.query(f"aws iam grant {role} to '{ARN}'")
    yield server
    server.stop()


def ask_here(server: Server, role: str, statement: str) -> Answer:
    answers = server.connect(user=role).query(statement)
    said = [_shown(fields) for fields in (*notices(answers), *errors(answers))]
    texts = [
        [value.decode() if value is not None else None for value in row] for row in rows(answers)
    ]
    return {"tags": tags(answers), "rows": texts, "said": said}


def _shown(fields: dict[str, str]) -> list[str | None]:
    return [fields["S"], fields["C"], fields["M"], fields.get("D"), fields.get("H")]


def ask_there(postgres: psycopg.Connection[Any], role: str, statement: str) -> Answer:
    host = postgres.info.host
    said: list[Any] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        said.append(
            [
                diagnostic.severity,
                diagnostic.sqlstate,
                diagnostic.message_primary,
                diagnostic.message_detail,
                diagnostic.message_hint,
            ]
        )

    with psycopg.connect(f"host={host} user={role} dbname=postgres", autocommit=True) as connection:
        connection.add_notice_handler(note)
        try:
            result = connection.pgconn.exec_(statement.encode())
            if result.error_message:
                raise psycopg.errors.error_from_result(result)
        except psycopg.Error as error:
            note(error.diag)
            return {"tags": [], "rows": [], "said": said}
        texts = [
            [
                None if value is None else value.decode()
                for value in (result.get_value(row, column) for column in range(result.nfields))
            ]
            for row in range(result.ntuples)
        ]
        tag = result.command_status
    return {"tags": [tag.decode()] if tag else [], "rows": texts, "said": said}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_privileges_are_postgresqls(
    reference: psycopg.Connection[Any], server: Server, path: Path
) -> None:
    found = []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("--"):
            continue
        role, _, statement = line.partition("> ")
        here, there = ask_here(server, role, statement), ask_there(reference, role, statement)
        if here != there:
            found.append(f"{line}\n    PostgreSQL: {there}\n    here:       {here}")
    assert not found, f"{len(found)} differences\n" + "\n".join(found)


WHO = ("alice", "bob", "carol", "dave")
ON_TABLE = ("select", "insert", "update", "delete", "references", "trigger")
ON_COLUMN = ("select", "insert", "update", "references")


def random_statement(choose: random.Random) -> str:
    """Return a GRANT or REVOKE on a table, some of its columns, or a schema."""
    grants = choose.random() < 0.6
    head = "grant" if grants else "revoke"
    if not grants and choose.random() < 0.3:
        head += " grant option for"
    what = choose.choice(("table", "table", "columns", "schema"))
    if what == "schema":
        privileges, target = (
            choose.choice(("usage", "create", "all", "usage, create")),
            "schema shop",
        )
    elif what == "table":
        some = choose.sample(ON_TABLE, choose.randint(1, 3))
        privileges, target = choose.choice((", ".join(some), "all")), "shop.t"
    else:
        columns = ", ".join(choose.sample("ab", choose.randint(1, 2)))
        some = [f"{one} ({columns})" for one in choose.sample(ON_COLUMN, choose.randint(1, 2))]
        privileges, target = choose.choice((", ".join(some), f"all ({columns})")), "shop.t"
    whom = ", ".join(choose.sample((*WHO, "public"), choose.randint(1, 2)))
    if grants:
        option = " with grant option" if choose.random() < 0.5 else ""
        return f"{head} {privileges} on {target} to {whom}{option}"
    cascade = " cascade" if choose.random() < 0.4 else ""
    return f"{head} {privileges} on {target} from {whom}{cascade}"


STATE = """
    select relname, relacl::text from pg_class where oid = 'shop.t'::regclass
    union all select attname, attacl::text from pg_attribute
        where attrelid = 'shop.t'::regclass and attnum > 0
    union all select nspname, nspacl::text from pg_namespace where nspname = 'shop' order by 1
"""


SEEN = [
    """
    select r, p, o, has_table_privilege(r, 'shop.t', p || o),
        has_any_column_privilege(r, 'shop.t', p || o), has_column_privilege(r, 'shop.t', 'a', p || o),
        has_schema_privilege(r, 'shop', 'create' || o)
    from unnest(array['alice', 'bob', 'carol', 'dave', 'public', 'admin']::name[]) r,
        unnest(array['select', 'insert', 'update', 'references']) p,
        unnest(array['', ' with grant option']) o order by 1, 2, 3
    """,
    *(
        f"select * from information_schema.{view} where table_schema = 'shop' order by 1, 2, 5, 6, 7, 8"
        for view in ("table_privileges", "column_privileges", "role_column_grants")
    ),
    "select column_name from information_schema.columns where table_schema = 'shop' order by 1",
    """
    select grantor::regrole, grantee::regrole, privilege_type, is_grantable
    from pg_class, aclexplode(relacl) where oid = 'shop.t'::regclass and grantee <> 0
    order by grantor::regrole::text, grantee::regrole::text, 3
    """,
]


@pytest.mark.parametrize("seed", range(3))
def test_random_grants_are_answered_as_postgresql_does(
    reference: psycopg.Connection[Any], server: Server, seed: int
) -> None:
    choose = random.Random(seed)
    done = [
        "admin> create schema shop",
        "admin> grant usage on schema shop to public",
        "admin> grant create on schema shop to alice",
        "admin> grant bob to carol",
        "alice> create table shop.t (a int, b int)",
    ]
    done += [f"{choose.choice((*WHO, 'alice'))}> {random_statement(choose)}" for _ in range(60)]
    for number, line in enumerate(done):
        role, _, statement = line.partition("> ")
        here, there = ask_here(server, role, statement), ask_there(reference, role, statement)
        assert here == there, done[: number + 1]
    for role in WHO:
        for question in (STATE, *SEEN):
            here, there = ask_here(server, role, question), ask_there(reference, role, question)
            assert here == there, (role, question, done)
