"""Binds long lists of constants as a whole: types by kind, values by column.

What a list means is what its constants mean one by one. Whatever does not go in bulk, or fails, is None
here; then the constants are bound one by one, and the bad one is an error at its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.catalog.schema import Column
from dsql.errors import SqlError
from dsql.functions.coercion import CastContext, find_cast, select_common_type
from dsql.sql.binding import Binding
from dsql.sql.bound import Constant
from dsql.sql.bound_query import ConstantRows, EntryColumn
from dsql.sql.constant_lists import ConstantList, Kind
from dsql.types import oids, reg, registry
from dsql.types.typmod import enforcer

_INT4_MAX = 2**31
_INT8_MAX = 2**63
_INTEGERS = frozenset({oids.INT4, oids.INT8})

Typed = tuple[frozenset[int], list[Any]]


def constant_array(
    binding: Binding, constants: ConstantList, beside: list[int], position: int
) -> Constant | None:
    """Return a list as an array of the common type of its constants and of the types `beside` it."""
    typed = _typed(binding, constants)
    if typed is None:
        return None
    ((types, given),) = typed
    element = select_common_type([*beside, *sorted(types)])
    if not isinstance(element, int) or element == oids.RECORD:
        return None
    array_oid = registry.get(element).array_oid
    values = _converted(binding, (types, given), element, CastContext.IMPLICIT)
    if values is None or not array_oid:
        return None
    return Constant(type_oid=array_oid, value=values, position=position)


def array_as(
    binding: Binding, constants: ConstantList, type_oid: int, position: int
) -> Constant | None:
    """Return a list as an array of a type that a cast names."""
    typed = _typed(binding, constants)
    element = registry.get(type_oid).element_oid
    if typed is None or registry.get(element).array_oid != type_oid:
        return None
    values = _converted(binding, typed[0], element, CastContext.EXPLICIT)
    return None if values is None else Constant(type_oid=type_oid, value=values, position=position)


def constant_rows(
    binding: Binding, constants: ConstantList
) -> tuple[ConstantRows, list[EntryColumn]] | None:
    """Return a VALUES list and its columns, each of the common type of its constants."""
    typed = _typed(binding, constants)
    if typed is None:
        return None
    done, columns = [], []
    for number, one in enumerate(typed, 1):
        chosen = select_common_type(sorted(one[0]))
        assert isinstance(chosen, int), "integers have a common type"
        values = _converted(binding, one, chosen, CastContext.IMPLICIT)
        if values is None:
            return None
        done.append(values)
        columns.append(EntryColumn(f"column{number}", chosen, -1))
    return ConstantRows(done), columns


def assigned_rows(
    binding: Binding, constants: ConstantList, columns: list[Column]
) -> ConstantRows | None:
    """Return a VALUES list as the columns of a table take it."""
    typed = _typed(binding, constants)
    if typed is None or len(typed) != len(columns):
        return None
    done = []
    for column, one in zip(columns, typed, strict=True):
        if column.generated or column.identity:
            return None
        values = _converted(binding, one, column.type_oid, CastContext.ASSIGNMENT)
        enforce = enforcer(column.type_oid, column.typmod, explicit=False)
        if values is not None and enforce is not None:
            values = _mapped(enforce, values)
        if values is None:
            return None
        done.append(values)
    return ConstantRows(done)


def _typed(binding: Binding, constants: ConstantList) -> list[Typed] | None:
    """Return types and values of the columns of a list, None if one is no matter for this room."""
    columns = constants.columns()
    if columns is None or not binding.folding:
        return None
    typed = []
    for kind, values in columns:
        if kind is Kind.INTEGER:
            types = _integer_types(values)
        elif kind is Kind.NUMBER:
            decode = registry.get(oids.NUMERIC).text_decoder(binding.settings)
            numbers = _mapped(lambda text, decode=decode: decode(text.encode()), values)  # type: ignore[misc]
            types, values = frozenset({oids.NUMERIC} if numbers else ()), numbers or []
        else:
            types = frozenset({oids.UNKNOWN if kind is Kind.STRING else oids.BOOL})
        if not types:
            return None
        typed.append((types, values))
    return typed


def _integer_types(values: list[int | None]) -> frozenset[int]:
    """Return the types of integers as they are written; none if one is too large for int8."""
    present = [value for value in values if value is not None]
    low, high = min(present), max(present)
    if not -_INT8_MAX <= low <= high < _INT8_MAX:
        return frozenset()
    if low >= -_INT4_MAX and high < _INT4_MAX:
        return frozenset({oids.INT4})
    if any(-_INT4_MAX <= value < _INT4_MAX for value in present):
        return _INTEGERS
    return frozenset({oids.INT8})


def _converted(
    binding: Binding, typed: Typed, target: int, context: CastContext
) -> list[Any] | None:
    """Return values as ones of the type `target`."""
    types, values = typed
    if types == {target} or (target == oids.INT8 and types <= _INTEGERS):
        return values
    if len(types) > 1:
        return None
    (source,) = types
    if source == oids.UNKNOWN:
        kind = registry.get(target)
        if kind.name in reg.NAMES:
            return None
        decode = kind.text_decoder(binding.settings)
        return _mapped(lambda text: decode(text.encode()), values)
    cast = find_cast(source, target, context)
    if cast is None or cast.via_text:
        return None
    function = cast.function
    if function is None:
        return values
    if function.volatility != "i" or function.needs_context or not function.strict:
        return None
    return _mapped(function.implementation, values)


def _mapped(function: Callable[[Any], Any], values: list[Any]) -> list[Any] | None:
    try:
        return [None if value is None else function(value) for value in values]
    except SqlError:
        return None
