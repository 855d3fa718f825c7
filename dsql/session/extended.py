"""The extended protocol: Parse, Bind, Describe, Execute, Close, Flush, Sync.

Each handler takes a message's body and appends its answer. An error ends the pipeline: what follows is
skipped up to the next Sync. All of a pipeline outside a block is one implicit transaction, committed by
Sync.
"""

from __future__ import annotations

from typing import Any

from dsql.errors import SqlError, syntax_error
from dsql.session.block import State
from dsql.session.compiled import describe_columns
from dsql.session.cursors import DeclareStatement
from dsql.session.explain import ExplainStatement
from dsql.session.pipeline import ParameterTypes, parse
from dsql.session.prepared import (
    check_is_new,
    find_statement,
    keep_statement,
    make_prepared,
)
from dsql.session.record import PreparedRecord
from dsql.session.state import SessionState
from dsql.session.statement import (
    EmptyStatement,
    MovedStatement,
    QueryStatement,
    Statement,
    TransactionStatement,
    check_may_run,
)
from dsql.session.utility import make_statement
from dsql.sql.script import Script
from dsql.wire import backend, frontend

READY = {
    State.IDLE: backend.READY_IDLE,
    State.IMPLICIT: backend.READY_IDLE,
    State.OPEN: backend.READY_IN_BLOCK,
    State.FAILED: backend.READY_FAILED,
}


# What drivers send all the time, taken apart once.
_EXECUTE_UNNAMED = b"\0" + bytes(4)
_PORTAL_UNNAMED = frontend.Target(b"P", b"")


class ExtendedProtocol:
    """Handlers by message."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._out = state.out
        self._statements = state.statements
        self._portals = state.portals
        self._block = state.block
        self._interrupts = state.interrupts

    def parse(self, body: bytes) -> None:
        """Parse: make a statement, whose types are then settled."""
        self._interrupts.begin_statement()
        message = frontend.parse_parse(body)
        state, name = self._state, message.statement.encode()
        state.said = message.query
        if name:
            check_is_new(state, name)
        else:
            self._statements.pop(b"", None)
        scripts = parse(message.query, state.environment.plans)
        for one in scripts:
            state.notice_long_names(one.long_names)
        if len(scripts) > 1:
            raise syntax_error("cannot insert multiple commands into a prepared statement")
        statement = _make(state, scripts, message.parameter_types, message.statement)
        check_may_run(state, statement)
        statement.describe()
        keep_statement(state, name, statement, message.query)
        self._out += backend.PARSE_COMPLETE

    def bind(self, body: bytes) -> None:
        """Bind: make a portal."""
        self._interrupts.begin_statement()
        message = frontend.parse_bind(body)
        statement = find_statement(self._state, message.statement)
        if self._block.renews and not isinstance(statement, TransactionStatement):
            self._state.look_again()
        self._state.said = self._state.sources[message.statement].text
        if self._block.state is State.FAILED:
            check_may_run(self._state, statement)
        name = message.portal
        if name and name in self._portals:
            raise SqlError("42P03", f'cursor "{name.decode(errors="replace")}" already exists')
        self._portals[name] = statement.bind(message)
        self._out += backend.BIND_COMPLETE

    def describe(self, body: bytes) -> None:
        """Describe: say what a statement or portal takes and gives."""
        self._interrupts.begin_statement()
        target = _PORTAL_UNNAMED if body == b"P\0" else frontend.parse_target(body)
        if target.kind == b"P":
            portal = self._portals.get(target.name)
            if portal is None:
                raise _no_portal(target.name)
            self._out += portal.description
            return
        statement = find_statement(self._state, target.name)
        check_may_run(self._state, statement)
        types, columns = statement.describe()
        self._out += backend.parameter_description(types)
        if columns is None:
            self._out += backend.NO_DATA
        else:
            self._out += describe_columns(
                columns, (0,) * len(columns), self._state.settings.formats
            )

    def execute(self, body: bytes) -> None:
        """Execute: run a portal."""
        if body == _EXECUTE_UNNAMED:
            name, row_limit = b"", 0
        else:
            message = frontend.parse_execute(body)
            name, row_limit = message.portal, message.row_limit
        portal = self._portals.get(name)
        if portal is None:
            raise _no_portal(name)
        portal.execute(row_limit)
        self._interrupts.end_statement()

    def close(self, body: bytes) -> None:
        """Close: forget a statement or portal, known or not."""
        target = frontend.parse_target(body)
        known: dict[bytes, Any] = self._portals if target.kind == b"P" else self._statements
        known.pop(target.name, None)
        if target.kind == b"P":
            self._state.held.pop(target.name, None)
        self._out += backend.CLOSE_COMPLETE

    def flush(self, body: bytes) -> None:
        """Flush: send what there is."""
        frontend.parse_empty(body)
        self._state.send()

    def sync(self, body: bytes) -> None:
        """Sync: end the pipeline, and with it the implicit transaction."""
        if body:
            frontend.parse_empty(body)
        self._interrupts.hold()
        state = self._block.state
        if state is State.IMPLICIT:
            self._block.commit()
            state = State.IDLE
        elif state is State.IDLE and self._portals:
            self._state.forget_portals()  # of the empty statement, which needs no transaction
        self._out += READY[state]


def _make(state: SessionState, script: Script, types: ParameterTypes, name: str) -> Statement:
    """Return the statement of a script that has one or none."""
    if not script:
        return EmptyStatement(state)
    (only,) = script
    parsed = only.parsed()
    if state.block.state is State.FAILED and parsed.name != "Transaction":
        state.check_not_failed()
    return make_statement(state, parsed, types, name)


def moved_statement(state: SessionState, record: PreparedRecord) -> MovedStatement:
    """Return a statement of another process, which is made again when it is needed."""

    def make(moved: MovedStatement) -> Statement:
        script = parse(record.text, state.environment.plans)
        if record.by_sql:
            (only,) = script
            made: Statement = make_prepared(state, only.parsed(), moved.types)
        else:
            made = _make(state, script, moved.types, record.name)
        if isinstance(made, QueryStatement | ExplainStatement | DeclareStatement):
            made.settle(moved.types, moved.columns)
        return made

    return MovedStatement(record.types, record.columns, make)


def _no_portal(name: bytes) -> SqlError:
    return SqlError("34000", f'portal "{name.decode(errors="replace")}" does not exist')
