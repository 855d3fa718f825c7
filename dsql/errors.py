"""Errors a client may see: SQLSTATE, message, detail, hint and position, as PostgreSQL gives them.

Everything below the session raises `SqlError`; the session turns it into an ErrorResponse. Any other
exception is a bug and reaches the client as XX000 without its text.

Clients also get PostgreSQL's F, L and R: the source file, line and routine that raised the error. Ours are
the module, line and function of this server, read off the traceback when the answer is written, so that
they are true and cost nothing before. Where drivers act upon a routine's name, the error carries
PostgreSQL's (`routine`): pgjdbc and asyncpg prepare a statement anew if `RevalidateCachedQuery` refused it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import FrameType
from typing import Any, NamedTuple


class Origin(NamedTuple):
    """Where an error or notice comes from."""

    file: str
    line: int
    routine: str

    @classmethod
    def of(cls, frame: FrameType, line: int, routine: str = "") -> Origin:
        """Return the place of a running or stopped function."""
        code = frame.f_code
        return cls(os.path.basename(code.co_filename), line, routine or code.co_name)


class SqlError(Exception):
    """One error with the fields of a PostgreSQL ErrorResponse.

    `sqlstate` is five characters (https://www.postgresql.org/docs/16/errcodes-appendix.html);
    `position` counts characters of the statement from 1, 0 means none; `where` is the CONTEXT line;
    `routine` is the function of PostgreSQL's that raises it, if that matters to anybody. `notices` are what
    a utility statement had to say before it failed (`dsql.ddl.result.Notice`); they are sent first.
    `is_at_start`: it is raised when a query would start, which can be described all the same.
    """

    severity = "ERROR"
    notices: Sequence[Any] = ()
    is_at_start = False

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str = "",
        hint: str = "",
        position: int = 0,
        schema: str = "",
        table: str = "",
        column: str = "",
        datatype: str = "",
        constraint: str = "",
        where: str = "",
        routine: str = "",
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.schema = schema
        self.table = table
        self.column = column
        self.datatype = datatype
        self.constraint = constraint
        self.where = where
        self.routine = routine

    @property
    def origin(self) -> Origin | None:
        """Where it was raised; None if it was not."""
        trace = self.__traceback__
        if trace is None:
            return None
        while trace.tb_next is not None:
            trace = trace.tb_next
        return Origin.of(trace.tb_frame, trace.tb_lineno, self.routine)

    @property
    def retryable(self) -> bool:
        """True if running the whole transaction again may succeed."""
        return self.sqlstate in ("40001", "40P01")


class Interrupted(BaseException):
    """A statement is to end now; `error` says why, and is what its session answers.

    No `Exception`, so that nothing that catches a statement's errors takes it for one.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def ends_session(self) -> bool:
        """True if more than the statement ends."""
        return isinstance(self.error, FatalError | ConnectionError)


class ClientGoneError(ConnectionError):
    """The client closed or lost its connection in the middle of something."""


class FatalError(SqlError):
    """An error after which the connection is closed."""

    severity = "FATAL"


def unsupported(message: str, *, position: int = 0, hint: str = "") -> SqlError:
    """Return the refusal (0A000) of something that exists in PostgreSQL but not here."""
    return SqlError("0A000", message, position=position, hint=hint)


def syntax_error(message: str, *, position: int = 0) -> SqlError:
    """Return a syntax error (42601)."""
    return SqlError("42601", message, position=position)


def read_only_error(command: str) -> SqlError:
    """Return the error of a command that writes in a read-only transaction."""
    return SqlError("25006", f"cannot execute {command} in a read-only transaction")


class LostWrite(NamedTuple):
    """What a transaction has lost by: its own write of `key`, made by that statement's number.

    `met` is the timestamp of the commit that was first, in microseconds since 1970. b"" and 0: not known.
    """

    key: bytes = b""
    value: bytes | None = None
    statement: int = 0
    met: int = 0


class ConflictError(SqlError):
    """A transaction has lost against another one, and `lost` by what, as far as that is known."""

    lost = LostWrite()


class DataConflictError(ConflictError):
    """A transaction has lost against a concurrent one (DSQL's OC000)."""

    def __init__(self) -> None:
        super().__init__("40001", "change conflicts with another transaction (OC000)")


class SchemaConflictError(ConflictError):
    """A transaction has used an outdated catalog (DSQL's OC001)."""

    def __init__(self) -> None:
        super().__init__("40001", "schema has been updated by another transaction (OC001)")


def outcome_unknown() -> SqlError:
    """Return the error of a commit that may or may not have happened and could not be resolved."""
    return SqlError(
        "08007",
        "transaction resolution unknown",
        hint="Check whether the transaction's effects are present before trying it again.",
    )
