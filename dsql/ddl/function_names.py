"""Looks functions up by what a utility statement calls them, and types as functions have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dsql.access.authorize import check
from dsql.access.privileges import Kind
from dsql.access.requirements import CallUse
from dsql.catalog.catalog import searched
from dsql.catalog.dependencies import PG_PROC
from dsql.catalog.schema import SqlFunction, Table, Use
from dsql.ddl import nodes
from dsql.ddl.domain_names import check_type_usage, usable_domain
from dsql.ddl.naming import find_column, schemas_to_search
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError
from dsql.functions.registry import Callee, candidates
from dsql.sql.domains import array_over
from dsql.sql.type_names import type_oid_and_typmod
from dsql.types import registry

Found = SqlFunction | Callee


def find_function(kind: Kind, node: Any, context: UtilityContext) -> Found:
    """Return the function that an ObjectWithArgs names. Raises SqlError 42883, 42725, 42704, 3F000."""
    names = nodes.strings(node.objname)
    word = "procedure" if kind is Kind.PROCEDURE else "function"
    shown = ".".join(names)
    found = _named(names, context) if kind is not Kind.PROCEDURE else []
    if node.args_unspecified:
        if len(found) > 1:
            hint = f"Specify the argument list to select the {word} unambiguously."
            raise SqlError("42725", f'{word} name "{shown}" is not unique', hint=hint)
        if not found:
            raise SqlError("42883", f'could not find a {word} named "{shown}"')
        return found[0]
    types = tuple(type_of_function(each.type_name, context) for each in node.objargs)
    for callee in found:
        if callee.argument_types == types:
            return callee
    raise SqlError("42883", f"{word} {signature(shown, types, context)} does not exist")


def check_calls(uses: Iterable[Use], context: UtilityContext) -> None:
    """Raise SqlError 42501 for a function among what an expression reads that the user may not call.

    It is for statements that compute the expression. What only keeps it may name any function.
    """
    for use in uses:
        function = context.catalog.functions.get(use.oid)
        if use.class_oid == PG_PROC and function is not None:
            check(CallUse(function), context.authority)


def _named(names: list[str], context: UtilityContext) -> list[Found]:
    """Return the functions of a name that the search path finds, the nearest of each signature."""
    name = names[-1]
    schemas = schemas_to_search(context, names[-2]) if len(names) > 1 else None
    found: dict[tuple[int, ...], Found] = {}
    for schema in searched(context.search_path) if schemas is None else schemas:
        if schema == "pg_catalog":
            for callee in candidates(name):
                found.setdefault(callee.argument_types, callee)
        for function in context.catalog.functions_named(name):
            if function.schema == schema:
                found.setdefault(function.argument_types, function)
    return list(found.values())


def skipped_function_text(word: str, node: Any, error: SqlError) -> str:
    """Return the notice of an IF EXISTS about no function: with types by their names in the catalog."""
    if error.sqlstate != "42883":
        return error.message
    types = ",".join(_written(each.type_name) for each in node.objargs)
    return f"{word} {'.'.join(nodes.strings(node.objname))}({types}) does not exist"


def _written(type_name: Any) -> str:
    return ".".join(nodes.strings(type_name.names)) + "[]" * len(type_name.array_bounds)


def type_of_function(type_name: Any, context: UtilityContext) -> int:
    """Return the OID of a TypeName. Raises SqlError 42704, 0A000."""
    names = nodes.strings(type_name.names)
    if type_name.pct_type:
        return _type_of_column(names, context)
    schema = names[-2] if len(names) > 1 else None
    domain = context.catalog.find_domain(schema, names[-1], context.search_path)
    if domain is not None:
        return array_over(domain) if type_name.array_bounds else domain.type_oid
    return type_oid_and_typmod(names, [], len(type_name.array_bounds))[0]


def domain_of_function(type_name: Any, context: UtilityContext) -> int:
    """Return the OID of the domain, or of its array type, that a TypeName names; 0 for none.

    Raises SqlError 42501 without USAGE, on an enum as well: it is for who makes a function.
    """
    if type_name.pct_type:
        return 0
    names = nodes.strings(type_name.names)
    domain = usable_domain(context, names)
    if domain is None:
        schema = names[-2] if len(names) > 1 else None
        enum = context.catalog.find_user_type(schema, names[-1], context.search_path)
        if enum is not None:
            check_type_usage(context, enum.oid)
        return 0
    return domain.array_oid if type_name.array_bounds else domain.oid


def _table(names: list[str], context: UtilityContext) -> Table | None:
    schema = names[-2] if len(names) > 1 else None
    if schema is None and registry.find(names[-1]) is not None:
        return None
    found = context.catalog.find_relation(schema, names[-1], context.search_path)
    return found if isinstance(found, Table) and found.row_type_oid else None


def _type_of_column(names: list[str], context: UtilityContext) -> int:
    table = _table(names[:-1], context)
    if table is None:
        raise SqlError("42P01", f'relation "{".".join(names[:-1])}" does not exist')
    column = find_column(table, names[-1])
    if column is None:
        message = f'column "{names[-1]}" of relation "{table.name}" does not exist'
        raise SqlError("42703", message)
    return column.type_oid


def type_word(type_oid: int, context: UtilityContext) -> str:
    """Return a type's name, a row type's included, as messages spell it."""
    table = context.catalog.table_of_row_type(type_oid)
    return registry.get(type_oid).sql_name if table is None else table.name


def signature(name: str, types: Sequence[int], context: UtilityContext) -> str:
    """Return "f(integer, text)"."""
    return f"{name}({', '.join(type_word(oid, context) for oid in types)})"
