"""min and max of a table from the ends of its indexes, one row for each of them.

SELECT min(a), max(b) FROM t WHERE c reads the first row of an index on a for which a is not NULL and
c holds, and the last such one of an index on b.
"""

from __future__ import annotations

import dataclasses

from dsql.planner.expressions import Slot, is_volatile
from dsql.planner.grouping import Grouping, plan_aggregates
from dsql.planner.join_order import plan_group
from dsql.planner.plan import Estimate, Limit, NestedLoop, Node
from dsql.planner.relations import Group
from dsql.planner.scope import Scope
from dsql.sql import bound
from dsql.sql.bound import SortKey


def plan_extremes(scope: Scope, grouping: Grouping, group: Group) -> Node | None:
    """Return the aggregates of a query that has no others; None if an index cannot answer each."""
    calls = list(scope.aggregates.values())
    if grouping.keys or len(grouping.sets) != 1:
        return None
    if len(calls) > 1 and any(map(is_volatile, group.conditions)):
        return None  # asked twice it would be of different rows
    orders = [_order(call) for _, call in calls]
    found: Node | None = None
    for pair, order in zip(calls, orders, strict=True):
        child = None if None in orders or order is None else _first_row(group, order)
        if child is None:
            return None
        node = plan_aggregates(scope, grouping, child, [pair])
        found = node if found is None else _beside(found, node)
    return found


def _order(call: bound.AggregateCall) -> SortKey | None:
    """Return the order in which the first row alone answers the call, if it is a plain min or max."""
    plain = not (call.filter or call.order_by or call.direct) and len(call.arguments) == 1
    if call.aggregate.name not in ("min", "max") or not plain:
        return None
    if not isinstance(call.arguments[0], Slot):
        return None
    descending = call.aggregate.name == "max"
    # NULLs are filtered out, so that either end of the index may be read
    return SortKey(expression=call.arguments[0], descending=descending, nulls_first=descending)


def _first_row(group: Group, order: SortKey) -> Node | None:
    """Return the first row without NULL in an order, None where that has to be looked for in all."""
    present = bound.NullTest(type_oid=16, argument=order.expression, negated=True)
    conditions = [*group.conditions, present]
    child, ordered = plan_group(
        dataclasses.replace(group, conditions=conditions), [order], limit=1.0
    )
    if not ordered:
        return None
    one = bound.Constant(type_oid=20, value=1)
    return Limit(estimate=child.estimate._replace(rows=1.0), child=child, limit=one, offset=None)


def _beside(left: Node, right: Node) -> Node:
    """Return the one row of two aggregations. There is one outer row, so nothing need be kept."""
    one, two = left.estimate, right.estimate
    estimate = Estimate(1.0, one.width + two.width, one.startup, one.total + two.total)
    return NestedLoop(estimate=estimate, kind="inner", outer=left, inner=right, parameterized=True)
