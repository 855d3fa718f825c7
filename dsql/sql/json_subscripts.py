"""Binds subscripts of jsonb, which are read as #> reads a path."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dsql.errors import SqlError
from dsql.functions.coercion import CastContext
from dsql.functions.json_subscripts import assignment
from dsql.functions.resolution import resolve_function
from dsql.sql import coercion
from dsql.sql.binding import type_name
from dsql.sql.bound import ArrayConstructor, Call, Expression
from dsql.sql.expressions import bind_expression
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.types import oids

_EXTRACT = resolve_function("jsonb_extract_path", (oids.JSONB, oids.TEXT_ARRAY), None, (), True)


def jsonb_element(
    scope: Scope, value: Expression, subscripts: Sequence[exp.Expression], position: int
) -> Expression:
    """Return value[subscript]... Raises SqlError 42804 for other types, and slices."""
    steps = [step for step, _ in _steps(scope, subscripts)]
    path = ArrayConstructor(type_oid=oids.TEXT_ARRAY, elements=steps, position=position)
    function = _EXTRACT.callee
    return Call(type_oid=oids.JSONB, position=position, function=function, arguments=[value, path])  # type: ignore[arg-type]


def with_json_part(
    scope: Scope,
    container: Expression,
    subscripts: Sequence[exp.Expression],
    value: Expression,
    position: int,
) -> Expression:
    """Return a container with a part replaced. Raises SqlError 42804."""
    steps = _steps(scope, subscripts)
    function = assignment(tuple(is_integer for _, is_integer in steps))
    arguments = [container, value, *(step for step, _ in steps)]
    return Call(type_oid=oids.JSONB, position=position, function=function, arguments=arguments)


def _steps(scope: Scope, trees: Sequence[exp.Expression]) -> list[tuple[Expression, bool]]:
    """Return the subscripts as texts, and whether each was an integer."""
    steps = []
    for tree in trees:
        if isinstance(tree, exp.Slice):
            inner = tree.args.get("expression") or tree.args.get("this")
            position = position_of(inner) if inner is not None else 0
            raise SqlError("42804", "jsonb subscript does not support slices", position=position)
        bound = bind_expression(scope, tree)
        text, is_integer = _step(scope, bound)
        steps.append((text, is_integer))
    return steps


def _step(scope: Scope, bound: Expression) -> tuple[Expression, bool]:
    binding, position = scope.binding, bound.position
    if bound.type_oid == oids.UNKNOWN:
        return coercion.cast_to(binding, bound, oids.TEXT, position=position), False
    integer = coercion.coerce(binding, bound, oids.INT4, CastContext.IMPLICIT)
    text = coercion.coerce(binding, bound, oids.TEXT, CastContext.IMPLICIT)
    if (integer is None) == (text is None):
        which = "only one type, integer or text" if text else "either integer or text"
        raise SqlError(
            "42804",
            f"subscript type {type_name(bound.type_oid)} is not supported",
            hint=f"jsonb subscript must be coercible to {which}.",
            position=position,
        )
    if text is not None:
        return text, False
    assert integer is not None
    return coercion.cast_to(binding, integer, oids.TEXT, position=position), True
