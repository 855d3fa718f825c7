"""Runs statements of the grammar: anything but an answer or one of PostgreSQL's errors is a failure."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fuzz.grammar import EXPLAIN, Statement
from memory_database import Database, tables

from dsql.errors import SqlError

ROWS = (
    "insert into t values (1, 10, 'one', 1.5), (2, 20, 'two', null), (3, null, null, -3)",
    "insert into u (id, t_id, code, flag) values (1, 1, 'a', true), (2, 1, null, false), (3, 9, 'c', null)",
    "insert into heap values (1, 'a'), (2, 'b'), (null, 'c'), (1, null)",
    "insert into pair values (1, 'a', 1), (1, 'b', null), (2, 'a', 3)",
    "insert into odd values (1, 'A@x', true, 1), (2, 'b@x', false, null)",
)
CANCEL_SECONDS = 1.0  # a statement is asked to stop after that, and
STOP_SECONDS = 20.0  # must have stopped after that
_MEANINGLESS = frozenset({"XX000"})


class UnexpectedEndError(Exception):
    """A statement ended in what PostgreSQL would not end it in."""


def new_database() -> Database:
    """Return a database with some rows."""
    database = Database(tables())
    for text in ROWS:
        database.count(text)
    return database


def run(database: Database, statement: Statement) -> str:
    """Run a statement twice as a prepared one; return "" or its SQLSTATE. Raises UnexpectedEndError."""
    context = database.context
    start = time.monotonic()

    def check_cancel() -> None:
        if time.monotonic() - start > CANCEL_SECONDS:
            raise SqlError("57014", "canceling statement due to statement timeout")

    context.check_cancel = check_cancel  # type: ignore[method-assign]
    text = statement.text
    explained = text.removeprefix(EXPLAIN)
    try:
        with _alarm():
            program = database.prepare(explained, statement.types)
            if explained is not text:
                database.explain(explained)
            for _ in range(2):
                for _ in program.rows(context, statement.values):
                    pass
                program.emit(
                    context, statement.values, bytearray(), (1,) if program.columns else ()
                )
    except SqlError as error:
        if error.sqlstate in _MEANINGLESS:
            raise UnexpectedEndError(f"{error.sqlstate} {error.message}: {text}") from error
        return error.sqlstate
    except RecursionError:
        return "54001"
    except Exception as error:
        raise UnexpectedEndError(f"{type(error).__name__}: {error}: {text}") from error
    return ""


@contextmanager
def _alarm() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> Any:
        raise TimeoutError("the statement does not notice that it is cancelled")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
