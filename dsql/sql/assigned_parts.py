"""Binds assignments to parts of a column: a[1] = x and a[1:2] = x of arrays, j['k'] = x of jsonb."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace
from sqlglot import exp

from dsql.catalog.schema import Column
from dsql.errors import SqlError
from dsql.functions import array_parts, json_subscripts
from dsql.functions.coercion import CastContext
from dsql.sql import coercion
from dsql.sql.binding import type_name
from dsql.sql.bound import Call, ColumnRef, Constant, DefaultValue, Expression
from dsql.sql.bound_query import Query, Target
from dsql.sql.composites import array_of, slice_bounds, subscript_index
from dsql.sql.destination import Destination
from dsql.sql.json_subscripts import with_json_part
from dsql.sql.scope import Scope
from dsql.sql.set_operations import wrapped
from dsql.sql.tree import position_of
from dsql.types import oids, registry

_HANDLERS = frozenset((array_parts.HANDLER, json_subscripts.HANDLER))


def assigned_part(
    scope: Scope,
    column: Column,
    number: int,
    tree: exp.Expression,
    value: Expression,
    before: Expression | None,
) -> Expression:
    """Return the column's value with a part assigned, after what the same SET has assigned `before`.

    `number` is the column's in the table, whose row is entry 0. Raises SqlError 42804, 0A000.
    """
    container: Expression
    if before is not None and is_part_assigned(before):
        container = before
    else:
        columns = scope.range_table[0].columns
        at = next(at for at, item in enumerate(columns) if item.number == number)
        container = ColumnRef(type_oid=column.type_oid, entry=0, column=at, name=column.name)
    return with_part(scope, column, container, tree, value)


def with_part(
    scope: Scope, column: Column, container: Expression, tree: exp.Expression, value: Expression
) -> Expression:
    """Return a container with the part assigned that the subscripts of a target name."""
    position, subscripts = position_of(tree), tree.args["subscripts"]
    wanted = part_type(column, tree)
    if isinstance(value, DefaultValue):
        raise SqlError("0A000", "cannot set an array element to DEFAULT", position=position)
    new = coercion.coerce(scope.binding, value, wanted, CastContext.ASSIGNMENT)
    if new is None:
        raise SqlError(
            "42804",
            f'subscripted assignment to "{column.name}" requires type {type_name(wanted)}'
            f" but expression is of type {type_name(value.type_oid)}",
            hint="You will need to rewrite or cast the expression.",
            position=value.position,
        )
    if column.type_oid == oids.JSONB:
        return with_json_part(scope, container, subscripts, new, position)
    new = coercion.apply_typmod(new, column.typmod, explicit=False)
    bounds, given = _bounds(scope, subscripts)
    function = array_parts.assignment(column.type_oid, wanted, oids.INT4, given)
    arguments = [container, new, *bounds]
    return Call(type_oid=column.type_oid, position=position, function=function, arguments=arguments)


def part_type(column: Column, tree: exp.Expression) -> int:
    """Return the type of the part of a column that a target's subscripts name. Raises SqlError 42804."""
    if column.type_oid == oids.JSONB:
        return oids.JSONB
    kind, position = registry.get(column.type_oid), position_of(tree)
    if not kind.element_oid:
        message = f"cannot subscript type {kind.sql_name} because it does not support subscripting"
        raise SqlError("42804", message, position=position)
    if any(isinstance(step, exp.Slice) for step in tree.args["subscripts"]):
        return array_of(kind.element_oid, position)
    return kind.element_oid


def _bounds(
    scope: Scope, trees: Sequence[exp.Expression]
) -> tuple[list[Expression], tuple[tuple[bool, bool], ...] | None]:
    """Return the subscripts, and of a slice which of its bounds are written (`array_parts.assignment`)."""
    if not any(isinstance(tree, exp.Slice) for tree in trees):
        return [subscript_index(scope, tree) for tree in trees], None
    pairs = list(zip(*slice_bounds(scope, trees), strict=True))
    given = tuple((low is not None, high is not None) for low, high in pairs)
    return [bound for pair in pairs for bound in pair if bound is not None], given


def is_part_assigned(value: Expression) -> bool:
    """Tell whether this is a container with a part that was assigned."""
    return isinstance(value, Call) and value.function.oid in _HANDLERS


def names_parts(tree: exp.Insert) -> bool:
    """Tell whether an INSERT names parts of columns."""
    return any(item.args.get("subscripts") for item in tree.args.get("columns") or ())


def part_column(column: Column, tree: exp.Expression) -> Column:
    """Return a part of a column, which an INSERT names, as a column of the part's type."""
    return replace(column, type_oid=part_type(column, tree), default=None, domain=0)


def merged_parts(
    scope: Scope,
    destination: Destination,
    source: Query,
    columns: Sequence[Column],
    tree: exp.Insert,
) -> tuple[Query, list[Column]]:
    """Return the source of an INSERT that names parts with the whole columns' values, and these.

    `columns` are those that the source's targets are for: some of them `part_column`.
    """
    if source.range_table:
        source = wrapped(source)
    whole = {column.number: column for column in destination.columns()}
    merged: dict[int, Target] = {}
    for target, part, named in zip(source.targets, columns, tree.args["columns"], strict=False):
        column = whole[part.number]
        if named.args.get("subscripts"):
            before = merged.get(column.number)
            container = (
                before.expression
                if before is not None
                else Constant(type_oid=column.type_oid, typmod=column.typmod, value=None)
            )
            value = with_part(scope, column, container, named, target.expression)
            target = Target(column.name, value)
        merged[column.number] = target
    source.targets = list(merged.values())
    return source, [whole[number] for number in merged]
