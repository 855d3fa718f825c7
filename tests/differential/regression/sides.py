"""The two servers that take a script's statements, and their answers in a form that compares."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from memory_server import Peer
from psycopg.pq import DiagnosticField, ExecStatus

from dsql.wire import client
from tests.differential.regression.script import Statement

Row = tuple[bytes | None, ...]
ADMIN = "admin"
_AUTHORIZATION = re.compile(
    r"^(?:set\s+(?:session\s+)?session\s+authorization\s+(?P<name>\"(?:[^\"]|\"\")*\"|'\w+'|\w+)"
    r"|reset\s+session\s+authorization)\s*;?\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_FIRST_WORD = re.compile(r"^(\w+)\s+session", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """What a statement says: the result's names and rows, or a tag, or an error."""

    names: tuple[bytes, ...] = ()
    rows: tuple[Row, ...] = ()
    tag: str = ""
    sqlstate: str = ""
    message: str = ""

    def same(self, other: Answer) -> bool:
        """Return whether two answers agree. Where nothing orders the rows, neither does this."""
        if self.sqlstate or other.sqlstate:
            return self.sqlstate == other.sqlstate
        heads = (self.names, self.tag) == (other.names, other.tag)
        return heads and Counter(self.rows) == Counter(other.rows)


class Reference:
    """A real PostgreSQL."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.wire = connection.pgconn

    def ask(self, statement: Statement) -> Answer:
        """Return the last result of a statement."""
        result = self.wire.exec_(statement.text.encode())
        if result.status == ExecStatus.COPY_IN:
            self.wire.put_copy_data(statement.data or b"")
            self.wire.put_copy_end()
            result = self._finish()
        elif result.status == ExecStatus.COPY_OUT:
            rows = []
            while (line := self.wire.get_copy_data(0))[0] > 0:
                rows.append((bytes(line[1]),))
            return Answer(rows=tuple(rows), tag=self._tag(self._finish()))
        if result.status == ExecStatus.FATAL_ERROR:
            code = result.error_field(DiagnosticField.SQLSTATE) or b""
            text = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b""
            return Answer(sqlstate=code.decode(), message=text.decode())
        names = tuple(result.fname(at) or b"" for at in range(result.nfields))
        rows = [
            tuple(result.get_value(row, at) for at in range(result.nfields))
            for row in range(result.ntuples)
        ]
        return Answer(names, tuple(rows), self._tag(result))

    def _finish(self) -> psycopg.pq.PGresult:
        last = self.wire.get_result()
        assert last is not None
        while (following := self.wire.get_result()) is not None:
            last = following
        return last

    def _tag(self, result: psycopg.pq.PGresult) -> str:
        return (result.command_status or b"").decode()


class Ours:
    """A session of this server.

    Scripts become other roles by SET SESSION AUTHORIZATION, which takes a superuser. There is none here, so
    that the script goes on as a session of that role's own; `connect` makes one for a role.
    """

    def __init__(self, connect: Callable[[str], Peer]) -> None:
        self._connect = connect
        self._admin = connect(ADMIN)
        self._sessions: dict[tuple[Row, ...], Peer] = {}
        self.peer = self._admin

    def close(self) -> None:
        """Close all of its sessions."""
        for peer in (self._admin, *self._sessions.values()):
            peer.socket.close()

    def ask(self, statement: Statement) -> Answer:
        """Return the last result of a statement. Raises TimeoutError."""
        role = _new_role(statement.text)
        if role == ADMIN:
            self.peer = self._admin
        elif not role or not self._become(role):
            return self._send(statement)
        return Answer(tag=_FIRST_WORD.findall(statement.text)[-1].upper())

    def _become(self, role: str) -> bool:
        quoted = role.replace("'", "''")
        found = self._send(Statement(f"SELECT oid FROM pg_roles WHERE rolname = '{quoted}'")).rows
        if found and found not in self._sessions:
            self._sessions[found] = self._connect(role)
        self.peer = self._sessions[found] if found else self.peer
        return bool(found)

    def _send(self, statement: Statement) -> Answer:
        self.peer.send(client.query(statement.text))
        answers: list[tuple[str, bytes]] = []
        while not answers or answers[-1][0] != "Z":
            got = self.peer.read()
            answers += got
            if any(kind == "G" for kind, _ in got):
                lines = statement.data or b""
                self.peer.send(client.message(b"d", lines), client.message(b"c"))
        return _answer(answers)


def _new_role(text: str) -> str:
    """Return who a statement makes the session's user, "" if it is about something else."""
    found = _AUTHORIZATION.search(text)
    if not found:
        return ""
    name = found["name"] or "default"
    if name.startswith('"'):
        return name[1:-1].replace('""', '"')
    return ADMIN if name.lower() == "default" else name.lower().strip("'")


def _answer(answers: list[tuple[str, bytes]]) -> Answer:
    names: tuple[bytes, ...] = ()
    rows: list[Row] = []
    made = Answer()
    for kind, body in answers:
        if kind == "T":
            names, rows = _names(body), []
        elif kind == "D":
            rows.append(tuple(client.row_values(body)))
        elif kind == "d":
            rows.append((body,))
        elif kind == "C":
            made = Answer(names, tuple(rows), body[:-1].decode())
            names, rows = (), []
        elif kind == "E":
            fields = client.error_fields(body)
            made = Answer(sqlstate=fields["C"], message=fields["M"])
    return made


def _names(body: bytes) -> tuple[bytes, ...]:
    names, at = [], 2
    while at < len(body):
        end = body.index(b"\0", at)
        names.append(body[at:end])
        at = end + 19
    return tuple(names)
