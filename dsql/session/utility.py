"""Which statement is what: queries, COPY, and utility statements with their handlers, in one table.

What is not the session's own business goes to `dsql.ddl.execute`; what the profile refuses is in
`dsql.sql.refusals`.
"""

from __future__ import annotations

from collections.abc import Callable

from dsql.ddl.execute import execute as execute_ddl
from dsql.ddl.naming import require_table
from dsql.ddl.nodes import enum_name
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.executor.program import OutputColumn
from dsql.session import cursors, procedures
from dsql.session.block import State
from dsql.session.copying import CopyStatement
from dsql.session.explain import explain_statement
from dsql.session.pipeline import QUERIES, ParameterTypes
from dsql.session.state import SessionState
from dsql.session.statement import (
    Columns,
    QueryStatement,
    Statement,
    TransactionStatement,
    UtilityStatement,
)
from dsql.session.transactions import read_command, run_command
from dsql.session.variables import run_set, run_show, show_columns
from dsql.sql.gate import ParsedStatement
from dsql.sql.refusals import check_statement
from dsql.types import oids

_NOT_DDL = frozenset(("Truncate", "Vacuum"))
_JOB_COLUMNS = (OutputColumn("job_id", oids.TEXT),)


def make_statement(
    state: SessionState, parsed: ParsedStatement, declared: ParameterTypes = None, name: str = ""
) -> Statement:
    """Return what can be bound and executed. `declared` are the parameter types the client gave."""
    if parsed.name in QUERIES:
        return QueryStatement(state, parsed, declared, name)
    if parsed.name == "Transaction":
        command = read_command(parsed, state)
        return TransactionStatement(
            state,
            lambda: run_command(command, state),
            ends_failed_block=command.ends_failed_block,
        )
    _ = state.context.standpoint  # which a session whose role was dropped does not have any more
    _refuse(state, parsed)
    if parsed.name == "Copy":
        return CopyStatement(state, parsed)
    if parsed.name == "Explain":
        return explain_statement(state, parsed)
    if parsed.name == "Fetch":
        state.check_not_failed()
        return cursors.fetch_statement(state, parsed)
    run = _HANDLERS.get(parsed.name, _run_ddl)
    return UtilityStatement(state, _columns(parsed), lambda: run(parsed, state))


def _refuse(state: SessionState, parsed: ParsedStatement) -> None:
    settings = state.settings
    if settings.profile == "dsql":
        state.check_not_failed()  # comes before the refusal, as Aurora DSQL has it
    synchronous = settings.show("disable_sync_create_index") == "off"
    check_statement(parsed, settings.profile, synchronous_index=synchronous)


def _columns(parsed: ParsedStatement) -> Columns:
    """Return the result columns of a utility statement, known before it runs."""
    if parsed.name == "VariableShow":
        return show_columns(parsed.node.name)
    if parsed.name in ("Index", "AlterTable") and parsed.asynchronous:
        return _JOB_COLUMNS
    if parsed.name == "Call":
        return procedures.COLUMNS
    return None


def _run_ddl(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    if parsed.name not in _NOT_DDL:
        state.block.note_ddl(parsed.text.split(None, 1)[0].upper())
    try:
        return execute_ddl(parsed, state.context)
    finally:
        state.block.forget_catalog()


def _run_set(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    return run_set(parsed.node, state)


def _run_show(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    return run_show(parsed.node, state)


def _run_deallocate(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    if parsed.node.isall:
        state.statements.clear()
        return UtilityResult("DEALLOCATE ALL")
    if state.statements.pop(parsed.node.name.encode(), None) is None:
        raise SqlError("26000", f'prepared statement "{parsed.node.name}" does not exist')
    return UtilityResult("DEALLOCATE")


def _run_discard(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    target = enum_name(parsed.node, "target").removeprefix("DISCARD_")
    if target == "ALL":
        if state.block.state is State.OPEN:
            raise SqlError("25001", "DISCARD ALL cannot run inside a transaction block")
        state.settings.set("session_authorization", None, local=False)
        state.settings.reset_all()
        state.statements.clear()
        state.portals.clear()
    return UtilityResult(f"DISCARD {target}")


def _run_unlisten(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """LISTEN does not exist, so there is never anything to stop."""
    del parsed, state
    return UtilityResult("UNLISTEN")


def _run_lock(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """A snapshot is all that ACCESS SHARE asks for; real locks do not exist."""
    if state.block.state is not State.OPEN:
        raise SqlError("25P01", "LOCK TABLE can only be used in transaction blocks")
    if parsed.node.mode != 1:  # AccessShareLock
        raise unsupported("LOCK TABLE in other modes than ACCESS SHARE is not supported")
    for relation in parsed.node.relations:
        require_table(state.context, relation.range_var, "rv")
    return UtilityResult("LOCK TABLE")


def _run_constraints(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Without deferrable constraints, ALL of them are none."""
    del state
    if parsed.node.constraints:
        name = parsed.node.constraints[0].range_var.relname
        raise SqlError("42704", f'constraint "{name}" does not exist')
    return UtilityResult("SET CONSTRAINTS")


_HANDLERS: dict[str, Callable[[ParsedStatement, SessionState], UtilityResult]] = {
    "VariableSet": _run_set,
    "VariableShow": _run_show,
    "Deallocate": _run_deallocate,
    "Discard": _run_discard,
    "Unlisten": _run_unlisten,
    "Lock": _run_lock,
    "ConstraintsSet": _run_constraints,
    "Call": procedures.run_call,
    "DeclareCursor": cursors.run_declare,
    "ClosePortal": cursors.run_close,
}
