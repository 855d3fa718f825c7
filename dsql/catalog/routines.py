"""Functions in LANGUAGE SQL in the catalogs: pg_proc, pg_get_functiondef, information_schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.access.authority import Authority
from dsql.access.privileges import Kind
from dsql.catalog.catalog import Catalog, searched
from dsql.catalog.context_functions import define
from dsql.catalog.function_text import (
    arguments_text,
    body_text,
    is_visible,
    result_text,
)
from dsql.catalog.information_schema import DATABASE
from dsql.catalog.relations import namespace_oids
from dsql.catalog.schema import SqlFunction, SqlParameter, Table
from dsql.catalog.virtual import provides
from dsql.functions.function import Function
from dsql.functions.registry import by_oid
from dsql.types import oids, registry
from dsql.types.typmod import format_type

Row = Mapping[str, Any]
_SQL_LANGUAGE = 14


def sql_function_rows(catalog: Catalog) -> Iterator[Row]:
    """Yield the rows of pg_proc."""
    namespaces = namespace_oids(catalog)
    for function in catalog.functions.values():
        yield {**_signature(function), **_rest(function, namespaces.get(function.schema, 0))}


def _signature(function: SqlFunction) -> Row:
    parameters, inputs = function.parameters, function.inputs
    has_others = any(one.mode != "i" for one in parameters)
    names = [one.name for one in parameters]
    defaults = [one.default for one in inputs if one.default is not None]
    last = parameters[-1].type_oid if function.variadic else 0
    return {
        "provariadic": registry.get(last).element_oid or last if last else 0,
        "pronargs": len(inputs),
        "pronargdefaults": len(defaults),
        "prorettype": function.domain or function.return_type,
        "proargtypes": tuple(one.domain or one.type_oid for one in inputs),
        "proallargtypes": [one.domain or one.type_oid for one in parameters]
        if has_others
        else None,
        "proargmodes": [one.mode for one in parameters] if has_others else None,
        "proargnames": names if any(names) else None,
        "proargdefaults": ", ".join(defaults) or None,
    }


def _rest(function: SqlFunction, namespace: int) -> Row:
    in_string = function.form == "s"
    return {
        "oid": function.oid,
        "proname": function.name,
        "pronamespace": namespace,
        "proowner": function.owner_oid,
        "prolang": _SQL_LANGUAGE,
        "procost": function.cost,
        "prorows": function.rows,
        "prokind": "f",
        "prosecdef": function.security_definer,
        "proleakproof": function.leakproof,
        "proisstrict": function.strict,
        "proretset": function.returns_set,
        "provolatile": function.volatility,
        "proparallel": function.parallel,
        "prosrc": function.body if in_string else "",
        "prosqlbody": None if in_string else body_text(function),
        "proconfig": [f"{name}={value}" for name, value in function.settings] or None,
        "proacl": None if function.acl is None else list(function.acl),
    }


# ---------------------------------------------------------------- as text


def _builtin(oid: int) -> Function | None:
    callee = by_oid(oid)
    return callee if isinstance(callee, Function) else None


@define("pg_get_function_result", (oids.OID,), oids.TEXT)
def _pg_get_function_result(context: Any, oid: int) -> str | None:
    function = context.catalog.functions.get(oid)
    if function is not None:
        return result_text(function, context.catalog, context.search_path)
    builtin = _builtin(oid)
    if builtin is None:
        return None
    setof = "SETOF " if builtin.returns_set else ""
    return setof + format_type(builtin.return_type, -1)


def _arguments(context: Any, oid: int, *, defaults: bool) -> str | None:
    function = context.catalog.functions.get(oid)
    if function is not None:
        return arguments_text(function, context.catalog, context.search_path, defaults=defaults)
    builtin = _builtin(oid)
    if builtin is None:
        return None
    return ", ".join(format_type(kind, -1) for kind in builtin.argument_types)


@define("pg_get_function_arguments", (oids.OID,), oids.TEXT)
def _pg_get_function_arguments(context: Any, oid: int) -> str | None:
    return _arguments(context, oid, defaults=True)


@define("pg_get_function_identity_arguments", (oids.OID,), oids.TEXT)
def _pg_get_function_identity_arguments(context: Any, oid: int) -> str | None:
    return _arguments(context, oid, defaults=False)


@define("pg_get_function_arg_default", (oids.OID, oids.INT4), oids.TEXT)
def _pg_get_function_arg_default(context: Any, oid: int, number: int) -> str | None:
    function: SqlFunction | None = context.catalog.functions.get(oid)
    if function is None or not 1 <= number <= len(function.parameters):
        return None
    return function.parameters[number - 1].default


@define("pg_function_is_visible", (oids.OID,), oids.BOOL)
def _pg_function_is_visible(context: Any, oid: int) -> bool | None:
    function = context.catalog.functions.get(oid)
    if function is not None:
        return is_visible(function, context.catalog, context.search_path)
    builtin = _builtin(oid)
    if builtin is not None:
        return builtin.schema in searched(context.search_path)
    return True if by_oid(oid) is not None else None


# ---------------------------------------------------------------- information_schema


def _seen(context: Any) -> Iterator[SqlFunction]:
    """Yield the functions that the user owns or may call."""
    authority = Authority(context.catalog, context.user.oid)
    for function in context.catalog.functions.values():
        held, _ = authority.masks(Kind.FUNCTION, function.owner_oid, function.acl)
        if held or authority.owns(function.owner_oid):
            yield function


def specific_name(function: SqlFunction) -> Row:
    """Return the columns by which information_schema knows a function from others of its name."""
    return {
        "specific_catalog": DATABASE,
        "specific_schema": function.schema,
        "specific_name": f"{function.name}_{function.oid}",
    }


@provides("information_schema", "routines")
def _routines(context: Any) -> Iterator[Row]:
    authority = Authority(context.catalog, context.user.oid)
    for function in _seen(context):
        owned = authority.owns(function.owner_oid)
        yield {
            **specific_name(function),
            "routine_catalog": DATABASE,
            "routine_schema": function.schema,
            "routine_name": function.name,
            "routine_type": "FUNCTION",
            **_type(function.return_type, context.catalog, "type_udt"),
            "dtd_identifier": "0",
            "routine_body": "SQL",
            "routine_definition": function.body if owned and function.form == "s" else None,
            "external_language": "SQL",
            "parameter_style": "GENERAL",
            "is_deterministic": "YES" if function.volatility == "i" else "NO",
            "sql_data_access": "MODIFIES",
            "is_null_call": "YES" if function.strict else "NO",
            "schema_level_routine": "YES",
            "max_dynamic_result_sets": 0,
            "security_type": "DEFINER" if function.security_definer else "INVOKER",
            "as_locator": "NO",
            "is_udt_dependent": "NO",
        }


@provides("information_schema", "parameters")
def _parameters(context: Any) -> Iterator[Row]:
    for function in _seen(context):
        for number, parameter in enumerate(function.parameters, 1):
            yield {
                **specific_name(function),
                "ordinal_position": number,
                "parameter_mode": _MODES[parameter.mode],
                "is_result": "NO",
                "as_locator": "NO",
                "parameter_name": parameter.name or None,
                **_type(parameter.type_oid, context.catalog),
                "dtd_identifier": str(number),
                "parameter_default": _default(parameter),
            }


_MODES = {"i": "IN", "o": "OUT", "b": "INOUT", "v": "IN", "t": "OUT"}


def _default(parameter: SqlParameter) -> str | None:
    return parameter.default if parameter.is_input else None


def _type(type_oid: int, catalog: Catalog, prefix: str = "udt") -> Row:
    """Return the columns that tell a type; those of its name begin with `prefix`."""
    table = catalog.table_of_row_type(type_oid)
    if table is not None:
        word, schema, name = "USER-DEFINED", table.schema, table.name
    else:
        kind = registry.get(type_oid)
        word = "ARRAY" if kind.category == "A" else kind.sql_name
        schema, name = "pg_catalog", kind.name
    place = {"catalog": DATABASE, "schema": schema, "name": name}
    return {"data_type": word, **{f"{prefix}_{part}": value for part, value in place.items()}}


# What bodies name is known of those that are no strings.


def _used(context: Any) -> Iterator[tuple[Row, Table, int]]:
    """Yield (columns of a function, relation, column's number) for what its owner's functions name."""
    authority = Authority(context.catalog, context.user.oid)
    for function in context.catalog.functions.values():
        for use in function.uses:
            relation = context.catalog.tables_by_oid.get(use.oid)
            if relation is not None and authority.owns(relation.owner_oid):
                yield _routine(function), relation, use.column


def _routine(function: SqlFunction) -> Row:
    return {
        **specific_name(function),
        "routine_catalog": DATABASE,
        "routine_schema": function.schema,
        "routine_name": function.name,
    }


def _relation(table: Table, word: str) -> Row:
    return {
        f"{word}_catalog": DATABASE,
        f"{word}_schema": table.schema,
        f"{word}_name": table.name,
    }


@provides("information_schema", "routine_table_usage")
def _routine_table_usage(context: Any) -> Iterator[Row]:
    seen = set()
    for routine, table, _ in _used(context):
        key = routine["specific_name"], table.oid
        if table.kind != "S" and key not in seen:
            seen.add(key)
            yield {**routine, **_relation(table, "table")}


@provides("information_schema", "routine_column_usage")
def _routine_column_usage(context: Any) -> Iterator[Row]:
    for routine, table, number in _used(context):
        if table.kind != "S" and number:
            name = table.columns[number - 1].name
            yield {**routine, **_relation(table, "table"), "column_name": name}


@provides("information_schema", "routine_sequence_usage")
def _routine_sequence_usage(context: Any) -> Iterator[Row]:
    for function in context.catalog.functions.values():
        defaults = (use for one in function.parameters for use in one.uses)
        for use in (*function.uses, *defaults):
            sequence = context.catalog.tables_by_oid.get(use.oid)
            if sequence is not None and sequence.kind == "S":
                yield {**_routine(function), **_relation(sequence, "sequence")}


@provides("information_schema", "routine_routine_usage")
def _routine_routine_usage(context: Any) -> Iterator[Row]:
    functions = context.catalog.functions
    for function in functions.values():
        defaults = (use for one in function.parameters for use in one.uses)
        for use in (*function.uses, *defaults):
            called = functions.get(use.oid)
            if called is not None:
                named = _routine(called)
                user = specific_name(function)
                yield {**named, **user, "routine_name": f"{called.name}_{called.oid}"}
