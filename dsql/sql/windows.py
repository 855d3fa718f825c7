"""Binds window definitions: OVER (...), named windows, frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.functions.coercion import CastContext
from dsql.sql import coercion
from dsql.sql.binding import type_name
from dsql.sql.bound import Expression, SortKey, WindowFrame
from dsql.sql.expressions import bind_expression
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.sql.walk import refuse_variables, same
from dsql.types import oids

_INTERVAL_ORDERED = frozenset(
    {oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.TIME, oids.TIMETZ, oids.INTERVAL}
)

_INTEGERS = frozenset({oids.INT2, oids.INT4, oids.INT8})
_RANGE_TYPES = _INTERVAL_ORDERED | _INTEGERS | {oids.FLOAT4, oids.FLOAT8, oids.NUMERIC}


@dataclass(slots=True)
class Window:
    """A bound window definition; `plain_frame` is true if it has no frame clause."""

    partition_by: list[Expression]
    order_by: list[SortKey]
    frame: WindowFrame
    plain_frame: bool


def bind_window(scope: Scope, tree: exp.Expression) -> Window:
    """Return the window of an OVER clause. Raises SqlError 42704, 42P20."""
    if isinstance(tree, exp.Identifier):
        return _named(scope, tree.this, position_of(tree))
    base = tree.args.get("alias")
    inherited = _named(scope, base.this, position_of(tree)) if base is not None else None
    partition_by = [_item(scope, item) for item in tree.args.get("partition_by") or ()]
    order = tree.args.get("order")
    order_by = _order(scope, order) if order is not None else []
    if inherited is not None:
        _check_inherited(inherited, base.this, partition_by, order_by, tree)  # type: ignore[union-attr]
        partition_by = inherited.partition_by
        order_by = inherited.order_by or order_by
    spec = tree.args.get("spec")
    frame = _frame(scope, spec, order_by, position_of(tree)) if spec else WindowFrame()
    return Window(partition_by, order_by, frame, spec is None)


def _item(scope: Scope, tree: exp.Expression) -> Expression:
    from dsql.sql.grouping import clause_item

    return clause_item(scope, tree)


def _order(scope: Scope, order: exp.Expression) -> list[SortKey]:
    from dsql.sql.calls import sort_key

    keys: list[SortKey] = []
    for item in order.expressions:
        key = sort_key(item, _item(scope, item.this))
        if not any(same(known.expression, key.expression) for known in keys):
            keys.append(key)
    return keys


def _named(scope: Scope, name: str, position: int) -> Window:
    tree: Any = scope.windows.get(name)
    if tree is None:
        raise SqlError("42704", f'window "{name}" does not exist', position=position)
    return bind_window(scope, tree)


def _check_inherited(
    base: Window,
    name: str,
    partition_by: list[Expression],
    order_by: list[SortKey],
    tree: exp.Expression,
) -> None:
    problem = ""
    if partition_by:
        problem = f'cannot override PARTITION BY clause of window "{name}"'
    elif order_by and base.order_by:
        problem = f'cannot override ORDER BY clause of window "{name}"'
    elif not base.plain_frame:
        problem = f'cannot copy window "{name}" because it has a frame clause'
    if problem:
        raise SqlError("42P20", problem, position=position_of(tree))


def _frame(
    scope: Scope, spec: exp.Expression, order_by: list[SortKey], position: int
) -> WindowFrame:
    mode = spec.args["kind"].lower()
    start = _bound(scope, spec, "start", mode, order_by, position)
    end = _bound(scope, spec, "end", mode, order_by, position)
    if mode == "groups" and not order_by:
        raise SqlError("42P20", "GROUPS mode requires an ORDER BY clause", position=position)
    exclusion = (spec.args.get("exclude") or "").lower()
    return WindowFrame(mode=mode, start=start, end=end, exclusion=exclusion)


def _bound(
    scope: Scope,
    spec: exp.Expression,
    side: str,
    mode: str,
    order_by: list[SortKey],
    position: int,
) -> tuple[str, Expression | None]:
    kind = (spec.args.get(f"{side}_side") or "CURRENT ROW").lower()
    offset = spec.args.get(side)
    if offset is None:
        return kind, None
    value = bind_expression(scope, offset)
    refuse_variables(value, mode.upper())
    if mode == "range":
        return kind, _range_offset(scope, value, order_by, position)
    done = coercion.coerce(scope.binding, value, oids.INT8, CastContext.ASSIGNMENT)
    if done is None:
        raise SqlError(
            "42804",
            f"argument of {mode.upper()} must be type bigint, not type {type_name(value.type_oid)}",
            position=value.position,
        )
    return kind, done


def _range_offset(
    scope: Scope, value: Expression, order_by: list[SortKey], position: int
) -> Expression:
    if len(order_by) != 1:
        raise SqlError(
            "42P20",
            "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            position=position,
        )
    key = order_by[0].expression.type_oid
    if key not in _RANGE_TYPES:
        raise unsupported(
            "RANGE with offset PRECEDING/FOLLOWING is not supported for column type "
            + type_name(key),
            position=value.position,
        )
    wanted = oids.INTERVAL if key in _INTERVAL_ORDERED else key
    if key in _INTEGERS and value.type_oid in _INTEGERS:
        wanted = value.type_oid
    elif key == oids.FLOAT4:
        wanted = oids.FLOAT8
    done = coercion.coerce(scope.binding, value, wanted, CastContext.IMPLICIT)
    if done is None:
        raise unsupported(
            "RANGE with offset PRECEDING/FOLLOWING is not supported for column type "
            f"{type_name(key)} and offset type {type_name(value.type_oid)}",
            hint="Cast the offset value to an appropriate type.",
            position=value.position,
        )
    return done
