"""BEGIN, COMMIT, ROLLBACK, savepoints, and their options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dsql.ddl.nodes import enum_name
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.session.block import State
from dsql.session.state import SessionState, in_failed_block
from dsql.sql.gate import ParsedStatement

_REFUSED_NAMES = {
    "SAVEPOINT": "SAVEPOINT",
    "RELEASE": "RELEASE",
    "ROLLBACK_TO": "ROLLBACK TO",
    "PREPARE": "PREPARE TRANSACTION",
    "COMMIT_PREPARED": "COMMIT PREPARED",
    "ROLLBACK_PREPARED": "ROLLBACK PREPARED",
}
_SAVEPOINTS = ("SAVEPOINT", "RELEASE", "ROLLBACK_TO")


@dataclass(frozen=True, slots=True)
class TransactionCommand:
    """A transaction statement taken off its node. `read_only` None: not said."""

    kind: str  # BEGIN, START, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK_TO, ...
    isolation: str = ""
    read_only: bool | None = None
    chain: bool = False
    savepoint: str = ""

    @property
    def ends_failed_block(self) -> bool:
        """Whether it may run in a failed block."""
        return self.kind in ("COMMIT", "ROLLBACK", "ROLLBACK_TO")


def read_command(parsed: ParsedStatement, state: SessionState) -> TransactionCommand:
    """Return the command of a TransactionStmt, from the cache if the text was seen before."""
    plans = state.environment.plans
    key = ("transaction", parsed.text)
    found: TransactionCommand | None = plans.get(key)
    if found is None:
        node = parsed.node
        isolation, read_only = read_modes(node.options)
        kind = enum_name(node, "kind").removeprefix("TRANS_STMT_")
        found = TransactionCommand(kind, isolation, read_only, node.chain, node.savepoint_name)
        plans.put(key, found)
    return found


def read_modes(options: Any) -> tuple[str, bool | None]:
    """Return the isolation level in upper case ("" if not said) and whether READ ONLY is asked for."""
    isolation, read_only = "", None
    for option in options:
        element = option.def_elem
        if element.defname == "transaction_isolation":
            isolation = element.arg.a_const.sval.sval.upper()
        elif element.defname == "transaction_read_only":
            read_only = bool(element.arg.a_const.ival.ival)
    return isolation, read_only


def check_isolation(isolation: str, profile: str) -> None:
    """Refuse what is weaker (dsql) or stronger than snapshot isolation."""
    weaker = ("READ COMMITTED", "READ UNCOMMITTED") if profile == "postgres" else ()
    if isolation and isolation not in ("REPEATABLE READ", *weaker):
        raise unsupported(f"Unsupported isolation level: {isolation}")


def run_command(command: TransactionCommand, state: SessionState) -> UtilityResult:
    """Run a transaction statement."""
    if command.kind in ("BEGIN", "START"):
        return _begin(command, state)
    if command.kind in ("COMMIT", "ROLLBACK"):
        return _end(command, state)
    if state.settings.profile == "dsql" or command.kind not in _SAVEPOINTS:
        if state.block.state is State.FAILED:
            raise in_failed_block()
        raise unsupported(f"unsupported transaction statement: {_REFUSED_NAMES[command.kind]}")
    return _savepoint(command, state)


def _begin(command: TransactionCommand, state: SessionState) -> UtilityResult:
    check_isolation(command.isolation, state.settings.profile)
    read_only = command.read_only
    if read_only is None:
        read_only = state.settings.show("default_transaction_read_only") == "on"
    result = UtilityResult("BEGIN" if command.kind == "BEGIN" else "START TRANSACTION")
    if not state.block.begin(read_only=read_only):
        message = "there is already a transaction in progress"
        result.notice("25001", message, severity="WARNING")
    return result


def _end(command: TransactionCommand, state: SessionState) -> UtilityResult:
    block = state.block
    if command.chain and state.settings.profile == "dsql":
        raise unsupported(f"unsupported transaction statement: {command.kind} AND CHAIN")
    in_block = block.state in (State.OPEN, State.FAILED)
    if command.chain and not in_block:
        raise SqlError("25P01", f"{command.kind} AND CHAIN can only be used in transaction blocks")
    read_only = block.read_only
    commits = command.kind == "COMMIT" and block.state is not State.FAILED
    result = UtilityResult("COMMIT" if commits else "ROLLBACK")
    if not in_block:
        result.notice("25P01", "there is no transaction in progress", severity="WARNING")
    if commits:
        block.commit()
    else:
        block.rollback()
    if command.chain:
        block.begin(read_only=read_only)
    return result


def _savepoint(command: TransactionCommand, state: SessionState) -> UtilityResult:
    block = state.block
    if block.state not in (State.OPEN, State.FAILED):
        name = _REFUSED_NAMES[command.kind].replace("ROLLBACK TO", "ROLLBACK TO SAVEPOINT")
        name = name.replace("RELEASE", "RELEASE SAVEPOINT")
        raise SqlError("25P01", f"{name} can only be used in transaction blocks")
    if command.kind == "SAVEPOINT":
        block.define_savepoint(command.savepoint)
        return UtilityResult("SAVEPOINT")
    if command.kind == "RELEASE":
        block.release_savepoint(command.savepoint)
        return UtilityResult("RELEASE")
    block.rollback_to_savepoint(command.savepoint)
    return UtilityResult("ROLLBACK")
