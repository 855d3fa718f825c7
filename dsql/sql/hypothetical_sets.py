"""Binds rank, dense_rank, percent_rank and cume_dist WITHIN GROUP: the place that a row would have.

They are counts of the rows that come before it, so that no row has to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.functions.function import Function
from dsql.functions.registry import signature
from dsql.sql.bound import AggregateCall, Call, Expression
from dsql.sql.expressions import bind_expression
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.types import oids

HYPOTHETICAL_SETS = frozenset(("rank", "dense_rank", "percent_rank", "cume_dist"))


def bind_hypothetical_set(
    scope: Scope, tree: exp.Anonymous, direct: Sequence[Expression], within: exp.Expression
) -> Expression:
    """Return the place of the row of direct arguments among the group's. Raises SqlError 42883."""
    name, keys = tree.this, within.expressions
    if len(direct) != len(keys):
        raise _mismatch(name, direct, len(keys), position_of(tree))
    before, upto = (
        _before(tree.expressions, keys, peers=False),
        _before(tree.expressions, keys, peers=True),
    )
    rows = exp.Boolean(this=True)

    def count(condition: exp.Expression, **more: Any) -> Expression:
        return _count(scope, tree, condition, direct, **more)

    match name:
        case "rank":
            return _result(name, oids.INT8, lambda ahead: ahead + 1, [count(before)])
        case "dense_rank":
            row = exp.Tuple(expressions=[key.this for key in keys], row=True)
            ahead = count(before, distinct=True, expressions=[row])
            return _result(name, oids.INT8, lambda ahead: ahead + 1, [ahead])
        case "percent_rank":
            counts = [count(before), count(rows)]
            return _result(
                name, oids.FLOAT8, lambda ahead, rows: ahead / rows if rows else 0.0, counts
            )
    counts = [count(upto), count(rows)]
    return _result(name, oids.FLOAT8, lambda upto, rows: (upto + 1) / (rows + 1), counts)


def _mismatch(name: str, direct: Sequence[Expression], keys: int, position: int) -> SqlError:
    call = signature(name, tuple(argument.type_oid for argument in direct))
    return SqlError(
        "42883",
        f"function {call} does not exist",
        hint=f"To use the hypothetical-set aggregate {name}, the number of hypothetical direct arguments"
        f" (here {len(direct)}) must match the number of ordering columns (here {keys}).",
        position=position,
    )


def _before(
    direct: Sequence[exp.Expression], keys: Sequence[exp.Expression], *, peers: bool
) -> exp.Expression:
    """Return the condition of a row that sorts before the direct arguments, or with `peers` beside them."""
    condition: exp.Expression = exp.Boolean(this=peers)
    for argument, key in zip(reversed(direct), reversed(keys), strict=True):
        same = exp.NullSafeEQ(this=key.this, expression=argument)
        further = exp.And(this=same, expression=condition)
        condition = exp.Or(this=_less(argument, key), expression=further)
    return condition


def _less(argument: exp.Expression, key: exp.Expression) -> exp.Expression:
    """Return the condition that a sort key alone puts its row before the direct argument."""
    compare = exp.GT if key.args["desc"] else exp.LT
    first, second = (key.this, argument) if key.args["nulls_first"] else (argument, key.this)
    nulls = exp.And(this=_is_null(first, negate=False), expression=_is_null(second, negate=True))
    return exp.Or(this=compare(this=key.this, expression=argument), expression=nulls)


def _is_null(tree: exp.Expression, *, negate: bool) -> exp.Expression:
    return exp.Is(this=tree, expression=exp.Null(), negate=negate)


def _count(
    scope: Scope,
    tree: exp.Anonymous,
    condition: exp.Expression,
    direct: Sequence[Expression],
    **more: Any,
) -> Expression:
    """Return the count of a group's rows that meet a condition, and the aggregate's own FILTER."""
    own = tree.args.get("filter")
    if own is not None:
        condition = exp.And(this=own, expression=condition)
    arguments = more or {"expressions": [], "star": True}
    call = exp.Anonymous(this="count", schema="pg_catalog", filter=condition, **arguments)
    call._meta = {"position": position_of(tree)}
    bound = bind_expression(scope, call)
    assert isinstance(bound, AggregateCall)
    # As direct arguments they have to be the same in the whole group, which the count does not look at.
    bound.direct = list(direct)
    bound.aggregate = replace(bound.aggregate, final=_first)
    return bound


def _first(count: int, *_direct: Any) -> int:
    return count


def _result(
    name: str, type_oid: int, compute: Callable[..., Any], counts: list[Expression]
) -> Expression:
    function = Function(
        oid=0,
        name=name,
        argument_types=tuple(oids.INT8 for _ in counts),
        return_type=type_oid,
        implementation=compute,
        written=_no_text,
    )
    return Call(type_oid=type_oid, function=function, arguments=counts)


def _no_text(_arguments: Sequence[str], _order: str) -> str:
    raise unsupported("hypothetical-set aggregates are not supported in stored queries")
