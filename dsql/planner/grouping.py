"""GROUP BY: keys, grouping sets and aggregates of one query."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dsql.errors import SqlError
from dsql.planner import estimates, optimizer
from dsql.planner.expressions import Slot, fingerprint, transform
from dsql.planner.plan import AggregateNode, Estimate, Node
from dsql.planner.scope import Scope
from dsql.sql import bound, bound_query
from dsql.sql.bound import Expression

AGGREGATE_ROW_COST = 0.01


@dataclass(slots=True)
class Grouping:
    """The keys of GROUP BY: a plain column keeps its slot, anything else gets one.

    An outer query's column counts as anything else: it is not made here, but may be absent here.
    """

    keys: list[tuple[Slot, Expression]]
    sets: list[list[int]]
    by_fingerprint: dict[Any, Slot]

    @classmethod
    def of(cls, scope: Scope, query: bound_query.Query, own: set[int]) -> Grouping:
        """Read the grouping of a query whose FROM makes the slots `own`."""
        keys: list[tuple[Slot, Expression]] = []
        by_fingerprint: dict[Any, Slot] = {}
        for expression in query.group_by:
            converted = scope.convert(expression)
            if isinstance(converted, Slot) and converted.id in own:
                slot = converted
            else:
                slot = scope.planner.slot(converted.type_oid, converted.typmod)
                by_fingerprint[fingerprint(converted)] = slot
            keys.append((slot, converted))
        sets = query.grouping_sets if query.grouping_sets is not None else [[]]
        return cls(keys, sets, by_fingerprint)

    def replace_keys(self, node: Expression) -> Expression:
        """Return an expression above the grouping, with the key expressions replaced by their slots.

        A constant is one only as a whole column, which grouping sets without it make NULL.
        """
        if not self.by_fingerprint:
            return node

        def slot_of(part: Expression) -> Expression | None:
            if isinstance(part, bound.Constant) and (part is not node or len(self.sets) < 2):
                return None
            return self.by_fingerprint.get(fingerprint(part))

        return transform(node, slot_of)

    def index_of(self, expression: Expression) -> int:
        """Return the number of the key that GROUPING(expression) asks for."""
        wanted = fingerprint(optimizer.fold(expression))
        for number, (slot, key) in enumerate(self.keys):
            if wanted in (fingerprint(key), fingerprint(slot)):
                return number
        raise SqlError(
            "42803",
            "arguments to GROUPING must be grouping expressions of the associated query level",
        )


def plan_aggregates(
    scope: Scope,
    grouping: Grouping,
    child: Node,
    wanted: Iterable[tuple[Slot, bound.AggregateCall]],
) -> AggregateNode:
    """Return the aggregation over `child` that makes the `wanted` calls."""
    calls = list(wanted)
    estimate = child.estimate
    rows = 1.0 if not grouping.keys else max(1.0, round(estimate.rows / 10))
    total = estimate.total + estimate.rows * AGGREGATE_ROW_COST
    width = sum(estimates.type_width(slot.type_oid) for slot, _ in calls)
    return AggregateNode(
        estimate=Estimate(rows * len(grouping.sets), width, total, total + rows * 0.01),
        child=child,
        keys=tuple(grouping.keys),
        sets=tuple(tuple(item) for item in grouping.sets),
        calls=tuple((slot, _above_groups(grouping, call)) for slot, call in calls),
        groupings=tuple(
            (slot, tuple(grouping.index_of(argument) for argument in call.arguments))
            for slot, call in scope.groupings
        ),
    )


def _above_groups(grouping: Grouping, call: bound.AggregateCall) -> bound.AggregateCall:
    """Return the call with its direct arguments, worked out once per group, over the keys' slots."""
    if not call.direct:
        return call
    direct = [grouping.replace_keys(item) for item in call.direct]
    return dataclasses.replace(call, direct=direct)
