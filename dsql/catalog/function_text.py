"""Functions in LANGUAGE SQL as text: names, arguments, results, and CREATE FUNCTION statements."""

from __future__ import annotations

from collections.abc import Sequence

from dsql.catalog.catalog import Catalog, searched
from dsql.catalog.domain_text import type_name
from dsql.catalog.schema import SqlFunction, SqlParameter
from dsql.types.identifier import quote_identifier
from dsql.types.typmod import format_type

_VOLATILITIES = {"i": " IMMUTABLE", "s": " STABLE", "v": ""}
_PARALLEL = {"s": " PARALLEL SAFE", "r": " PARALLEL RESTRICTED", "u": ""}
_MODES = {"i": "", "o": "OUT ", "b": "INOUT ", "v": "VARIADIC ", "t": ""}
_COST, _ROWS = 100.0, 1000.0  # what LANGUAGE SQL gives a function by itself
_LISTS = ("search_path", "temp_tablespaces", "local_preload_libraries")  # values are lists already


def is_visible(function: SqlFunction, catalog: Catalog, search_path: Sequence[str]) -> bool:
    """Tell whether its bare name, with its arguments' types, means the function."""
    alike = {
        other.schema
        for other in catalog.functions_named(function.name)
        if other.argument_types == function.argument_types
    }
    first = next((schema for schema in searched(search_path) if schema in alike), None)
    return first == function.schema


def function_name(function: SqlFunction, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return the name, with the schema where the search path does not find it."""
    name = quote_identifier(function.name)
    if is_visible(function, catalog, search_path):
        return name
    return f"{quote_identifier(function.schema)}.{name}"


def type_text(
    type_oid: int, catalog: Catalog, domain: int = 0, search_path: Sequence[str] = ()
) -> str:
    """Return a type's name, a row type's included, or that of the domain over it."""
    if domain:
        return type_name(domain, -1, catalog, search_path)
    table = catalog.table_of_row_type(type_oid)
    if table is None:
        return format_type(type_oid, -1)
    found = catalog.find_relation(None, table.name, search_path)
    prefix = "" if found is table else f"{quote_identifier(table.schema)}."
    return prefix + quote_identifier(table.name)


def arguments_text(
    function: SqlFunction, catalog: Catalog, search_path: Sequence[str], *, defaults: bool = True
) -> str:
    """Return the parameters as pg_get_function_arguments prints them, TABLE columns left out."""
    return ", ".join(
        _parameter(parameter, catalog, search_path, defaults=defaults)
        for parameter in function.parameters
        if parameter.mode != "t"
    )


def _parameter(
    parameter: SqlParameter, catalog: Catalog, search_path: Sequence[str], *, defaults: bool
) -> str:
    name = f"{quote_identifier(parameter.name)} " if parameter.name else ""
    kind = type_text(parameter.type_oid, catalog, parameter.domain, search_path)
    text = f"{_MODES[parameter.mode]}{name}{kind}"
    if defaults and parameter.default is not None:
        text += f" DEFAULT {parameter.default}"
    return text


def result_text(function: SqlFunction, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return the result as pg_get_function_result prints it."""
    columns = [one for one in function.parameters if one.mode == "t"]
    if columns:
        listed = ", ".join(_parameter(one, catalog, search_path, defaults=False) for one in columns)
        return f"TABLE({listed})"
    setof = "SETOF " if function.returns_set else ""
    return setof + type_text(function.return_type, catalog, function.domain, search_path)


def function_definition(
    function: SqlFunction, body: str, catalog: Catalog, search_path: Sequence[str]
) -> str:
    """Return the CREATE OR REPLACE FUNCTION statement with a body, as pg_get_functiondef prints it."""
    name = f"{quote_identifier(function.schema)}.{quote_identifier(function.name)}"
    lines = [
        f"CREATE OR REPLACE FUNCTION {name}({arguments_text(function, catalog, search_path)})",
        f" RETURNS {result_text(function, catalog, search_path)}",
        " LANGUAGE sql",
    ]
    options = _options(function)
    if options:
        lines.append(options)
    lines += [f" SET {name} TO {_setting(name, value)}" for name, value in function.settings]
    return "\n".join((*lines, body, ""))


def _options(function: SqlFunction) -> str:
    text = _VOLATILITIES[function.volatility] + _PARALLEL[function.parallel]
    flags = (
        (function.strict, " STRICT"),
        (function.security_definer, " SECURITY DEFINER"),
        (function.leakproof, " LEAKPROOF"),
        (function.cost != _COST, f" COST {function.cost:g}"),
        (function.returns_set and function.rows != _ROWS, f" ROWS {function.rows:g}"),
    )
    return text + "".join(word for chosen, word in flags if chosen)


def _setting(name: str, value: str) -> str:
    if name in _LISTS:
        parts = (part.strip().strip('"') for part in value.split(","))
        return ", ".join(_literal(part) for part in parts)
    return _literal(value)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def body_text(function: SqlFunction) -> str:
    """Return the body as CREATE FUNCTION has it."""
    if function.form == "r":
        return f"RETURN {function.body.removeprefix('SELECT ')}"
    if function.form == "a":
        return f"BEGIN ATOMIC\n {function.body}\nEND"
    quote = "$function$"
    while quote in function.body:
        quote = quote[:-1] + "x$"
    return f"AS {quote}{function.body}{quote}"


def function_signature(function: SqlFunction, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return "f(integer,text)", as regprocedure prints it."""
    name = function_name(function, catalog, search_path)
    types = ",".join(
        type_text(one.type_oid, catalog, one.domain, search_path) for one in function.inputs
    )
    return f"{name}({types})"
