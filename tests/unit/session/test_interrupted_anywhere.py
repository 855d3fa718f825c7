"""An interrupt at any line leaves the session sound: what it says was undone is undone, and it goes on.

A trace function stands in for the signal: at the nth line or call that a statement executes, it cancels.
"""

from __future__ import annotations

import gc
import random
import struct
import sys
from collections.abc import Callable, Iterator
from inspect import CO_GENERATOR
from types import FrameType
from typing import Any

import pytest
from memory_server import ARN, Server, errors, letters, rows

from dsql.hub.waiter import NEVER
from dsql.session.handed import HandedSession
from dsql.session.interrupts import FREE, RAISED, RESTING
from dsql.session.session import Session
from dsql.wire import client

PLACES = 8  # per statement; a seed says which

SETUP = (
    "CREATE TABLE t (id int PRIMARY KEY, a int, b text)",
    "INSERT INTO t SELECT g, g % 7, 'x' || g FROM generate_series(1, 40) g",
    "CREATE TABLE u (id int PRIMARY KEY, t_id int, n numeric)",
    "INSERT INTO u SELECT g, g % 40, g / 3.0 FROM generate_series(1, 30) g",
    "CREATE TABLE w (x int NOT NULL)",
    "INSERT INTO w VALUES (1), (2)",
)
# What must be the same after a statement that was cancelled as before it.
PROBES = (
    "SELECT count(*), sum(a), max(b) FROM t",
    "SELECT count(*), sum(n) FROM u",
    "UPDATE w SET x = x",
    "SHOW timezone",
    "SELECT relname FROM pg_class WHERE relname IN ('t', 'u', 'v', 'i', 'p', 'w_pkey') ORDER BY 1",
    "SELECT count(*) FROM sys.jobs WHERE status NOT IN ('completed', 'failed')",
)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def extended(text: str, *, rows_max: int = 0) -> bytes:
    return (
        message(b"P", b"\0" + text.encode() + b"\0\0\0")
        + message(b"B", b"\0\0\0\0\0\0\0\0")
        + message(b"D", b"P\0")
        + message(b"E", b"\0" + struct.pack("!i", rows_max))
        + message(b"S", b"")
    )


def copy_in(text: str, data: bytes) -> bytes:
    return client.query(text) + message(b"d", data) + message(b"c", b"")


STATEMENTS = {
    "select": client.query("SELECT a, count(*) FROM t WHERE id > 3 GROUP BY a ORDER BY 2, 1"),
    "join": client.query(
        "SELECT t.b, u.n FROM t JOIN u ON u.t_id = t.id WHERE u.n > 2 ORDER BY 1 LIMIT 5"
    ),
    "with": client.query(
        "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 9)"
        " SELECT sum(x), array_agg(x ORDER BY x DESC) FROM r"
    ),
    "catalog": client.query("SELECT count(*) FROM information_schema.columns"),
    "fold": client.query("SELECT " + " + ".join(["length(repeat('x', 9))"] * 60)),
    "extended": extended("SELECT b FROM t ORDER BY id"),
    "some rows": extended("SELECT b FROM t ORDER BY id", rows_max=3),
    "insert": client.query("INSERT INTO t SELECT g, 1, 'y' FROM generate_series(50, 60) g"),
    "upsert": client.query(
        "INSERT INTO t VALUES (1, 5, 'z'), (99, 5, 'z') ON CONFLICT (id) DO UPDATE SET a = 9"
    ),
    "update": client.query("UPDATE t SET a = a + 1, b = b || '!' WHERE id < 9 RETURNING id"),
    "delete": client.query("DELETE FROM t USING u WHERE u.id = t.id AND u.n > 3"),
    "script": client.query("BEGIN; DELETE FROM t WHERE id = 5; SAVEPOINT s; COMMIT"),
    "savepoint": client.query(
        "BEGIN; SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; UPDATE t SET a = 0 WHERE id = 3; COMMIT"
    ),
    "cursor": client.query("BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 3 FROM c; COMMIT"),
    "set": client.query("SET timezone TO 'Asia/Tokyo'"),
    "explain": client.query("EXPLAIN ANALYZE SELECT * FROM t, u WHERE t.id = u.id"),
    "create table": client.query("CREATE TABLE v (id int PRIMARY KEY, t text UNIQUE)"),
    "alter table": client.query("ALTER TABLE u ADD COLUMN m int"),
    "create index": client.query("CREATE INDEX i ON t (a)"),
    "rewrite": client.query("ALTER TABLE w ADD PRIMARY KEY (x)"),
    "drop": client.query("DROP TABLE u"),
    "temporary": client.query(
        "CREATE TEMP TABLE p (id serial PRIMARY KEY, b text); INSERT INTO p (b) SELECT b FROM t;"
        " CREATE INDEX ON p (b); INSERT INTO u SELECT id + 90 FROM p"
    ),
    "copy in": copy_in("COPY u FROM STDIN", b"70\t1\t1.5\n71\t2\t2.5\n"),
    "copy out": client.query("COPY (SELECT * FROM t ORDER BY id) TO STDOUT"),
}


