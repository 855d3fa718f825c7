"""Which statement is what: queries, COPY, and utility statements with what they need and do, in one table.

What is not the session's own business comes from `dsql.ddl.execute`; what the profile refuses is in
`dsql.sql.refusals`. Nothing runs that has not passed `dsql.access.authorize`: utility statements do so
when they run, queries on whatever road when they are compiled (`dsql.session.pipeline`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dsql.access.privileges import Privilege
from dsql.access.requirements import Requirement, privilege_on
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import execute as ddl
from dsql.ddl.execute import Utility, nothing, own_rules
from dsql.ddl.lacking_statements import check_names
from dsql.ddl.naming import find_relation, refuse_kinds, require_table
from dsql.ddl.nodes import enum_name
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.temporary_tables import drop_temporary_tables
from dsql.errors import SqlError, read_only_error, unsupported
from dsql.executor.program import OutputColumn
from dsql.session import advisory_locks, cursors, listening, prepared, procedures
from dsql.session.constraint_modes import run_set_constraints
from dsql.session.copying import CopyStatement
from dsql.session.create_table_as import create_table_as, create_table_as_requires
from dsql.session.executing import ExecuteStatement
from dsql.session.explain import explain_statement
from dsql.session.materialized_views import refresh_materialized_view, refresh_requires
from dsql.session.pipeline import QUERIES, ParameterTypes
from dsql.session.role_settings import run_alter_role_set
from dsql.session.schema_elements import run_elements
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

_NOT_DDL = frozenset(("Cluster", "Reindex", "Truncate", "Vacuum"))
_ADJECTIVES = frozenset(
    "OR REPLACE TEMP TEMPORARY GLOBAL LOCAL UNLOGGED UNIQUE RECURSIVE DEFAULT".split()
)
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
    road = ROADS.get(parsed.name)
    if road is not None:
        return road(state, parsed, declared)
    return UtilityStatement(state, _columns(parsed), _runner(state, parsed))


# Ways on which queries run, other than by themselves; the last argument is for those with parameters.
ROADS: dict[str, Callable[[SessionState, ParsedStatement, ParameterTypes], Statement]] = {
    "Copy": lambda state, parsed, _: CopyStatement(state, parsed),
    "Execute": lambda state, parsed, _: ExecuteStatement(state, parsed),
    "Explain": explain_statement,
    "DeclareCursor": cursors.DeclareStatement,
    "Fetch": lambda state, parsed, _: cursors.fetch_statement(state, parsed),
}


def _runner(state: SessionState, parsed: ParsedStatement) -> Callable[[], UtilityResult]:
    """Return what runs a utility statement, if the session's role may."""
    own, changes = UTILITIES.get(parsed.name), ddl.UTILITIES.get(parsed.name)
    if own is not None:
        return lambda: own.run(parsed, state, state.context.authority)
    if changes is not None:
        return lambda: _run_ddl(changes, parsed, state)
    return lambda: _refused(parsed, state)


def _refused(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Refuse a statement that there is no handler for, once its names and its query have passed."""
    check_names(parsed, state.context)
    raise unsupported(f"unsupported statement: {parsed.name}")


def _run_ddl(
    utility: Utility[UtilityContext], parsed: ParsedStatement, state: SessionState
) -> UtilityResult:
    if parsed.name not in _NOT_DDL:
        state.block.note_ddl(_command(parsed))
    elif parsed.name == "Truncate" and state.context.read_only:
        raise read_only_error("TRUNCATE TABLE")
    try:
        result = utility.run(parsed, state.context, state.context.authority)
        if parsed.name == "CreateSchema" and parsed.node.schema_elts:
            run_elements(parsed, result, state)
        return result
    finally:
        state.block.forget_catalog()


def _command(parsed: ParsedStatement) -> str:
    """Return what a DDL statement is called in errors, about as its command tag: CREATE INDEX."""
    first, *rest = parsed.text.upper().split()[:6]
    if first not in ("CREATE", "ALTER", "DROP"):
        return first
    kind = next((word for word in rest if word not in _ADJECTIVES), "")
    return f"{first} {kind}".rstrip()


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


def _run_set(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    return run_set(parsed.node, state)


def _run_show(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    return run_show(parsed.node, state)


def _run_discard(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    target = enum_name(parsed.node, "target").removeprefix("DISCARD_")
    if target == "ALL" and state.block.is_block:
        raise SqlError("25001", "DISCARD ALL cannot run inside a transaction block")
    if target in ("ALL", "TEMP") and state.block.catalog.temporary is not None:
        drop_temporary_tables(state.context)
        state.block.forget_catalog()
    if target == "ALL":
        state.settings.set("session_authorization", None, local=False)
        state.settings.reset_all()
        state.statements.clear()
        cursors.close_all(state)
        listening.unlisten(state)
        advisory_locks.give_all_up(state)
    if target in ("ALL", "SEQUENCES"):
        state.sequences.discard()
    return UtilityResult(f"DISCARD {target}")


_LOCK_PRIVILEGES = {
    1: Privilege.SELECT,  # AccessShareLock
    3: Privilege.INSERT
    | Privilege.UPDATE
    | Privilege.DELETE
    | Privilege.TRUNCATE,  # RowExclusiveLock
}
_STRONG_LOCK = Privilege.UPDATE | Privilege.DELETE | Privilege.TRUNCATE


def _lock_requires(parsed: ParsedStatement, state: SessionState) -> Iterator[Requirement]:
    if not state.block.is_block:
        raise SqlError("25P01", "LOCK TABLE can only be used in transaction blocks")
    for wrapped in parsed.node.relations:
        refuse_kinds(state.context, wrapped.range_var, "lock", "iS")
        found = find_relation(state.context, wrapped.range_var)
        if isinstance(found, VirtualTable):
            continue  # everybody may read it
        table = require_table(state.context, wrapped.range_var, "rvm")
        yield privilege_on(table, _LOCK_PRIVILEGES.get(parsed.node.mode, _STRONG_LOCK))


def _run_lock(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """A snapshot is all that ACCESS SHARE asks for; real locks do not exist."""
    del state
    if parsed.node.mode != 1:
        raise unsupported("LOCK TABLE in other modes than ACCESS SHARE is not supported")
    return UtilityResult("LOCK TABLE")


UTILITIES: dict[str, Utility[SessionState]] = {
    "VariableSet": Utility(nothing, _run_set),  # a parameter has its own check
    "VariableShow": Utility(nothing, _run_show),
    "Deallocate": Utility(nothing, prepared.run_deallocate),
    "Prepare": Utility(nothing, prepared.run_prepare),  # its statement passes the step itself
    "Discard": Utility(nothing, _run_discard),
    "Listen": Utility(nothing, listening.run_listen),
    "Unlisten": Utility(nothing, listening.run_unlisten),
    "Notify": Utility(nothing, listening.run_notify),
    "Lock": Utility(_lock_requires, _run_lock),
    "CreateTableAs": Utility(create_table_as_requires, create_table_as),
    "RefreshMatView": Utility(refresh_requires, refresh_materialized_view),
    "ConstraintsSet": Utility(nothing, run_set_constraints),
    "Call": Utility(nothing, procedures.run_call),
    "AlterRoleSet": Utility(own_rules, run_alter_role_set),
    "ClosePortal": Utility(nothing, cursors.run_close),
}
