"""EXISTS and IN as joins.

A conjunct of WHERE that is [NOT] EXISTS (query) or `x IN (query)` becomes a semi or anti join if the
query is nothing but joins and conditions: its conditions on outer columns are then the join's. NOT IN
stays a subplan, because one NULL in the list changes its meaning for every row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from dsql.functions.function import Function
from dsql.planner.expressions import is_volatile, slots_of
from dsql.planner.from_clause import build
from dsql.planner.lookups import is_joins_only
from dsql.planner.relations import Group, SemiJoin
from dsql.planner.scope import Scope
from dsql.sql import bound, bound_query
from dsql.sql.bound import Constant, Expression
from dsql.sql.walk import lowest_level


def add_condition(scope: Scope, group: Group, condition: Expression | None) -> None:
    """Add a WHERE clause to a group, as semi joins where its parts allow that.

    If one part can never be true, none of the others is looked at, but those before it, and those that are
    joins to PostgreSQL too.
    """
    known = scope.planner.known
    parts = list(_parts(condition))
    converted: dict[int, Expression] = {}
    never: Constant | None = None
    for number, part in enumerate(parts):
        if not (never is not None and never.value is False) and not (
            group.members and _is_query(part)
        ):
            done = converted[number] = scope.convert(part)
            if type(done) is Constant and done.value is not True:
                never = done
    for number, part in enumerate(parts):
        if number in converted:
            if never is None:
                group.conditions.append(converted[number])
            else:
                known.removed.append(part)
        elif never is None or (_is_query(part) and lowest_level([part]) == 0):
            _add_query(scope, group, part)
        else:
            known.removed.append(part)
    if never is not None:
        group.conditions.append(dataclasses.replace(never, value=False))


def _parts(condition: Expression | None) -> Iterator[Expression]:
    """Yield what is joined by AND."""
    if isinstance(condition, bound.And):
        for part in condition.arguments:
            yield from _parts(part)
    elif condition is not None:
        yield condition


def _is_query(part: Expression) -> bool:
    """Tell whether a condition may be a semi join."""
    if isinstance(part, bound.Not):
        part = part.argument
    return isinstance(part, bound.Exists | bound.QuantifiedSubquery)


def _add_query(scope: Scope, group: Group, part: Expression) -> None:
    join = _as_semi_join(scope, part)
    if join is not None:
        group.semi_joins.append(join)
    else:
        group.conditions.append(scope.convert(part))


def _as_semi_join(scope: Scope, part: Expression) -> SemiJoin | None:
    if isinstance(part, bound.Exists):
        return _join(scope, "semi", part.query, [])
    if isinstance(part, bound.Not) and isinstance(part.argument, bound.Exists):
        return _join(scope, "anti", part.argument.query, [])
    if isinstance(part, bound.QuantifiedSubquery) and part.operator == "=" and not part.all:
        if any(is_volatile(item) for item in part.left):
            return None
        pairs = list(zip(part.left, part.functions, strict=True))
        return _join(scope, "semi", part.query, pairs)
    return None


def _join(
    scope: Scope,
    kind: str,
    query: bound_query.Query,
    pairs: list[tuple[Expression, Function]],
) -> SemiJoin | None:
    plain = dataclasses.replace(query, order_by=[], distinct_on=None)
    if query.distinct_on or not is_joins_only(plain):
        return None
    inner = Scope(scope.planner, scope)
    group = build(inner, query.from_items, query.range_table)
    add_condition(inner, group, query.where)
    own = group.slots
    outside = [item for item in group.conditions if slots_of(item) - own]
    group.conditions = [item for item in group.conditions if not slots_of(item) - own]
    for (left, function), target in zip(pairs, query.targets, strict=False):
        outside.append(
            bound.Call(
                type_oid=16,
                function=function,
                arguments=[scope.convert(left), inner.convert(target.expression)],
                operator="=",
                strategy="=",
            )
        )
    assert not inner.aggregates, "a query with aggregates is more than joins"
    return SemiJoin(kind, group, outside)
