"""Statements about functions and domains give PostgreSQL's rows, tags, notices and errors."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from memory_server import Peer, Server, errors, notices, rows, tags
from psycopg.pq import DiagnosticField, ExecStatus

HERE = Path(__file__).parent
_FIELDS = (
    DiagnosticField.SQLSTATE,
    DiagnosticField.MESSAGE_PRIMARY,
    DiagnosticField.MESSAGE_DETAIL,
    DiagnosticField.MESSAGE_HINT,
)


def statements(name: str) -> list[str]:
    """Return the statements of a file, which an empty line ends."""
    parts = (HERE / f"{name}.sql").read_text().split("\n\n")
    return [part for part in parts if part.strip() and not part.startswith("--")]


def _names(answers: list[tuple[str, bytes]]) -> list[str]:
    """Return the names of the columns of a RowDescription."""

    def read(body: bytes) -> Iterator[str]:
        at = 2
        for _ in range(*struct.unpack(">H", body[:2])):
            end = body.index(b"\0", at)
            yield body[at:end].decode()
            at = end + 19

    return [name for letter, body in answers if letter == "T" for name in read(body)]


def _ours(peer: Peer, statement: str) -> Any:
    answers = peer.query(statement)
    told = [(notice.get("M"), notice.get("D")) for notice in notices(answers)]
    for error in errors(answers):
        return tuple(error.get(letter) for letter in "CMDH"), told
    values = [[value and value.decode() for value in row] for row in rows(answers)]
    return _names(answers), values, tags(answers), told


def _theirs(connection: psycopg.Connection[Any], statement: str) -> Any:
    told: list[tuple[str | None, str | None]] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        told.append((diagnostic.message_primary, diagnostic.message_detail))

    connection.add_notice_handler(note)
    try:
        result = connection.pgconn.exec_(statement.encode())
    finally:
        connection.remove_notice_handler(note)
    if result.status == ExecStatus.FATAL_ERROR:
        found = (result.error_field(field) for field in _FIELDS)
        return tuple(value.decode() if value else None for value in found), told
    names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
    values = [
        [(v := result.get_value(row, column)) and v.decode() for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]
    return names, values, [(result.command_status or b"").decode()], told


FILES = (
    "sql_functions",
    "function_bodies",
    "inlined_functions",
    "renamed_functions",
    "indexed_functions",
    "domains",
    "domain_arguments",
    "domain_usage",
    "result_columns",
)


@pytest.mark.parametrize("name", FILES)
def test_every_statement_is_answered_as_postgresql_does(
    own_postgres: psycopg.Connection[Any], name: str
) -> None:
    server = Server("postgres")
    peer = server.connect()
    place = f"create schema {name}; set search_path = {name}"
    own_postgres.execute(place)
    assert not errors(peer.query(place))
    different = []
    for statement in statements(name):
        theirs, ours = _theirs(own_postgres, statement), _ours(peer, statement)
        if ours != theirs:
            different.append(f"{statement}\n  PostgreSQL {theirs}\n  ours       {ours}")
    server.stop()
    assert not different, "\n".join(different)
