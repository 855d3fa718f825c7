"""Functions in LANGUAGE SQL in calls: which one a name means, the defaults, and what runs it.

Who calls a function needs EXECUTE on it, and USAGE on its schema where he names that. What is as simple
as an expression is written into the query (`dsql.sql.inlining`); else its body runs for each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter
from typing import Any

from dsql.access.authorize import check
from dsql.access.requirements import CallUse, usage_of
from dsql.catalog.catalog import Catalog, searched
from dsql.catalog.range_constructors import constructors
from dsql.catalog.schema import Column, CompositeType, SqlFunction
from dsql.errors import SqlError
from dsql.functions import polymorphism, registry
from dsql.functions.coercion import CastContext, select_common_type
from dsql.functions.function import Function
from dsql.functions.registry import Callee
from dsql.functions.resolution import Resolved, resolve_among
from dsql.sql import coercion
from dsql.sql.binding import Binding
from dsql.sql.bound import Call, Expression
from dsql.types import oids
from dsql.types.record import record_class

Columns = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class SqlCall:
    """What runs a function for actual types: the implementation of a bound call.

    `columns`: those of a composite result, else none, with `typmods` where they have some. A record whose
    columns nobody has named has none either; the body then decides.
    """

    function: SqlFunction
    argument_types: tuple[int, ...]
    return_type: int
    columns: Columns
    typmods: tuple[int, ...] = ()

    def __call__(self, context: Any, *arguments: Any) -> Any:
        """Return the value, or an iterable of the values of a set; of a composite type: tuples."""
        return context.call_sql_function(self, arguments)

    def result(self, rows: Iterable[tuple[Any, ...]], columns: Sequence[Any]) -> Any:
        """Return what the call gives of its last statement's rows; `columns` are `OutputColumn`s."""
        returns_set = self.function.returns_set
        if self.return_type == oids.VOID:
            return () if returns_set else None
        make: Callable[[tuple[Any, ...]], Any] = itemgetter(0)
        if self.columns or self.return_type == oids.RECORD:
            names = tuple(name for name, _ in self.columns) or tuple(each.name for each in columns)
            make = record_class(names, tuple(each.type_oid for each in columns))
        return map(make, rows) if returns_set else next(map(make, rows), None)


def resolve_own(
    binding: Binding,
    name: str,
    types: tuple[int, ...],
    schema: str | None,
    argument_names: tuple[str, ...],
    variadic: bool,
) -> Resolved | None:
    """Return what a call means where functions of the catalog have its name, None where none has.

    Raises SqlError 42501 for a schema that is closed to the user, 42883, 42725.
    """
    named = binding.catalog.functions_named(name)
    made = list(constructors(binding.catalog, name))
    if not named and not made:
        return None
    schemas = searched(binding.search_path) if schema is None else _usable(binding, schema)
    callees: list[Callee] = []
    for candidate in schemas:
        if candidate == "pg_catalog":
            callees += registry.candidates(name)
        callees += (
            callee_of(function, binding.catalog)
            for function in named
            if function.schema == candidate
        )
        callees += (function for function in made if function.schema == candidate)
    return resolve_among(callees, name, types, schema, argument_names, variadic)


def _usable(binding: Binding, schema: str) -> tuple[str]:
    found = binding.catalog.schemas.get(schema)
    if found is not None and binding.authority is not None:
        check(usage_of(found), binding.authority)
    return (schema,)


def callee_of(function: SqlFunction, catalog: Catalog) -> Function:
    """Return a function of the catalog as calls are resolved to it."""
    returned = attributes_of(function.return_type, catalog)
    typmods = tuple(column.typmod for column in returned or ())
    return _callee(function, result_columns(function, catalog), typmods)


@lru_cache(2048)
def _callee(function: SqlFunction, columns: Columns, typmods: tuple[int, ...]) -> Function:
    inputs = function.inputs
    return_type = oids.RECORD if columns else function.return_type
    return Function(
        oid=function.oid,
        name=function.name,
        argument_types=function.argument_types,
        return_type=return_type,
        implementation=SqlCall(function, function.argument_types, return_type, columns, typmods),
        strict=function.strict,
        volatility=function.volatility,
        returns_set=function.returns_set,
        needs_context=True,
        variadic=function.variadic,
        default_arguments=tuple(one.default for one in inputs if one.default is not None),
        argument_names=tuple(one.name for one in inputs),
        columns=columns,
        schema=function.schema,
        definition=function,
    )


