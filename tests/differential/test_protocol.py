"""Conversations in raw messages, whose answers are compared with a real PostgreSQL's."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from memory_server import Peer, Server, errors, letters, notices

from dsql.wire import client


def call(function: int, *values: bytes | None, formats: tuple[int, ...] = (), result: int = 0):
    """Return a FunctionCall."""
    body = struct.pack(f"!IH{len(formats)}HH", function, len(formats), *formats, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return client.message(b"F", body + struct.pack("!H", result))


def bound(type_name: str, value: bytes) -> tuple[bytes, ...]:
    """Return the messages that bind a binary parameter of a type."""
    return (
        client.parse(f"SELECT $1::{type_name}"),
        client.bind([value], formats=[1]),
        client.sync(),
    )


ABS, INT4_DIV, SERIES, COUNT, ARRAY_APPEND = 1397, 154, 1067, 2147, 378
BROKEN = client.parse("selec")
LONG = "Long" * 20

CONVERSATIONS = {
    "query is skipped up to sync": (BROKEN, client.query("SELECT 1"), client.sync()),
    "function call is skipped up to sync": (BROKEN, call(ABS, b"1"), client.sync()),
    "call in text": (call(ABS, b"-5"),),
    "call in binary": (call(ABS, struct.pack("!i", -5), formats=(1,), result=1),),
    "call with null": (call(ABS, None),),
    "call without argument": (call(ABS),),
    "call of nothing": (call(999_999),),
    "call of a set": (call(SERIES, b"1", b"2"),),
    "call of an aggregate": (call(COUNT, b"1"),),
    "call of a polymorphic function": (call(ARRAY_APPEND, b"{1}", b"2"),),
    "call that fails": (call(INT4_DIV, b"1", b"0"),),
    "call with a short argument": (call(ABS, b"12", formats=(1,)),),
    "call with a long argument": (call(ABS, b"12345", formats=(1,)),),
    "call in an unknown format": (call(ABS, b"1", formats=(2,)),),
    "call for an unknown format": (call(ABS, b"1", result=2),),
    "call cut short": (client.message(b"F", struct.pack("!I", ABS)),),
    "plan as json": (client.query("EXPLAIN (FORMAT JSON, VERBOSE) SELECT 1 AS a, 'x<y'::text"),),
    "plan as yaml": (client.query("EXPLAIN (VERBOSE, FORMAT YAML) SELECT 'é\"'::text"),),
    "plan without costs": (client.query("EXPLAIN (FORMAT JSON, COSTS OFF) VALUES (1)"),),
    "plan that was run": (
        client.query("EXPLAIN (FORMAT YAML, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT 1"),
    ),
    "plan in no format": (client.query("EXPLAIN (FORMAT PICTURE) SELECT 1"),),
    "plan with no option": (client.query("EXPLAIN (NONSENSE) SELECT 1"),),
    "time of what is not run": (client.query("EXPLAIN (TIMING) SELECT 1"),),
    "parameter in a simple query": (client.query("SELECT $1"),),
    "parameter in a simple condition": (client.query("SELECT 1 WHERE 1 = $2"),),
    "between of parameters": (
        client.parse("SELECT $1 BETWEEN 1 AND $2, $3 NOT BETWEEN SYMMETRIC 1 AND $4"),
        client.describe(b"S"),
        client.sync(),
    ),
    "declared type nobody uses": (client.parse("SELECT 1", types=(999_999,)), client.sync()),
    "set local in a script": (client.query("SET LOCAL timezone = 'UTC'; SHOW timezone"),),
    "set local behind a commit": (client.query("BEGIN; COMMIT; SET LOCAL timezone = 'UTC'"),),
    "set local alone": (client.query("SET LOCAL timezone = 'UTC'"),),
    "lock in a script": (
        client.query("LOCK TABLE pg_catalog.pg_class IN ACCESS SHARE MODE; SELECT 1"),
    ),
    "lock alone": (client.query("LOCK TABLE pg_catalog.pg_class IN ACCESS SHARE MODE"),),
    "cursor in a script": (client.query("DECLARE c CURSOR FOR SELECT 1; FETCH c; CLOSE c"),),
    "savepoint in a script": (client.query("SELECT 1; SAVEPOINT a"),),
    "long alias": (client.query(f"SELECT 1 AS {LONG}"),),
    "long aliases": (client.query(f'SELECT 1 AS {LONG}, 2 AS "{LONG}"'),),
    "long alias with literals": (client.query(f"SELECT 1 AS {LONG} WHERE 1 = 1"),),
    "long name in parse": (client.parse(f"SELECT 1 AS {LONG}"), client.sync()),
    "long name of nothing": (client.query(f'SELECT * FROM "{LONG}"'),),
    "long name beyond ascii": (client.query(f'SELECT 1 AS "x{"é" * 40}"'),),
    "long literal": (client.query(f"SELECT '{LONG}'"),),
} | {
    f"{len(value)} bytes of {name}": bound(name, value)
    for name, values in {
        "bool": (b"", b"12"),
        "int2": (b"", b"1", b"123"),
        "int4": (b"12", b"12345"),
        "int8": (b"12", b"123456789"),
        "float4": (b"12", b"12345"),
        "float8": (b"12", b"123456789"),
        "numeric": (
            b"12",
            struct.pack("!hhHHh", 2, 0, 0, 0, 1),
            struct.pack("!hhHHh", 0, 0, 0, 0, 1),
        ),
        "uuid": (b"12", bytes(17)),
        "date": (b"12", b"12345"),
        "time": (b"12", bytes(9)),
        "timetz": (b"12", bytes(13)),
        "timestamptz": (b"12", bytes(9)),
        "interval": (b"12", bytes(17)),
        "jsonb": (b"",),
        "int4[]": (b"12", struct.pack("!iiIiii", 1, 0, 23, 1, 1, 4), bytes(10) + b"\0\x17" + b"x"),
    }.items()
    for value in values
}


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    server = Server("postgres")
    yield server
    server.stop()


@pytest.fixture
def theirs(postgres: psycopg.Connection[Any]) -> Iterator[Peer]:
    """A conversation with the real PostgreSQL."""
    info = postgres.info
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{info.host}/.s.PGSQL.{info.port}")
        peer = Peer(connection)
        peer.send(client.startup({"user": info.user, "database": info.dbname}))
        peer.until_ready()
        yield peer


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_are_those_of_postgresql(name: str, theirs: Peer, ours: Server) -> None:
    messages = CONVERSATIONS[name]
    expected, found = theirs.ask(*messages), ours.connect().ask(*messages)
    assert letters(found) == letters(expected)
    for field in "SVCMDHPW":
        said = [fields.get(field) for fields in errors(found) + notices(found)]
        assert said == [fields.get(field) for fields in errors(expected) + notices(expected)], field
    for kind in "VtDZ":
        assert [body for letter, body in found if letter == kind] == [
            body for letter, body in expected if letter == kind
        ]
    for fields in errors(found) + notices(found):
        assert fields["F"].endswith(".py")
        assert int(fields["L"]) > 0
        assert fields["R"]


@pytest.mark.parametrize("kind", [b"Y", b"p", b"\0"])
def test_a_message_of_no_kind_ends_the_session(kind: bytes, theirs: Peer, ours: Server) -> None:
    answers = []
    for peer in (theirs, ours.connect()):
        peer.send(client.message(kind))
        (fields,) = errors(peer.until("E"))
        answers.append({code: fields[code] for code in "SVCM"})
        assert peer.socket.recv(1) == b""
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "texts",
    [
        ("SET statement_timeout = '20ms'", "SELECT pg_sleep(60)"),
        ("SET idle_session_timeout = '20ms'",),
        ("SET idle_in_transaction_session_timeout = '20ms'", "BEGIN"),
        ("SET idle_in_transaction_session_timeout = '20ms'", "BEGIN; SELECT nothing"),
    ],
)
def test_a_timeout_says_what_postgresql_says(
    texts: tuple[str, ...], theirs: Peer, ours: Server
) -> None:
    answers = []
    for peer in (theirs, ours.connect()):
        peer.send(*map(client.query, texts))
        told: list[dict[str, str]] = []
        while not told or told[-1]["C"] == "42703":
            told += errors(peer.until("E"))
        answers.append([[fields.get(code) for code in "SVCMDH"] for fields in told])
    assert answers[0] == answers[1]


def test_a_plan_as_xml_is_that_of_postgresql(theirs: Peer, ours: Server) -> None:
    query = "EXPLAIN (FORMAT XML, VERBOSE) SELECT 1 AS a, 'x<y'::text"
    assert ours.connect().rows(query) == theirs.rows(query)
