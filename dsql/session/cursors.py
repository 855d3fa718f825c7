"""SQL's cursors: DECLARE, FETCH, MOVE, CLOSE.

A cursor is a portal under its name, shared with the extended protocol as in PostgreSQL, read forward only,
and gone with its transaction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dsql.ddl.nodes import enum_name, inner
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.session.portal import QueryPortal
from dsql.session.state import SessionState
from dsql.session.statement import SIMPLE_BIND, QueryStatement, UtilityStatement
from dsql.sql.gate import ParsedStatement

_HOLD = 0x20  # CURSOR_OPT_HOLD
_ALL = (1 << 63) - 1  # FETCH_ALL


def run_declare(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run DECLARE name CURSOR FOR query."""
    node = parsed.node
    if node.options & _HOLD:
        raise unsupported("DECLARE CURSOR WITH HOLD is not supported")
    if not state.block.is_block:
        raise SqlError("25P01", "DECLARE CURSOR can only be used in transaction blocks")
    name = node.portalname.encode()
    if name in state.portals:
        raise SqlError("42P03", f'cursor "{node.portalname}" already exists')
    query = replace(parsed, node=inner(node.query), name="Select")
    state.portals[name] = QueryStatement(state, query, None, "").bind(SIMPLE_BIND)
    return UtilityResult("DECLARE CURSOR")


def run_close(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run CLOSE name or CLOSE ALL."""
    name = parsed.node.portalname
    if not name:
        state.portals.clear()
        return UtilityResult("CLOSE CURSOR ALL")
    _find(state, name)
    del state.portals[name.encode()]
    return UtilityResult("CLOSE CURSOR")


def fetch_statement(state: SessionState, parsed: ParsedStatement) -> UtilityStatement:
    """Return the statement of a FETCH or MOVE."""
    state.check_not_failed()
    node = parsed.node
    columns = None if node.ismove else _find(state, node.portalname).columns
    return UtilityStatement(state, columns, lambda: _run_fetch(node, state))


def _run_fetch(node: Any, state: SessionState) -> UtilityResult:
    portal = _find(state, node.portalname)
    if enum_name(node, "direction") != "FETCH_FORWARD" or node.how_many < 0:
        hint = "Declare it with SCROLL option to enable backward scan."
        raise SqlError("55000", "cursor can only scan forward", hint=hint)
    rows = portal.fetch(None if node.how_many == _ALL else node.how_many)
    if node.ismove:
        return UtilityResult(f"MOVE {len(rows)}")
    return UtilityResult(f"FETCH {len(rows)}", portal.columns or (), rows)


def _find(state: SessionState, name: str) -> QueryPortal:
    portal = state.portals.get(name.encode())
    if portal is None:
        raise SqlError("34000", f'cursor "{name}" does not exist')
    if not isinstance(portal, QueryPortal):
        raise SqlError("42809", f'"{name}" is not a query that can be fetched from')
    return portal
