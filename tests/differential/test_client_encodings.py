"""Sessions whose clients speak other encodings than UTF-8, here and on a real PostgreSQL, byte for byte."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from memory_server import Peer, Server, errors

from dsql.errors import SqlError
from dsql.types.text_encodings import TextEncoding, encoding_name, find_encoding
from dsql.wire import client

SETUP = (
    "CREATE TEMPORARY TABLE t (a text, b int4)",
    "INSERT INTO t VALUES ('日本', 1), ('é', 2), ('abc', 3), ('€', 4)",
)


def said(text: bytes) -> bytes:
    """Return a Query of bytes."""
    return client.message(b"Q", text + b"\0")


def set_to(name: str) -> bytes:
    return client.query(f"SET client_encoding = '{name}'")


def prepared(
    text: bytes, *values: bytes, formats: tuple[int, ...] = (), name: bytes = b""
) -> bytes:
    """Return the messages that run a query with parameters; results come in the formats."""
    names = b"\0" + name + b"\0"
    codes = len(formats).to_bytes(2, "big") + b"".join(one.to_bytes(2, "big") for one in formats)
    given = b"".join(len(value).to_bytes(4, "big") + value for value in values)
    bound = names + codes + len(values).to_bytes(2, "big") + given + codes
    return b"".join(
        (
            client.message(b"P", name + b"\0" + text + b"\0\0\0"),
            client.message(b"D", b"S" + name + b"\0"),
            client.message(b"B", bound),
            client.describe(b"P"),
            client.execute(),
            client.sync(),
        )
    )


def copied(options: str, *data: bytes) -> bytes:
    begun = client.query(f"COPY t {options}")
    return begun + b"".join(map(client.copy_data, data)) + client.copy_done()


BINARY = (1,)
CONVERSATIONS: dict[str, tuple[bytes, ...]] = {
    "names": tuple(
        client.query(f"SET client_encoding = '{name}'")
        for name in (
            "latin-1",
            "windows-1252",
            "ISO 8859-15",
            "koi8",
            "mskanji",
            "Unicode",
            "utf-8",
            "SQL_ASCII",
            "cp1252",
            "nonsense",
            "mule_internal",
            "johab",
            "",
            "euc_jis_2004",
        )
    ),
    "set names": tuple(
        map(client.query, ("SET NAMES 'latin1'", "SET NAMES", "SHOW client_encoding"))
    ),
    "literals and names": (
        set_to("latin1"),
        said(b"SELECT '\xe9' AS \"\xe8\", length('\xe9\xe9'), U&'\\00e9', chr(233)"),
        said(b"SELECT \xe9"),
        said(b'SELECT 1 FROM "\xe9\xe8"'),
        said(b"SELECT '\xe9'::int4"),
    ),
    "rows": (
        set_to("latin1"),
        said(b"SELECT a, b FROM t WHERE b IN (2, 3) ORDER BY b"),
        said(b"SELECT a FROM t WHERE a = '\xe9'"),
        said(b"SELECT a, b FROM t WHERE b = 1"),
        said(b"BEGIN"),
        said(b"SELECT a FROM t WHERE b = 1"),
        said(b"SELECT 1"),
        said(b"ROLLBACK"),
    ),
    "a column's name that is lacking": (
        client.query('CREATE TEMPORARY TABLE c ("日" int4)'),
        set_to("latin1"),
        said(b"SELECT * FROM c"),
        prepared(b"SELECT * FROM c"),
    ),
    "an error and a notice that are lacking": (
        set_to("latin1"),
        said(b"SELECT a::int4 FROM t WHERE b = 1"),
        said(b"SELECT a::int4 FROM t WHERE b = 2"),
        said(b'DROP TABLE IF EXISTS "\xe9"'),
        said(b'DROP TABLE IF EXISTS U&"\\65E5"'),
    ),
    "what was written is undone": (
        set_to("latin1"),
        said(b"INSERT INTO t VALUES (U&'\\65E5', 9) RETURNING a"),
        said(b"SELECT count(*) FROM t"),
    ),
    "a cursor": (
        set_to("win1252"),
        said(b'BEGIN; DECLARE "\xe9" CURSOR FOR SELECT a FROM t ORDER BY b DESC; FETCH 3 "\xe9"'),
        said(b'FETCH 1 "\xe9"'),
        said(b"ROLLBACK"),
    ),
    "bytes that mean nothing": (
        set_to("win1252"),
        said(b"SELECT '\x81'"),
        said(b"SELECT '\x80'"),
        set_to("sjis"),
        said(b"SELECT '\x95\\'"),
        said(b"SELECT '\x95'"),
        said(b"SELECT '\xfd'"),
        said(b"SELECT '\xf0\x40'"),
        set_to("euc_kr"),
        said(b"SELECT '\xb0\xa1', length('\xb0\xa1')"),
        said(b"SELECT '\xb0A'"),
        said(b"SELECT '\xff\xff'"),
        set_to("gb18030"),
        said(b"SELECT '\x81\x30\x81\x30'"),
        said(b"SELECT '\x81\x30\x81'"),
        said(b"SELECT '\xff\x40'"),
        set_to("big5"),
        said(b"SELECT '\xa1\x40'"),
        said(b"SELECT '\xa1"),
        set_to("euc_jp"),
        said(b"SELECT '\x8f\xa2'"),
        set_to("johab"),
        said(b"SELECT '\x84A', '\xd9\xe8'"),
    ),
    "parameters": (
        set_to("latin1"),
        prepared(b"SELECT $1::text, '\xe9' AS \"\xe9\"", b"\xe8"),
        prepared(b"SELECT $1::text, length($1)", b"\xe9", formats=BINARY, name=b"\xe9"),
        prepared(b"SELECT ARRAY[$1::text, NULL, 'x'], $2::int4[]", b"\xe9", b"{1}", formats=()),
        prepared(b"SELECT ARRAY[$1::text, NULL, 'x']", b"\xe9", formats=BINARY),
        prepared(b"SELECT ROW($1::text, 1, NULL::int4), to_jsonb($1)", b"\xe9", formats=BINARY),
        prepared(b"SELECT $1::bytea, convert_from($1, 'LATIN1')", b"\xe9", formats=BINARY),
        prepared(b"SELECT 7::int4, 1.5::numeric, '\xe9'::name, '\"\xe9\"'::json", formats=BINARY),
        set_to("win1252"),
        prepared(b"SELECT $1::text", b"a\x81"),
        prepared(b"SELECT $1::text", b"a\x81", formats=BINARY),
        prepared(b"SELECT '\x81'"),
        prepared(b"SELECT a FROM t WHERE b = $1", b"1"),
    ),
    "a domain": (
        client.query("CREATE DOMAIN word AS text CHECK (value <> 'ö')"),
        set_to("latin1"),
        said(b"SELECT '\xe9'::word, ARRAY['\xe9']::word[]"),
        prepared(b"SELECT $1::text::word", b"\xe9", formats=BINARY),
        said(b"SELECT '\xf6'::word"),
        client.query("DROP DOMAIN word"),
    ),
    "a pipeline": (
        prepared(b"SET client_encoding = 'latin1'").removesuffix(client.sync())
        + prepared(b"SELECT '\xe9'"),
        prepared(b"SET client_encoding = 'utf8'").removesuffix(client.sync())
        + prepared(b"SELECT '\xc3\xa9'"),
    ),
    "a transaction's setting": (
        client.query("BEGIN"),
        client.query("SET LOCAL client_encoding = 'latin1'"),
        said(b"SELECT '\xe9'"),
        client.query("ROLLBACK"),
        client.query("SELECT 'é'"),
        client.query("BEGIN; SET client_encoding = 'latin1'; ROLLBACK"),
        client.query("SELECT 'é'"),
    ),
    "copy in": (
        set_to("win1252"),
        copied("FROM STDIN", b"\x80\t5\n\xe9\t", b"6\n"),
        copied("FROM STDIN", b"ok\t7\n\x81\x80\t8\n"),
        copied("(b) FROM STDIN", b"\xe9\n"),
        copied("(a) FROM STDIN (ENCODING 'utf8')", b"\xc3", b"\xa9\n"),
        copied("(a) FROM STDIN (FORMAT csv, ENCODING 'sjis')", b'"\x95', b'\\"\n\x95\\\n'),
        copied("(a) FROM STDIN (ENCODING 'sjis')", b"x\n\x95\n"),
        client.query("SET client_encoding = 'utf8'"),
        client.query("SELECT * FROM t ORDER BY b, a"),
    ),
    "copy out": (
        set_to("win1252"),
        said(b"COPY (SELECT a, b FROM t WHERE b > 1 ORDER BY b) TO STDOUT"),
        said(b"COPY t TO STDOUT"),
        said(b"COPY (SELECT '\xe9' AS \"\xe9\") TO STDOUT (FORMAT csv, HEADER)"),
        said(b"COPY (SELECT '\xe9') TO STDOUT (ENCODING 'utf8')"),
        said(b"COPY (SELECT '\xe9') TO STDOUT (ENCODING 'big5')"),
        said(b"COPY (SELECT '\xe9') TO STDOUT (FORMAT binary)"),
    ),
    "explain": (
        set_to("latin1"),
        said(b"EXPLAIN (COSTS OFF, VERBOSE) SELECT '\xe9'::text"),
    ),
}


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    server = Server("postgres")
    yield server
    server.stop()


@pytest.fixture
def theirs(postgres: psycopg.Connection[Any]) -> Iterator[Peer]:
    info = postgres.info
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{info.host}/.s.PGSQL.{info.port}")
        peer = Peer(connection)
        peer.send(client.startup({"user": info.user, "database": info.dbname}))
        peer.until_ready()
        yield peer


def answers(peer: Peer, message: bytes) -> list[tuple[str, object]]:
    """Return what is said, without places in the source and OIDs of tables."""
    rounds = message.count(client.sync())
    found = peer.ask(message)
    while sum(kind == "Z" for kind, _ in found) < rounds:
        found += peer.until_ready()
    shown: list[tuple[str, object]] = []
    for kind, body in found:
        if kind in "EN":
            fields = {field[:1]: field[1:] for field in body.split(b"\0") if field}
            shown.append((kind, [fields.get(letter) for letter in (b"S", b"C", b"M", b"D", b"W")]))
        elif kind == "T":
            shown.append((kind, [part for part in body.split(b"\0") if part.isalnum()]))
        else:
            shown.append((kind, body))
    return shown


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_client_of_another_encoding_hears_what_postgresql_says(
    name: str, theirs: Peer, ours: Server
) -> None:
    peer = ours.connect()
    for text in SETUP:
        theirs.query(text)
        peer.query(text)
    for message in CONVERSATIONS[name]:
        assert answers(peer, message) == answers(theirs, message), message


def test_a_notification_that_is_lacking_is_the_end(theirs: Peer, ours: Server) -> None:
    told = []
    for peer in (theirs, ours.connect()):
        peer.ask(set_to("latin1"))
        peer.ask(said(b'LISTEN "\xe9"'))
        (heard,) = [
            body for kind, body in peer.ask(said(b"NOTIFY \"\xe9\", '\xe8'")) if kind == "A"
        ]
        peer.send(said(b"NOTIFY \"\xe9\", U&'\\65E5'"))
        (fields,) = errors(peer.until("E"))
        told.append((heard[4:], [fields[code] for code in "SCM"]))
    assert told[0] == told[1]


def of(name: str) -> TextEncoding:
    """Return an encoding by one of its names."""
    known = encoding_name(name)
    assert known is not None
    found = find_encoding(known)
    assert found is not None
    return found


def read(encoding: TextEncoding, data: bytes) -> str | None:
    try:
        return encoding.to_utf8(data).decode()
    except SqlError:
        return None


TRY = """
    CREATE OR REPLACE FUNCTION pg_temp.try(data bytea, name text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RETURN convert_from(data, name); EXCEPTION WHEN others THEN RETURN NULL; END $$
"""
ONE_BYTE = [bytes([code]) for code in range(0x80, 0x100)]
TWO_BYTES = [
    bytes([first, second]) for first in range(0x80, 0x100) for second in range(0x20, 0x100)
]


@pytest.mark.parametrize("name", ["KOI8R", "WIN1252", "LATIN3", "ISO_8859_6", "WIN874"])
def test_all_bytes_mean_what_they_mean_to_postgresql(
    name: str, postgres: psycopg.Connection[Any]
) -> None:
    postgres.execute(TRY)
    rows = postgres.execute(
        "SELECT pg_temp.try(v, %s) FROM unnest(%s::bytea[]) v", (name, ONE_BYTE)
    )
    assert [text for (text,) in rows] == [read(of(name), data) for data in ONE_BYTE]


@pytest.mark.parametrize(
    "name",
    [
        "BIG5",
        "EUC_CN",
        "EUC_JIS_2004",
        "EUC_JP",
        "EUC_KR",
        "GB18030",
        "GBK",
        "SHIFT_JIS_2004",
        "SJIS",
        "UHC",
    ],
)
def test_all_characters_are_postgresqls(name: str, postgres: psycopg.Connection[Any]) -> None:
    encoding = of(name)
    known = [data for data in TWO_BYTES if read(encoding, data) is not None]
    whole = b"\n".join(known)
    assert len(known) > 5_000
    text = encoding.to_utf8(whole).decode()
    query = "SELECT convert_from(%s, %s) = %s, convert_to(%s, %s)"
    (same, back) = postgres.execute(query, (whole, name, text, text, name)).fetchone() or ()
    assert same
    assert back == encoding.encoded(text)


@pytest.mark.parametrize("name", ["BIG5", "EUC_JP", "EUC_KR", "JOHAB", "SJIS", "UHC"])
def test_what_is_no_character_is_none_to_postgresql(
    name: str, postgres: psycopg.Connection[Any]
) -> None:
    postgres.execute(TRY)
    refused = [data for data in TWO_BYTES if read(of(name), data) is None][::19]
    rows = postgres.execute("SELECT pg_temp.try(v, %s) FROM unnest(%s::bytea[]) v", (name, refused))
    assert [text for (text,) in rows] == [None] * len(refused)
