"""What a statement needs once it is known what of it never runs.

PostgreSQL asks for rights when a plan starts: for all relations of the statement but those of subqueries
that `constants` has made go away, and for the functions that are called.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from dsql.access.requirements import CallUse, Requirement
from dsql.errors import SqlError
from dsql.functions.function import Function
from dsql.planner.expressions import SubPlan
from dsql.planner.planner import plan_and_know
from dsql.sql.bound import Call
from dsql.sql.bound_query import BoundStatement, Entry, Query
from dsql.sql.sql_functions import SqlCall
from dsql.sql.walk import nodes


def remaining_needs(
    statement: BoundStatement,
) -> tuple[tuple[Requirement, ...], SqlError | None]:
    """Return what a statement needs to run as it is planned, and what it ends with before it has begun.

    What is in the plan in one place and went away in another is needed.
    """
    plan, known = plan_and_know(statement)
    removed = _Contents(known.removed)
    if not (removed.requirements or removed.functions):
        return statement.required, plan.fault
    parts = list(_parts(plan.query))
    queries = [part.query for part in parts if isinstance(part, SubPlan)]
    kept = {id(one) for one in _Contents(queries).requirements}
    gone = {id(one) for one in removed.requirements} - kept
    called = {_called(part) for part in parts if isinstance(part, Function)}
    needs = tuple(
        one
        for one in statement.required
        if id(one) not in gone
        and not (
            isinstance(one, CallUse)
            and one.function.oid in removed.functions
            and one.function.oid not in called
        )
    )
    return needs, plan.fault


class _Contents:
    """What bound trees need: the requirements of their relations, and the OIDs of functions."""

    def __init__(self, roots: Iterable[Any]) -> None:
        self.requirements: list[Requirement] = []
        self.functions: set[int] = set()
        for root in roots:
            for node, _ in nodes(root):
                if isinstance(node, Entry) and node.use is not None:
                    self.requirements.append(node.use.requirement)
                elif isinstance(node, Call) and (oid := _called(node.function)):
                    self.functions.add(oid)


def _called(function: Function) -> int:
    """Return the OID of a function that not everybody may call, 0 for others."""
    made = function.implementation
    if isinstance(made, SqlCall):
        return made.function.oid
    return 0 if function.acl is None else function.oid


def _parts(root: Any) -> Iterator[Any]:
    """Yield everything that a plan is made of, bound queries and functions as a whole."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
        elif dataclasses.is_dataclass(part) and id(part) not in seen:
            seen.add(id(part))
            yield part
            if not isinstance(part, Function | Query):
                waiting += [getattr(part, field.name) for field in dataclasses.fields(part)]
