"""Binds FOR UPDATE and its kind: which of a query's tables they mark.

Nobody waits for a row here: who comes second learns at commit. So NOWAIT and SKIP LOCKED ask for what
is the case anyway. Aurora DSQL has no FOR NO KEY UPDATE and no FOR SHARE.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dsql.access.privileges import Privilege
from dsql.errors import SqlError, unsupported
from dsql.sql.bound_query import (
    Entry,
    FunctionEntry,
    Query,
    SubqueryEntry,
    TableEntry,
    VirtualEntry,
)
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.sql.walk import any_node

_LOCKABLE = (TableEntry, SubqueryEntry)
_STRENGTHS = ("", "key share", "share", "no key update", "update")


def bind_row_marks(scope: Scope, query: Query, locks: list[exp.Expression]) -> None:
    """Fill `query.row_marks`; each marked table needs UPDATE. Raises SqlError 0A000, 42P01."""
    for lock in locks:
        strength = lock.args["strength"].upper()
        if scope.binding.profile == "dsql" and strength not in ("UPDATE", "KEY SHARE"):
            raise unsupported(
                "locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported"
            )
        _check_lockable(query, f"FOR {strength}")
        for index in _locked_entries(scope, lock, f"FOR {strength}"):
            _need_update(scope.range_table[index], f"FOR {strength}")
            _mark(query, index, strength.lower())


def _need_update(entry: Entry, name: str) -> None:
    """Note that the tables of an entry are locked, all of those that a subquery or view reads.

    Raises SqlError 0A000 where rows of a query are not rows of its tables, 42809 for a materialized view.
    """
    if entry.use is not None:
        entry.use.privileges |= Privilege.UPDATE
    if isinstance(entry, TableEntry) and entry.table.kind == "m":
        raise SqlError("42809", f'cannot lock rows in materialized view "{entry.table.name}"')
    if isinstance(entry, SubqueryEntry):
        _check_lockable(entry.query, name)
        for inner in entry.query.range_table:
            if isinstance(inner, _LOCKABLE):
                _need_update(inner, name)


def _mark(query: Query, index: int, strength: str) -> None:
    """Mark an entry, with the stronger of two strengths."""
    known = dict(query.row_marks)
    if _STRENGTHS.index(strength) > _STRENGTHS.index(known.get(index, "")):
        query.row_marks = [mark for mark in query.row_marks if mark[0] != index]
        query.row_marks.append((index, strength))


def _check_lockable(query: Query, name: str) -> None:
    problem = ""
    if query.set_operation is not None:
        problem = "UNION/INTERSECT/EXCEPT"
    elif query.distinct_on is not None:
        problem = "DISTINCT clause"
    elif query.group_by or (query.grouping_sets or [[]]) != [[]]:
        problem = "GROUP BY clause"
    elif query.having is not None:
        problem = "HAVING clause"
    elif query.aggregated:
        problem = "aggregate functions"
    elif any(any_node(t.expression, lambda n, d: _is_window(n) and d == 0) for t in query.targets):
        problem = "window functions"
    if problem:
        raise unsupported(f"{name} is not allowed with {problem}")


def _is_window(node: Any) -> bool:
    from dsql.sql.bound import WindowCall

    return isinstance(node, WindowCall)


def _refuse_sequence(entry: Entry) -> None:
    if isinstance(entry, VirtualEntry) and entry.sequence is not None:
        raise SqlError("42809", f'cannot lock rows in sequence "{entry.sequence.name}"')


def _locked_entries(scope: Scope, lock: exp.Expression, name: str) -> list[int]:
    if not lock.expressions:
        for entry in scope.range_table:
            _refuse_sequence(entry)
        return [i for i, entry in enumerate(scope.range_table) if isinstance(entry, _LOCKABLE)]
    found = []
    for tree in lock.expressions:
        alias = tree.this.args["this"]
        matches = [i for i, entry in enumerate(scope.range_table) if entry.alias == alias]
        if not matches:
            raise SqlError(
                "42P01",
                f'relation "{alias}" in {name} clause not found in FROM clause',
                position=position_of(tree),
            )
        entry = scope.range_table[matches[0]]
        _refuse_sequence(entry)
        if isinstance(entry, FunctionEntry):
            raise unsupported(f"{name} cannot be applied to a function", position=position_of(tree))
        if isinstance(entry, _LOCKABLE):
            found.append(matches[0])
    return found
