"""One query's answer from PostgreSQL and from our own pipeline, in a form that compares."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from memory_database import MemoryFacts

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Role, Schema
from dsql.errors import SqlError
from dsql.executor.compiler import prepare
from dsql.executor.memory import Bounds, StatementMemory
from dsql.executor.temporary import TemporarySpace, unnamed_file
from dsql.sql.binder import bind
from dsql.sql.gate import parse_statement
from dsql.types import registry
from dsql.types.type import FormatSettings

SETTINGS: Mapping[str, str] = {
    "timezone": "America/New_York",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "client_encoding": "UTF8",
}


@dataclass(frozen=True)
class Answer:
    """What a SELECT of one column says: its type and texts, or its SQLSTATE and message."""

    type_oid: int = 0
    values: tuple[str | None, ...] = ()
    sqlstate: str = ""
    message: str = field(default="", compare=False)


def _admin() -> Role:
    return Role(10, "postgres", True)


@dataclass
class StatementContext:
    """What functions ask a running statement for."""

    transaction: Any = None
    catalog: Catalog = field(
        default_factory=lambda: Catalog(1, [Schema(2200, "public", 10)], [], [_admin()])
    )
    statement_timestamp: int = 800_000_000_000_000
    transaction_timestamp: int = 800_000_000_000_000
    user: Role = field(default_factory=_admin)
    session_user: Role = field(default_factory=_admin)
    settings: FormatSettings = field(
        default_factory=lambda: FormatSettings(time_zone=SETTINGS["timezone"])
    )
    search_path: tuple[str, ...] = ("public",)
    authority: None = None  # whose rights nobody asks about
    session_id: str = "a" * 26
    profile: str = "postgres"
    facts: MemoryFacts = field(default_factory=MemoryFacts)

    def setting(self, name: str) -> str:
        return SETTINGS.get(name, "")

    def set_setting(self, name: str, value: str | None, *, local: bool) -> str:
        return value or ""

    def check_cancel(self) -> None:
        pass

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    @cached_property
    def memory(self) -> StatementMemory:
        return StatementMemory(Bounds(), TemporarySpace(unnamed_file))


def ask_postgres(connection: psycopg.Connection[Any], query: str) -> Answer:
    """Run a query of one column with text results."""
    result = connection.pgconn.exec_params(query.encode(), None)
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        code = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"?????"
        text = result.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        return Answer(sqlstate=code.decode(), message=text.decode())
    values = (result.get_value(row, 0) for row in range(result.ntuples))
    return Answer(result.ftype(0), tuple(None if v is None else v.decode() for v in values))


def ask_ours(query: str) -> Answer:
    """Run a query of one column through binder, planner and executor."""
    context = StatementContext()
    try:
        bound = bind(
            parse_statement(query), context.catalog, ("public",), context.settings, (),
            profile="postgres",
        )  # fmt: skip
        program = prepare(bound)
        rows = list(program.rows(context, ()))
        oid = program.columns[0].type_oid
        encode = registry.get(oid).text_encoder(context.settings)
        return Answer(oid, tuple(None if r[0] is None else encode(r[0]).decode() for r in rows))
    except SqlError as error:
        return Answer(sqlstate=error.sqlstate, message=error.message)
