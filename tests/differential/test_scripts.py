"""Scripts, statement by statement, beside PostgreSQL: rows, tags, notices and errors.

A line `-- differs` before a statement tells that its answers are known to differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from memory_server import Peer, Server, errors, notices, rows, tags
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.sql"))
_FIELDS = {
    "M": DiagnosticField.MESSAGE_PRIMARY,
    "D": DiagnosticField.MESSAGE_DETAIL,
    "H": DiagnosticField.MESSAGE_HINT,
}


def statements(script: Path) -> Iterator[tuple[str, bool]]:
    """Yield each statement of a script, and whether its answers are compared."""
    compared, lines = True, []
    for line in script.read_text().splitlines():
        if line.startswith("--"):
            compared = compared and line != "-- differs"
            continue
        lines.append(line)
        if line.endswith(";"):
            yield "\n".join(lines), compared
            compared, lines = True, []


def _message(severity: str, fields: dict[str, str]) -> str:
    return " | ".join([severity, *(f"{key} {fields[key]}" for key in "MDH" if fields.get(key))])


def ours(peer: Peer, statement: str) -> list[str]:
    answers = peer.query(statement)
    told = [_message(each["S"], each) for each in notices(answers)]
    told += [_message(f"ERROR {each['C']}", each) for each in errors(answers)]
    shown = ["|".join("" if v is None else v.decode() for v in row) for row in rows(answers)]
    return [*told, *shown, *tags(answers)]


class Theirs:
    """A connection to PostgreSQL that keeps its notices."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection.pgconn
        self._notices: list[str] = []
        self._connection.notice_handler = self._note

    def _note(self, result: PGresult) -> None:
        self._notices.append(
            _message(self._field(result, DiagnosticField.SEVERITY), self._of(result))
        )

    def _field(self, result: PGresult, field: DiagnosticField) -> str:
        return (result.error_field(field) or b"").decode()

    def _of(self, result: PGresult) -> dict[str, str]:
        return {key: self._field(result, field) for key, field in _FIELDS.items()}

    def answer(self, statement: str) -> list[str]:
        self._notices = []
        result = self._connection.exec_(statement.encode())
        if result.status == ExecStatus.FATAL_ERROR:
            code = self._field(result, DiagnosticField.SQLSTATE)
            return [*self._notices, _message(f"ERROR {code}", self._of(result))]
        shown = [
            "|".join(
                (result.get_value(row, column) or b"").decode() for column in range(result.nfields)
            )
            for row in range(result.ntuples)
        ]
        return [*self._notices, *shown, (result.command_status or b"").decode()]


@pytest.fixture
def empty(postgres: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database of its own."""
    postgres.execute("create database script")
    options = f"host={postgres.info.host} user=postgres dbname=script"
    with psycopg.connect(options, autocommit=True) as connection:
        yield connection
    postgres.execute("drop database script")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_answered_as_by_postgresql(empty: psycopg.Connection[Any], script: Path):
    theirs = Theirs(empty)
    server = Server("postgres")
    try:
        peer = server.connect()
        wrong = []
        for statement, compared in statements(script):
            answers = ours(peer, statement), theirs.answer(statement)
            if (answers[0] == answers[1]) != compared:
                wrong.append(f"{statement}\n  ours: {answers[0]}\n  PostgreSQL: {answers[1]}")
        assert not wrong, "\n".join(wrong)
    finally:
        server.stop()