def result_columns(function: SqlFunction, catalog: Catalog) -> Columns:
    """Return (name, type OID) of a composite result's columns; none of a plain value or a bare record."""
    outputs = function.outputs
    if len(outputs) > 1:
        return tuple(
            (one.name or f"column{number}", one.type_oid) for number, one in enumerate(outputs, 1)
        )
    returned = attributes_of(function.return_type, catalog) or ()
    return tuple((column.name, column.type_oid) for column in returned)


def attributes_of(type_oid: int, catalog: Catalog) -> tuple[Column, ...] | None:
    """Return the attributes of a composite type, be it a table's row type; None for another type."""
    table = catalog.table_of_row_type(type_oid)
    if table is not None:
        return tuple(table.live_columns)
    found = catalog.user_type_of(type_oid)
    is_composite = isinstance(found, CompositeType) and found.oid == type_oid
    return found.live_attributes if is_composite and isinstance(found, CompositeType) else None


def sql_call(binding: Binding, found: Resolved, given: list[Expression], position: int) -> Call:
    """Return the call of a function of the catalog, given its arguments as the call has them, cast."""
    from dsql.sql.domains import checked_as

    callee = found.callee
    assert isinstance(callee, Function)
    assert callee.definition is not None
    made = callee.implementation
    assert isinstance(made, SqlCall)
    definition = callee.definition
    _note_use(binding, definition)
    arguments = [
        checked_as(binding, argument, parameter.domain)
        for argument, parameter in zip(
            _with_defaults(binding, definition, found, given), definition.inputs, strict=True
        )
    ]
    types = tuple(argument.type_oid for argument in arguments)
    columns = tuple(
        (name, _actual(definition.argument_types, types, oid)) for name, oid in callee.columns
    )
    return_type = _actual(definition.argument_types, types, callee.return_type)
    function = replace(
        callee,
        argument_types=types,
        return_type=return_type,
        columns=columns,
        implementation=SqlCall(definition, types, return_type, columns, made.typmods),
        default_arguments=(),
    )
    return Call(type_oid=return_type, position=position, function=function, arguments=arguments)


def define_columns(call: Call, columns: Columns, typmods: tuple[int, ...]) -> None:
    """Give a record the columns that FROM defines for it."""
    implementation = call.function.implementation
    assert isinstance(implementation, SqlCall)
    call.function = replace(
        call.function,
        columns=columns,
        implementation=replace(implementation, columns=columns, typmods=typmods),
    )


def _note_use(binding: Binding, function: SqlFunction) -> None:
    binding.tables.add(function.oid)
    binding.calls.append(CallUse(function))


def _with_defaults(
    binding: Binding, function: SqlFunction, found: Resolved, given: list[Expression]
) -> list[Expression]:
    """Return an argument for each parameter: those of the call in their places, defaults in others."""
    if found.order is None:
        return given
    places = list(zip(found.order, function.inputs, strict=True))
    declared = [one.type_oid for place, one in places if place >= 0]
    actual = [given[place].type_oid for place, _ in places if place >= 0]
    return [
        _default(binding, one.default or "", one.type_oid, declared, actual)
        if place < 0
        else given[place]
        for place, one in places
    ]


def _default(
    binding: Binding, text: str, type_oid: int, declared: Sequence[int], actual: Sequence[int]
) -> Expression:
    """Return a default as the parameter takes it, a polymorphic one by what the call has given it."""
    from dsql.sql.columns import bind_stored, stored_scope

    bound = bind_stored(stored_scope(binding, None), text, "DEFAULT expressions")
    if type_oid in polymorphism.POLYMORPHIC:
        solved = polymorphism.solve(declared, actual, type_oid, _common)
        if solved is None or solved[1] in polymorphism.POLYMORPHIC:
            return coercion.known(binding, bound)
        type_oid = solved[1]
    done = coercion.coerce(binding, bound, type_oid, CastContext.ASSIGNMENT)
    assert done is not None, text
    return done


def _actual(declared: Sequence[int], actual: Sequence[int], type_oid: int) -> int:
    """Return a type of the result, a polymorphic one as the arguments have it."""
    if type_oid not in polymorphism.POLYMORPHIC:
        return type_oid
    solved = polymorphism.solve(declared, actual, type_oid, _common)
    if solved is None or solved[1] in polymorphism.POLYMORPHIC:
        raise SqlError(
            "42804",
            "could not determine polymorphic type because input has type unknown",
        )
    return solved[1]


def _common(type_oids: Sequence[int]) -> int | None:
    chosen = select_common_type(type_oids)
    return None if isinstance(chosen, tuple) else chosen
