"""Casts made explicit: every way an expression takes another type during binding.

An unknown-typed literal takes the wanted type at once, through that type's text input, so that a bad one
is an error at its own position; an unknown-typed parameter takes it for the whole statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

from dsql.catalog.names import CatalogNames, View
from dsql.errors import SqlError
from dsql.functions.coercion import CastContext, find_cast, select_common_type
from dsql.limits import FOLDED_BYTES_MAX
from dsql.sql.binding import Binding, type_name
from dsql.sql.bound import (
    ApplyTypmod,
    ArrayConstructor,
    Call,
    Constant,
    Expression,
    Given,
    Parameter,
    Relabel,
    RowConstructor,
    TextCast,
)
from dsql.sql.expression_lists import NotAlikeError
from dsql.types import oids, reg, registry
from dsql.types.size import size_of
from dsql.types.typmod import input_decoder

_POLYMORPHIC = frozenset(
    {
        oids.ANY,
        oids.ANYELEMENT,
        oids.ANYARRAY,
        oids.ANYNONARRAY,
        oids.ANYENUM,
        oids.ANYCOMPATIBLE,
        oids.ANYCOMPATIBLEARRAY,
        oids.ANYCOMPATIBLENONARRAY,
    }
)


_FOLDED_COLUMN_BYTES_MAX = 8 * 1024 * 1024  # of the items of a list together


def input_value(binding: Binding, text: str, type_oid: int, position: int) -> Any:
    """Return the runtime value of a literal's text. Raises what the type's input raises, at `position`."""
    name = registry.get(type_oid).name
    try:
        if name in reg.NAMES:
            view = View(binding.catalog, binding.search_path, binding.authority)
            return reg.oid_of(name, text, CatalogNames(lambda: view))
        return registry.get(type_oid).text_decoder(binding.settings)(text.encode())
    except SqlError as error:
        if not error.position:
            error.position = position
        raise


def coerce(
    binding: Binding,
    expression: Expression,
    type_oid: int,
    context: CastContext = CastContext.IMPLICIT,
    *,
    position: int = 0,
    typmod: int = -1,
) -> Expression | None:
    """Return an expression as one of `type_oid`, None if no cast of that context leads there.

    `typmod` is for the few casts whose work depends on it, of integers to bits.
    """
    source = expression.type_oid
    if source == type_oid or type_oid in _POLYMORPHIC:
        return expression
    implicit = context is not CastContext.EXPLICIT
    at = position or expression.position
    if source == oids.UNKNOWN:
        return _from_unknown(binding, expression, type_oid, implicit)
    if source == oids.RECORD and registry.is_composite(type_oid):
        return _row_as(binding, expression, type_oid, context, at)
    cast = find_cast(source, type_oid, context)
    if cast is None:
        return None
    if cast.via_text:
        return TextCast(type_oid=type_oid, position=at, argument=expression, implicit=implicit)
    if cast.function is None:
        return Relabel(
            type_oid=type_oid,
            typmod=-1,
            position=at,
            argument=expression,
            implicit=implicit,
        )
    call = Call(
        type_oid=type_oid,
        position=at,
        function=cast.function,
        arguments=[expression],
        cast=True,
        implicit=implicit,
    )
    if len(cast.function.argument_types) > 1:
        call.arguments.append(Constant(type_oid=oids.INT4, value=typmod))
        call.typmod = typmod
    return folded(binding, call)


def without_implicit_cast(expression: Expression) -> Expression:
    """Return what an expression was before it was cast to what its place takes."""
    match expression:
        case Relabel(implicit=True) | TextCast(implicit=True):
            return expression.argument
        case Call(cast=True, implicit=True):
            return expression.arguments[0]
    return expression


def _row_as(
    binding: Binding, row: Expression, type_oid: int, context: CastContext, position: int
) -> Expression | None:
    """Return a row as a value of a composite type. Raises SqlError 42846 where its fields do not fit."""
    if isinstance(row, Constant) and row.value is None:
        return replace(row, type_oid=type_oid)
    if isinstance(row, Call) and row.function.columns:
        wanted = tuple((name, oid) for name, oid, _ in registry.get(type_oid).fields)
        is_same = row.function.columns == wanted
        return Relabel(type_oid=type_oid, argument=row, position=position) if is_same else None
    if not isinstance(row, RowConstructor):
        return None
    fields = registry.get(type_oid).fields
    target = type_name(type_oid)
    if len(row.fields) != len(fields):
        amount = "few" if len(row.fields) < len(fields) else "many"
        raise _cannot_be(target, f"Input has too {amount} columns.", position)
    done: list[Expression] = []
    for number, (field, (_, oid, typmod)) in enumerate(zip(row.fields, fields, strict=True), 1):
        value = coerce(binding, row.literals.get(number - 1, field), oid, context)
        if value is None:
            which = f"{type_name(field.type_oid)} to {type_name(oid)}"
            raise _cannot_be(target, f"Cannot cast type {which} in column {number}.", position)
        done.append(apply_typmod(value, typmod, explicit=False))
    names = [name for name, _, _ in fields]
    return replace(row, type_oid=type_oid, fields=done, names=names, position=position)


def _cannot_be(target: str, detail: str, position: int) -> SqlError:
    message = f"cannot cast type record to {target}"
    return SqlError("42846", message, detail=detail, position=position)


def _from_unknown(
    binding: Binding, expression: Expression, type_oid: int, implicit: bool
) -> Expression:
    if isinstance(expression, Constant):
        value = expression.value
        if value is not None:
            value = input_value(binding, value, type_oid, expression.position)
        return Constant(type_oid=type_oid, position=expression.position, value=value)
    if isinstance(expression, Given):
        return read(binding, expression, type_oid)
    if isinstance(expression, Parameter):
        return binding.determine(expression, type_oid)
    return TextCast(
        type_oid=type_oid, position=expression.position, argument=expression, implicit=implicit
    )


def read(binding: Binding, given: Given, type_oid: int, typmod: int = -1) -> Given:
    """Return literals that differ between expressions as values of a type.

    Raises NotAlikeError if one is none, or means what names mean now.
    """
    if registry.get(type_oid).name in reg.NAMES:
        raise NotAlikeError
    decode = input_decoder(type_oid, typmod, binding.settings)
    try:
        values = [None if value is None else decode(value) for value in given.values]
    except SqlError:
        raise NotAlikeError from None
    return replace(given, type_oid=type_oid, typmod=typmod, values=values)


def apply_typmod(expression: Expression, typmod: int, *, explicit: bool) -> Expression:
    """Return an expression whose value obeys a typmod of its type."""
    if typmod < 0 or expression.typmod == typmod:
        return expression
    if isinstance(expression, Constant) and expression.value is None:
        return replace(expression, typmod=typmod)
    return ApplyTypmod(
        type_oid=expression.type_oid,
        typmod=typmod,
        position=expression.position,
        argument=expression,
        explicit=explicit,
    )


def cast_to(
    binding: Binding,
    expression: Expression,
    type_oid: int,
    typmod: int = -1,
    *,
    position: int = 0,
) -> Expression:
    """Return CAST(expression AS type). Raises SqlError 42846 if there is no such cast."""
    literal = isinstance(expression, Constant) and expression.type_oid == oids.UNKNOWN
    if typmod >= 0 and isinstance(expression, Given) and expression.type_oid == oids.UNKNOWN:
        return read(binding, expression, type_oid, typmod)
    if literal and typmod >= 0 and (binding.folding or type_oid == oids.INTERVAL):
        assert isinstance(expression, Constant)
        return _literal_of(binding, expression, type_oid, typmod)
    if isinstance(expression, ArrayConstructor) and expression.type_oid != type_oid:
        element = registry.get(type_oid).element_oid
        if element and not expression.multidimensional:
            expression = _array_as(binding, expression, type_oid, element, position)
    explicit = CastContext.EXPLICIT
    done = coerce(binding, expression, type_oid, explicit, position=position, typmod=typmod)
    if done is None:
        source, target = type_name(expression.type_oid), type_name(type_oid)
        raise SqlError("42846", f"cannot cast type {source} to {target}", position=position)
    return apply_typmod(done, typmod, explicit=True)


def _literal_of(binding: Binding, literal: Constant, type_oid: int, typmod: int) -> Constant:
    """Read a literal whose typmod has a say in its meaning: interval '5' day."""
    value = literal.value
    if value is not None:
        try:
            value = input_decoder(type_oid, typmod, binding.settings)(value)
        except SqlError as error:
            error.position = error.position or literal.position
            raise
    return Constant(type_oid=type_oid, typmod=typmod, position=literal.position, value=value)


def _array_as(
    binding: Binding, array: ArrayConstructor, type_oid: int, element: int, position: int
) -> Expression:
    """ARRAY[a, b]::t[] casts the elements, as PostgreSQL does."""
    elements = [cast_to(binding, item, element, position=position) for item in array.elements]
    return replace(array, type_oid=type_oid, elements=elements)


def assign(
    binding: Binding,
    expression: Expression,
    type_oid: int,
    typmod: int,
    column: str,
) -> Expression:
    """Return an expression as a column takes it. Raises SqlError 42804 if it cannot."""
    done = coerce(binding, expression, type_oid, CastContext.ASSIGNMENT)
    if done is None:
        source, target = type_name(expression.type_oid), type_name(type_oid)
        raise SqlError(
            "42804",
            f'column "{column}" is of type {target} but expression is of type {source}',
            hint="You will need to rewrite or cast the expression.",
            position=expression.position,
        )
    return apply_typmod(done, typmod, explicit=False)


def require(binding: Binding, expression: Expression, type_oid: int, construct: str) -> Expression:
    """Return an expression as one of `type_oid` for a construct that takes nothing else (42804)."""
    if expression.type_oid == type_oid:
        return expression
    done = coerce(binding, expression, type_oid, CastContext.ASSIGNMENT)
    if done is None:
        source, target = type_name(expression.type_oid), type_name(type_oid)
        raise SqlError(
            "42804",
            f"argument of {construct} must be type {target}, not type {source}",
            position=expression.position,
        )
    return done


def boolean(binding: Binding, expression: Expression, construct: str) -> Expression:
    """Return an expression as a condition of WHERE, AND and so on."""
    return require(binding, expression, oids.BOOL, construct)


def unify(
    binding: Binding, expressions: Sequence[Expression], construct: str
) -> tuple[list[Expression], int, int]:
    """Return expressions cast to their common type, with that type and common typmod.

    Raises SqlError 42804 `<construct> types a and b cannot be matched`.
    """
    target = common_type_of(expressions, construct)
    done = [converted(binding, expression, target, construct) for expression in expressions]
    typmods = {expression.typmod for expression in done}
    return done, target, typmods.pop() if len(typmods) == 1 else -1


def converted(
    binding: Binding, expression: Expression, type_oid: int, construct: str
) -> Expression:
    """Return an expression as one of the type that `construct` has chosen. Raises SqlError 42846."""
    done = coerce(binding, expression, type_oid)
    if done is None:
        source, wanted = type_name(expression.type_oid), type_name(type_oid)
        raise SqlError(
            "42846",
            f"{construct} could not convert type {source} to {wanted}",
            position=expression.position,
        )
    return done


def common_type_of(expressions: Sequence[Expression], construct: str) -> int:
    """Return the type that UNION, CASE, VALUES and their kin resolve to; text if all are unknown."""
    chosen = select_common_type([expression.type_oid for expression in expressions])
    if isinstance(chosen, int):
        return chosen
    left, right = chosen
    position = next(e.position for e in expressions if e.type_oid == right)
    raise SqlError(
        "42804",
        f"{construct} types {type_name(left)} and {type_name(right)} cannot be matched",
        position=position,
    )


def known(binding: Binding, expression: Expression) -> Expression:
    """Return an expression whose type is settled: what is unknown still becomes text."""
    if expression.type_oid != oids.UNKNOWN:
        return expression
    done = coerce(binding, expression, oids.TEXT)
    assert done is not None
    return done


def folded(binding: Binding, call: Call) -> Expression:
    """Evaluate an immutable call of constants now; what raises is left to run time."""
    columns: list[Any] = []
    given = False
    for argument in call.arguments:
        if type(argument) is Constant:
            columns.append(argument.value)
        elif type(argument) is Given:
            given = True
            columns.append(argument)
        else:
            return call
    function = call.function
    if (
        not binding.folding
        or function.volatility != "i"
        or function.needs_context
        or function.returns_set
    ):
        return call
    if given:
        return _folded_given(call, columns)
    if function.strict and None in columns:
        return Constant(type_oid=call.type_oid, position=call.position, value=None)
    try:
        value = function.implementation(*columns)
    except SqlError:
        return call
    if size_of(value) > FOLDED_BYTES_MAX:
        return call  # plans are kept
    return Constant(type_oid=call.type_oid, position=call.position, value=value)


def _folded_given(call: Call, columns: list[Any]) -> Expression:
    """Evaluate a call for each of the values that its arguments have: constants, or `Given`."""
    function = call.function
    rows = zip(
        *(one.values if isinstance(one, Given) else repeat(one) for one in columns), strict=False
    )
    values: list[Any] = []
    size = 0
    try:
        for row in rows:
            null = function.strict and None in row
            values.append(None if null else function.implementation(*row))
            size += size_of(values[-1])
            if size > _FOLDED_COLUMN_BYTES_MAX:
                return call
    except SqlError:
        return call
    nullable = None in values
    return Given(type_oid=call.type_oid, position=call.position, values=values, nullable=nullable)
