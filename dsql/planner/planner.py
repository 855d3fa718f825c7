"""From a bound statement to a plan.

The life of a statement here: `plan` opens the outermost scope and plans its CTEs; `query.plan_select`
turns FROM and WHERE into a group of relations, lets the optimizer's rules move conditions about,
orders the joins, and stacks grouping, windows, DISTINCT, ORDER BY and LIMIT upon them. Subqueries
come back here through `PlannerState.plan_query`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from dsql.errors import SqlError
from dsql.planner.constants import Foreknowledge
from dsql.planner.expressions import Slot
from dsql.planner.modification import plan_modification
from dsql.planner.plan import (
    CtePlan,
    DeleteNode,
    Limit,
    LockRows,
    Modification,
    Node,
    Plan,
    QueryPlan,
    RecursivePlan,
    Scan,
    UpdateNode,
)
from dsql.planner.plan_slots import read_slots
from dsql.planner.query import plan_select, plan_set_operation
from dsql.planner.row_counts import RowCounts, planned_rows
from dsql.planner.scope import CteSource, PlannerState, Scope
from dsql.sql import bound_query
from dsql.sql.bound import Call, Expression, TextCast
from dsql.sql.collection import uncollected
from dsql.sql.walk import nodes

_TAGS = {
    bound_query.Insert: "INSERT 0",
    bound_query.Update: "UPDATE",
    bound_query.Delete: "DELETE",
    bound_query.Merge: "MERGE",
}


def plan(statement: bound_query.BoundStatement, counts: RowCounts | None = None) -> Plan:
    """Plan a statement. Raises SqlError for what can only be seen here (42803, 0A000).

    `counts` knows how many rows tables have; None: nobody does.
    """
    return plan_and_know(statement, counts)[0]


@uncollected
def plan_and_know(
    statement: bound_query.BoundStatement, counts: RowCounts | None = None
) -> tuple[Plan, Foreknowledge]:
    """Plan a statement, and return what was known of it before it runs."""
    state = PlannerState(_plan_query, _plan_cte, counts or RowCounts())
    body = statement.statement
    if isinstance(body, bound_query.Query):
        query = _plan_query(body, None, state=state)
    else:
        query = _plan_modification(Scope(state), body)
    planned = Plan(
        query=query,
        parameter_types=tuple(statement.parameter_types),
        tag=_TAGS.get(type(body), "SELECT"),
        writes=_modifies(query),
        is_generic=state.is_generic,
        watches=state.watches,
        rows=() if _is_lookup(query.node) else planned_rows(state.counted),
        fault=_fault(query, state.known),
        early=tuple(call for call in state.known.early.values() if _may_fail(call)),
    )
    return planned, state.known


def _fault(query: QueryPlan, known: Foreknowledge) -> SqlError | None:
    """Return the first error of what needs no row, if it is of anything that is read."""
    if known.fault is not None or not known.faults:
        return known.fault
    read = read_slots(query)
    return next((fault for slot, fault in known.faults.items() if slot in read), None)


def _may_fail(call: Call | TextCast) -> bool:
    """Return False for what stands around a literal that is no int4."""
    return isinstance(call, TextCast) or call.function.name not in _HARMLESS


_HARMLESS = frozenset(("int4um", "int8", "numeric", "float8"))


def _is_lookup(node: Node) -> bool:
    """Return True for a plan that no number of rows would change: one row of one table by its key."""
    while isinstance(node, Limit | UpdateNode | DeleteNode | LockRows):
        node = node.child
    return isinstance(node, Scan) and node.access.unique


def _modifies(query: QueryPlan) -> bool:
    return isinstance(query.node, Modification) or any(cte.modifies for cte in query.ctes)


def _plan_query(
    query: bound_query.Query,
    parent: Scope | None,
    slots: Sequence[Slot] = (),
    pushed: Sequence[Expression] = (),
    rest: list[Expression] | None = None,
    *,
    state: PlannerState | None = None,
) -> QueryPlan:
    """Plan one query level with its CTEs."""
    planner = parent.planner if parent is not None else state
    assert planner is not None
    scope = Scope(planner, parent)
    _plan_ctes(scope, query.ctes)
    if query.set_operation is not None:
        planned = plan_set_operation(scope, query, planner.plan_query, slots, pushed, rest)
    else:
        planned = plan_select(scope, query, slots, pushed, rest)
    return dataclasses.replace(planned, ctes=tuple(scope.cte_plans)) if scope.cte_plans else planned


def _plan_modification(scope: Scope, statement: bound_query.Modifying) -> QueryPlan:
    _plan_ctes(scope, statement.ctes)
    planned = plan_modification(scope, statement)
    return dataclasses.replace(planned, ctes=tuple(scope.cte_plans)) if scope.cte_plans else planned


def _plan_ctes(scope: Scope, definitions: list[bound_query.Cte]) -> None:
    """Plan the CTEs of a scope in order, leaving out those that are planned where they are used."""
    for definition in definitions:
        source = CteSource(definition, inline=_is_inlined(definition))
        scope.ctes.append(source)
        if not source.inline:
            _plan_cte(scope, source)


def _plan_cte(scope: Scope, source: CteSource) -> None:
    """Plan a CTE whose rows are kept, behind those of its scope that it reads."""
    definition = source.definition
    source.planned = (
        _plan_recursive(scope, source)
        if definition.recursive
        else _plan_materialized(scope, definition)
    )
    scope.cte_plans.append(source.planned)


def _is_inlined(definition: bound_query.Cte) -> bool:
    """Return True for a CTE that PostgreSQL would fold into its user as well."""
    statement = definition.statement
    if definition.recursive or not isinstance(statement, bound_query.Query) or statement.row_marks:
        return False
    if definition.materialized or (definition.materialized is None and definition.references > 1):
        return False
    return not any(
        isinstance(node, Call) and node.function.volatility == "v" for node, _ in nodes(statement)
    )


def _plan_materialized(scope: Scope, definition: bound_query.Cte) -> CtePlan:
    statement = definition.statement
    if isinstance(statement, bound_query.Query):
        query, modifies = _plan_query(statement, scope), False
    else:
        query, modifies = _plan_modification(Scope(scope.planner, scope), statement), True
    return CtePlan(id=scope.planner.number(), name=definition.name, query=query, modifies=modifies)


def _plan_recursive(scope: Scope, source: CteSource) -> CtePlan:
    """Plan both parts of a recursive CTE; the second one reads the rows of the last round."""
    statement = source.definition.statement
    assert isinstance(statement, bound_query.Query)
    operation = statement.set_operation
    assert operation is not None
    number = scope.planner.number()
    inner = Scope(scope.planner, scope)
    _plan_ctes(inner, statement.ctes)
    source.working = number
    first = _plan_query(operation.left, inner)
    repeated = _plan_query(operation.right, inner)
    first = dataclasses.replace(first, ctes=tuple(inner.cte_plans) + first.ctes)
    source.working = 0
    return CtePlan(
        id=number,
        name=source.definition.name,
        query=first,
        recursive=RecursivePlan(query=repeated, distinct=not operation.all),
    )
