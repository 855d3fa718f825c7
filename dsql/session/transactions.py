"""BEGIN, COMMIT, ROLLBACK, savepoints, and their options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dsql.catalog.schema import ADMIN_OID
from dsql.ddl.nodes import enum_name
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError
from dsql.session.block import State
from dsql.session.cursors import forget_since
from dsql.session.isolation import Modes, modes_of
from dsql.session.state import SessionState
from dsql.sql.gate import ParsedStatement
from dsql.sql.refusals import DSQL, check_statement

_SAVEPOINT_NAMES = {
    "SAVEPOINT": "SAVEPOINT",
    "RELEASE": "RELEASE SAVEPOINT",
    "ROLLBACK_TO": "ROLLBACK TO SAVEPOINT",
}


@dataclass(frozen=True, slots=True)
class TransactionCommand:
    """A transaction statement taken off its node.

    `ends_failed_block`: it may run in a failed block.
    """

    kind: str  # BEGIN, START, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK_TO, ...
    modes: Modes
    chain: bool
    savepoint: str
    ends_failed_block: bool


def read_command(parsed: ParsedStatement, state: SessionState) -> TransactionCommand:
    """Return the command of a TransactionStmt, from the cache if the text was seen before.

    Raises SqlError 0A000 for what the profile refuses, but first 25P02 in a block that has failed.
    """
    plans, profile = state.environment.plans, state.settings.profile
    key = ("transaction", parsed.text, profile)
    found: TransactionCommand | None = plans.get(key)
    if found is None:
        found = _command(parsed.node, profile)
        if not found.ends_failed_block:
            state.check_not_failed()
        check_statement(parsed, profile)
        plans.keep(key, found, parsed.text)
    return found


def _command(node: Any, profile: str) -> TransactionCommand:
    kind = enum_name(node, "kind").removeprefix("TRANS_STMT_")
    return TransactionCommand(
        kind,
        modes_of(node.options),
        node.chain,
        node.savepoint_name,
        kind in ("COMMIT", "ROLLBACK") or (kind == "ROLLBACK_TO" and profile != DSQL),
    )


def run_command(command: TransactionCommand, state: SessionState) -> UtilityResult:
    """Run a transaction statement."""
    if command.kind in ("BEGIN", "START"):
        return _begin(command, state)
    if command.kind in ("COMMIT", "ROLLBACK"):
        return _end(command, state)
    return _savepoint(command, state)


def _begin(command: TransactionCommand, state: SessionState) -> UtilityResult:
    result = UtilityResult("BEGIN" if command.kind == "BEGIN" else "START TRANSACTION")
    if not state.block.begin(command.modes):
        message = "there is already a transaction in progress"
        result.notice("25001", message, severity="WARNING")
    return result


def _end(command: TransactionCommand, state: SessionState) -> UtilityResult:
    block = state.block
    in_block = block.state in (State.OPEN, State.FAILED)
    if command.chain and not in_block:
        raise SqlError("25P01", f"{command.kind} AND CHAIN can only be used in transaction blocks")
    if not block.has_looked and state.settings.session_role != ADMIN_OID:
        _ = (
            state.context.standpoint
        )  # which a session whose role was dropped does not have any more
    modes = block.progress.modes
    commits = command.kind == "COMMIT" and block.state is not State.FAILED
    result = UtilityResult("COMMIT" if commits else "ROLLBACK")
    if not in_block:
        result.notice("25P01", "there is no transaction in progress", severity="WARNING")
    if commits:
        block.commit()
    else:
        block.rollback()
    if command.chain:
        block.begin(modes)
    return result


def _savepoint(command: TransactionCommand, state: SessionState) -> UtilityResult:
    block = state.block
    if block.state not in (State.OPEN, State.FAILED):
        name = _SAVEPOINT_NAMES[command.kind]
        raise SqlError("25P01", f"{name} can only be used in transaction blocks")
    if command.kind == "SAVEPOINT":
        block.define_savepoint(command.savepoint)
        return UtilityResult("SAVEPOINT")
    if command.kind == "RELEASE":
        block.release_savepoint(command.savepoint)
        return UtilityResult("RELEASE")
    forget_since(state, block.rollback_to_savepoint(command.savepoint))
    return UtilityResult("ROLLBACK")