class ScriptedConnection:
    """The client's messages come from a list; a function among them is called in its place."""

    stalled = False

    def __init__(self, script: Iterator[bytes | Callable[[], None]]) -> None:
        self._script = script
        self.sent = bytearray()
        self.on_stall: Callable[[], None] = lambda: None
        self.deadline = NEVER

    def receive(self) -> bytes:
        for step in self._script:
            if isinstance(step, bytes):
                return step
            step()
        return b""

    def send(self, data: bytes | bytearray) -> None:
        self.sent += data

    def take(self) -> list[tuple[str, bytes]]:
        answers, rest = client.split_answers(bytes(self.sent))
        assert not rest
        self.sent.clear()
        return answers

    def hurry(self) -> None:
        pass

    def is_gone(self) -> bool:
        return False

    def end_input(self) -> None:
        pass

    def close(self) -> None:
        pass

    def detach(self) -> Any:
        raise AssertionError


class Tracer:
    """Counts the lines and calls of a statement, and cancels it at one of them (0: never)."""

    def __init__(self, session: Session, at: int) -> None:
        self._interrupts = session.interrupts
        self._left = at
        self.lines = 0

    def start(self) -> None:
        sys.settrace(self._call)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line(frame, event, argument) if self._interrupts.state != RESTING else None

    def _line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        # A generator that is closed is called as well, but that is no place where a signal is looked at.
        is_place = event == "line" or (event == "call" and not frame.f_code.co_flags & CO_GENERATOR)
        if is_place and self._interrupts.state in (FREE, RAISED):
            self.lines += 1
            if self.lines == self._left:
                self._interrupts.cancel()
            if 0 < self._left <= self.lines:
                self._interrupts.tick(frame)
        return self._line


class Run:
    """One session that runs a statement, cancelled at a line, between probes of what there is."""

    def __init__(self, statement: bytes, at: int) -> None:
        self._connection = ScriptedConnection(self._steps(statement))
        server = Server("postgres")
        self._store = server.store
        names = {"user": "admin", "database": "postgres"}
        handed = HandedSession("a" * 26, "admin", "postgres", ARN, names, 7, 8, "", None, b"")
        self._session = Session(handed, self._connection, server.environment())
        self._tracer = Tracer(self._session, at)
        self.before: list[Any] = []
        self.answers: list[tuple[str, bytes]] = []
        self.after: list[Any] = []
        before = sys.gettrace()
        try:
            self._session.run()
        finally:
            sys.settrace(before)

    def _steps(self, statement: bytes) -> Iterator[bytes | Callable[[], None]]:
        for text in SETUP:
            yield client.query(text)
        yield from self._probe(self.before)
        yield self._tracer.start
        yield statement
        yield lambda: sys.settrace(None)
        self.answers = self._connection.take()
        if self.answers[-1][1] != b"I":
            yield client.query("ROLLBACK")
        yield from self._probe(self.after)

    def _probe(self, found: list[Any]) -> Iterator[bytes]:
        self._connection.sent.clear()
        for text in PROBES:
            yield client.query(text)
            answers = self._connection.take()
            found.append(rows(answers) or [fields["M"] for fields in errors(answers)])

    @property
    def lines(self) -> int:
        return self._tracer.lines

    def check(self, undisturbed: Run) -> bool:
        """Check what the session said against what it did; return whether it was cancelled."""
        assert letters(self.answers).count("Z") == 1, letters(self.answers)
        assert gc.isenabled()
        failures = errors(self.answers)
        if failures:
            ((code, text),) = [(fields["C"], fields["M"]) for fields in failures]
            assert (code, text) == ("57014", "canceling statement due to user request")
            assert self.after == self.before
        else:
            assert self.answers == undisturbed.answers
            assert self.after == undisturbed.after
        return bool(failures)


@pytest.mark.parametrize("name", STATEMENTS)
def test_an_interrupt_at_any_line_leaves_the_session_sound(name: str) -> None:
    statement = STATEMENTS[name]
    Run(statement, 0)  # fills the caches of the process
    undisturbed = Run(statement, 0)
    assert not errors(undisturbed.answers), errors(undisturbed.answers)
    places = random.Random(name).sample(range(1, undisturbed.lines), PLACES)
    cancelled = [Run(statement, at).check(undisturbed) for at in places]
    assert any(cancelled)
