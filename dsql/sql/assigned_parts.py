"""Binds assignments to parts of a column: a[1] = x, a[1:2] = x, c.f = x and j['k'] = x."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from msgspec.structs import replace
from sqlglot import exp

from dsql.catalog.schema import Column
from dsql.errors import SqlError
from dsql.functions import array_parts, json_subscripts, record_parts
from dsql.functions.coercion import CastContext
from dsql.functions.function import Function
from dsql.sql import coercion
from dsql.sql.binding import type_name
from dsql.sql.bound import (
    Call,
    ColumnRef,
    Constant,
    DefaultValue,
    Expression,
    FieldSelect,
    Subscript,
)
from dsql.sql.bound_query import Query, Target
from dsql.sql.composites import array_of, slice_bounds, subscript_index
from dsql.sql.destination import Destination
from dsql.sql.json_subscripts import with_json_part
from dsql.sql.scope import Scope
from dsql.sql.set_operations import wrapped
from dsql.sql.tree import position_of
from dsql.types import oids, registry

_HANDLERS = frozenset((array_parts.HANDLER, json_subscripts.HANDLER, record_parts.HANDLER))


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
    """Return a container with the part assigned that a target names."""
    if isinstance(value, DefaultValue):
        what = "a subfield" if _is_field(tree.args["subscripts"][-1]) else "an array element"
        message = f"cannot set {what} to DEFAULT"
        raise SqlError("0A000", message, position=position_of(tree))
    part = _Part(scope, column.name, value, position_of(tree))
    return part.assigned(container, tree.args["subscripts"], column.type_oid, column.typmod)


class _Part:
    """Assigns a value to a part of a column, however deep that lies."""

    def __init__(self, scope: Scope, column: str, value: Expression, position: int) -> None:
        self._scope = scope
        self._column = column
        self._value = value
        self._position = position

    def assigned(
        self, container: Expression, steps: Sequence[exp.Expression], type_oid: int, typmod: int
    ) -> Expression:
        """Return a container of a type with the part behind some steps replaced."""
        if _is_field(steps[0]):
            return self._with_field(container, steps, type_oid)
        here = list(takewhile(lambda step: not _is_field(step), steps))
        rest = steps[len(here) :]
        if type_oid == oids.JSONB:
            new = self._new(
                rest, oids.JSONB, -1, f'subscripted assignment to "{self._column}" requires type'
            )
            return with_json_part(self._scope, container, here, new, self._position)
        wanted = _element(type_oid, here, self._position)
        bounds, given = _bounds(self._scope, here)
        if rest:
            inner = Subscript(type_oid=wanted, array=container, indexes=bounds)
            new = self.assigned(inner, rest, wanted, -1)
        else:
            new = self._new(rest, wanted, typmod, self._subscripted())
        function = array_parts.assignment(type_oid, wanted, oids.INT4, given)
        return self._call(function, [container, new, *bounds])

    def _with_field(
        self, container: Expression, steps: Sequence[exp.Expression], type_oid: int
    ) -> Expression:
        name, rest = steps[0].this, steps[1:]
        index, (_, field_oid, typmod) = _field(type_oid, name, self._column, self._position)
        if rest:
            inner = FieldSelect(type_oid=field_oid, record=container, index=index)
            new = self.assigned(inner, rest, field_oid, typmod)
        else:
            new = self._new(rest, field_oid, typmod, f'subfield "{name}" is of type')
        function = record_parts.field_assignment(type_oid, index)
        return self._call(function, [container, new])

    def _subscripted(self) -> str:
        return f'subscripted assignment to "{self._column}" requires type'

    def _new(
        self, rest: Sequence[exp.Expression], type_oid: int, typmod: int, words: str
    ) -> Expression:
        """Return the value as one of the part's type. Raises SqlError 42804."""
        assert not rest, "of what has no parts"
        new = coercion.coerce(self._scope.binding, self._value, type_oid, CastContext.ASSIGNMENT)
        if new is None:
            raise SqlError(
                "42804",
                f"{words} {type_name(type_oid)}"
                f" but expression is of type {type_name(self._value.type_oid)}",
                hint="You will need to rewrite or cast the expression.",
                position=self._value.position,
            )
        return coercion.apply_typmod(new, typmod, explicit=False)

    def _call(self, function: Function, arguments: list[Expression]) -> Call:
        return Call(
            type_oid=function.return_type,
            position=self._position,
            function=function,
            arguments=arguments,
        )


def _is_field(step: exp.Expression) -> bool:
    return isinstance(step, exp.Identifier)


def _field(
    type_oid: int, name: str, column: str, position: int
) -> tuple[int, tuple[str, int, int]]:
    """Return place, name, type and typmod of a field. Raises SqlError 42804, 42703."""
    kind = registry.get(type_oid)
    start = f'cannot assign to field "{name}" of column "{column}" because'
    if kind.kind != "c":
        message = f"{start} its type {type_name(type_oid)} is not a composite type"
        raise SqlError("42804", message, position=position)
    for at, field in enumerate(kind.fields):
        if field[0] == name:
            return at, field
    message = f"{start} there is no such column in data type {type_name(type_oid)}"
    raise SqlError("42703", message, position=position)


def _element(type_oid: int, steps: Sequence[exp.Expression], position: int) -> int:
    """Return the type of what subscripts of an array name. Raises SqlError 42804."""
    kind = registry.get(type_oid)
    if not kind.element_oid:
        message = f"cannot subscript type {kind.sql_name} because it does not support subscripting"
        raise SqlError("42804", message, position=position)
    if any(isinstance(step, exp.Slice) for step in steps):
        return array_of(kind.element_oid, position)
    return kind.element_oid


def part_type(column: Column, tree: exp.Expression) -> int:
    """Return the type of the part of a column that a target names. Raises SqlError 42804, 42703."""
    type_oid, position = column.type_oid, position_of(tree)
    steps = list(tree.args["subscripts"])
    while steps and type_oid != oids.JSONB:
        if _is_field(steps[0]):
            _, (_, type_oid, _) = _field(type_oid, steps.pop(0).this, column.name, position)
            continue
        here = list(takewhile(lambda step: not _is_field(step), steps))
        type_oid = _element(type_oid, here, position)
        steps = steps[len(here) :]
    return type_oid


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
