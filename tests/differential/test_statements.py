"""Whole scripts give PostgreSQL's answers: rows, tags, notices, errors with DETAIL, HINT and CONTEXT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from memory_server import Peer, Server, errors, notices, rows, tags
from psycopg import pq

HERE = Path(__file__).parent
_FIELDS = {
    "S": pq.DiagnosticField.SEVERITY,
    "C": pq.DiagnosticField.SQLSTATE,
    "M": pq.DiagnosticField.MESSAGE_PRIMARY,
    "D": pq.DiagnosticField.MESSAGE_DETAIL,
    "H": pq.DiagnosticField.MESSAGE_HINT,
    "W": pq.DiagnosticField.CONTEXT,
}


def _statements(name: str) -> list[str]:
    lines = (HERE / name).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return [part.strip() for part in text.split(";\n") if part.strip(" \n;")]


def _shown(fields: dict[str, str]) -> str:
    return " | ".join(fields.get(field, "") for field in _FIELDS)


def _row(values: Any) -> str:
    return "|".join("NULL" if value is None else value.decode() for value in values)


def _ours(peer: Peer, statement: str) -> list[str]:
    answers = peer.query(statement)
    failed = [_shown(fields) for fields in errors(answers)]
    said = [_shown(fields) for fields in notices(answers)]
    return said + list(map(_row, rows(answers))) + (failed or tags(answers))


def _theirs(connection: psycopg.Connection[Any], statement: str) -> list[str]:
    answers: list[str] = []

    def note(result: Any) -> None:
        fields = {key: (result.error_field(f) or b"").decode() for key, f in _FIELDS.items()}
        answers.append(_shown(fields))

    connection.pgconn.notice_handler = note
    result = connection.pgconn.exec_(statement.encode())
    if result.status == pq.ExecStatus.FATAL_ERROR:
        note(result)
        return answers
    columns = range(result.nfields)
    found = [[result.get_value(row, c) for c in columns] for row in range(result.ntuples)]
    return [*answers, *map(_row, found), (result.command_status or b"").decode()]


@pytest.mark.parametrize("name", ["foreign_keys.sql", "alter_table.sql", "create_table_as.sql"])
def test_a_script_is_answered_as_postgresql_does(name, own_postgres):
    server = Server("postgres")
    peer = server.connect()
    differing = []
    for statement in ["set timezone = 'UTC'", *_statements(name)]:
        theirs, ours = _theirs(own_postgres, statement), _ours(peer, statement)
        if theirs != ours:
            differing.append((statement, ours, theirs))
    server.stop()
    assert not differing
