"""The functions that read the catalog: pg_get_indexdef, pg_table_is_visible, to_regclass, ...

They take the Context first and look at `context.catalog`, the catalog of the running snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from dsql.catalog.definitions import (
    check_definition,
    index_definition,
    index_part,
    key_definition,
)
from dsql.catalog.names import find_index, is_visible, relation_name, relation_oid
from dsql.catalog.pretty import pretty
from dsql.catalog.relations import index_column_numbers
from dsql.catalog.schema import Table
from dsql.catalog.virtual import VirtualTable
from dsql.errors import SqlError
from dsql.functions.function import Function
from dsql.functions.registry import by_oid, register_function
from dsql.types import oids, registry
from dsql.types.identifier import quote_identifier, split_name
from dsql.types.typmod import format_type

_oids = count(9_400)  # a private range: these have PostgreSQL's names, not its OIDs


def _define(
    name: str,
    argument_types: tuple[int, ...],
    return_type: int,
    *,
    strict: bool = True,
    volatility: str = "s",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function (context, *arguments) under a name and signature."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        register_function(
            Function(
                next(_oids),
                name,
                argument_types,
                return_type,
                implementation,
                strict=strict,
                volatility=volatility,
                needs_context=True,
            )
        )
        return implementation

    return register


# ---------------------------------------------------------------- definitions as text


@_define("format_type", (oids.OID, oids.INT4), oids.TEXT, strict=False)
def _format_type(context: Any, type_oid: int | None, typmod: int | None) -> str | None:
    if type_oid is None:
        return None
    try:
        registry.get(type_oid)
    except SqlError:
        table = next(
            (t for t in context.catalog.tables.values() if t.row_type_oid == type_oid), None
        )
        return table.name if table else "???" if type_oid else "-"
    return format_type(type_oid, -1 if typmod is None else typmod)


@_define("pg_get_indexdef", (oids.OID,), oids.TEXT)
def _pg_get_indexdef(context: Any, oid: int) -> str | None:
    found = find_index(context.catalog, oid)
    return index_definition(found[1], found[0]) if found else None


@_define("pg_get_indexdef", (oids.OID, oids.INT4, oids.BOOL), oids.TEXT)
def _pg_get_indexdef_column(context: Any, oid: int, column: int, is_pretty: bool) -> str | None:
    found = find_index(context.catalog, oid)
    if found is None:
        return None
    table, index = found
    if column == 0:
        return index_definition(index, table, is_pretty=is_pretty)
    if column <= len(index.columns):
        return index_part(index.columns[column - 1], table, is_pretty=is_pretty)
    numbers = index_column_numbers(index, table)
    if column > len(numbers):
        return ""
    return quote_identifier(table.columns[numbers[column - 1] - 1].name)


@_define("pg_get_constraintdef", (oids.OID, oids.BOOL), oids.TEXT)
def _pg_get_constraintdef_pretty(context: Any, oid: int, is_pretty: bool) -> str | None:
    for table in context.catalog.tables.values():
        for index in table.indexes:
            if index.constraint and index.constraint_oid == oid:
                return key_definition(index, table)
        for check in table.checks:
            if check.oid == oid:
                return check_definition(check, is_pretty=is_pretty)
    return None


@_define("pg_get_constraintdef", (oids.OID,), oids.TEXT)
def _pg_get_constraintdef(context: Any, oid: int) -> str | None:
    text: str | None = _pg_get_constraintdef_pretty(context, oid, False)
    return text


@_define("pg_get_expr", (oids.PG_NODE_TREE, oids.OID), oids.TEXT)
def _pg_get_expr(context: Any, expression: str, relation: int) -> str:
    del context, relation
    return expression  # expressions are kept as their text


@_define("pg_get_expr", (oids.PG_NODE_TREE, oids.OID, oids.BOOL), oids.TEXT)
def _pg_get_expr_pretty(context: Any, expression: str, relation: int, is_pretty: bool) -> str:
    del context, relation
    return pretty(expression) if is_pretty else expression


@_define("pg_get_viewdef", (oids.OID,), oids.TEXT)
def _pg_get_viewdef(context: Any, oid: int) -> str | None:
    table = context.catalog.tables_by_oid.get(oid)
    return table.view_definition if table else None


@_define("pg_get_viewdef", (oids.OID, oids.BOOL), oids.TEXT)
def _pg_get_viewdef_pretty(context: Any, oid: int, pretty: bool) -> str | None:
    del pretty
    text: str | None = _pg_get_viewdef(context, oid)
    return text


@_define("pg_get_userbyid", (oids.OID,), oids.NAME)
def _pg_get_userbyid(context: Any, oid: int) -> str:
    for role in context.catalog.roles.values():
        if role.oid == oid:
            return str(role.name)
    return f"unknown (OID={oid})"


@_define("pg_get_serial_sequence", (oids.TEXT, oids.TEXT), oids.TEXT)
def _pg_get_serial_sequence(context: Any, table: str, column: str) -> None:
    del context, table, column


@_define("pg_encoding_to_char", (oids.INT4,), oids.NAME, volatility="i")
def _pg_encoding_to_char(context: Any, encoding: int) -> str:
    del context
    return "UTF8" if encoding == 6 else ""


# ---------------------------------------------------------------- visibility


@_define("pg_table_is_visible", (oids.OID,), oids.BOOL)
def _pg_table_is_visible(context: Any, oid: int) -> bool | None:
    relation = relation_name(context.catalog, oid)
    return None if relation is None else is_visible(context.catalog, context.search_path, relation)


def _always_visible(context: Any, oid: int) -> bool:
    del context, oid
    return True  # every type, function, operator and collation is in pg_catalog


for _name in (
    "pg_type_is_visible",
    "pg_function_is_visible",
    "pg_operator_is_visible",
    "pg_opclass_is_visible",
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_statistics_obj_is_visible",
    "pg_ts_dict_is_visible",
):
    _define(_name, (oids.OID,), oids.BOOL)(_always_visible)


# ---------------------------------------------------------------- comments


@_define("obj_description", (oids.OID, oids.NAME), oids.TEXT)
def _obj_description(context: Any, oid: int, catalog_name: str) -> str | None:
    if catalog_name != "pg_class":
        return None
    table = context.catalog.tables_by_oid.get(oid)
    return table.comment if table else None


@_define("obj_description", (oids.OID,), oids.TEXT)
def _obj_description_any(context: Any, oid: int) -> str | None:
    text: str | None = _obj_description(context, oid, "pg_class")
    return text


def _no_comment(context: Any, *arguments: Any) -> None:
    del context, arguments


_define("col_description", (oids.OID, oids.INT4), oids.TEXT)(_no_comment)
_define("shobj_description", (oids.OID, oids.NAME), oids.TEXT)(_no_comment)


# ---------------------------------------------------------------- names to OIDs


@_define("to_regclass", (oids.TEXT,), oids.REGCLASS)
def _to_regclass(context: Any, text: str) -> int | None:
    return relation_oid(context.catalog, context.search_path, text)


@_define("to_regnamespace", (oids.TEXT,), oids.REGNAMESPACE)
def _to_regnamespace(context: Any, text: str) -> int | None:
    schema = context.catalog.schemas.get(split_name(text)[-1])
    return schema.oid if schema else None


@_define("to_regrole", (oids.TEXT,), oids.REGROLE)
def _to_regrole(context: Any, text: str) -> int | None:
    role = context.catalog.roles.get(split_name(text)[-1])
    return role.oid if role else None


# ---------------------------------------------------------------- privileges and sizes


def _is_admin_or_owner(context: Any, table: Table | VirtualTable | None) -> bool:
    if not isinstance(table, Table):
        return True
    return bool(context.user.name == "admin" or table.owner_oid == context.user.oid)


@_define("has_table_privilege", (oids.OID, oids.TEXT), oids.BOOL)
def _has_table_privilege(context: Any, oid: int, privilege: str) -> bool:
    del privilege
    return _is_admin_or_owner(context, context.catalog.tables_by_oid.get(oid))


@_define("has_table_privilege", (oids.TEXT, oids.TEXT), oids.BOOL)
def _has_table_privilege_by_name(context: Any, name: str, privilege: str) -> bool:
    oid = relation_oid(context.catalog, context.search_path, name)
    if oid is None:
        raise SqlError("42P01", f'relation "{name}" does not exist')
    return bool(_has_table_privilege(context, oid, privilege))


def _everyone_may(context: Any, *arguments: Any) -> bool:
    del context, arguments
    return True  # schemas, columns and the database carry no privileges of their own yet


for _name, _types in (
    ("has_schema_privilege", (oids.OID, oids.TEXT)),
    ("has_schema_privilege", (oids.TEXT, oids.TEXT)),
    ("has_database_privilege", (oids.TEXT, oids.TEXT)),
    ("has_database_privilege", (oids.OID, oids.TEXT)),
    ("has_column_privilege", (oids.OID, oids.INT2, oids.TEXT)),
    ("has_function_privilege", (oids.OID, oids.TEXT)),
    ("has_type_privilege", (oids.OID, oids.TEXT)),
):
    _define(_name, _types, oids.BOOL)(_everyone_may)


def _not_a_replica(context: Any) -> bool:
    del context
    return False


_define("pg_is_in_recovery", (), oids.BOOL)(_not_a_replica)
_define("pg_get_statisticsobjdef_columns", (oids.OID,), oids.TEXT)(_no_comment)
_define("pg_get_partkeydef", (oids.OID,), oids.TEXT)(_no_comment)
_define("pg_get_ruledef", (oids.OID,), oids.TEXT)(_no_comment)
_define("pg_get_triggerdef", (oids.OID, oids.BOOL), oids.TEXT)(_no_comment)


@_define("pg_get_function_result", (oids.OID,), oids.TEXT)
def _pg_get_function_result(context: Any, oid: int) -> str | None:
    del context
    function = _function(oid)
    if function is None:
        return None
    setof = "SETOF " if function.returns_set else ""
    return setof + format_type(function.return_type, -1)


def _function(oid: int) -> Function | None:
    callee = by_oid(oid)
    return callee if isinstance(callee, Function) else None


@_define("pg_get_function_arguments", (oids.OID,), oids.TEXT)
def _pg_get_function_arguments(context: Any, oid: int) -> str | None:
    del context
    function = _function(oid)
    if function is None:
        return None
    return ", ".join(format_type(kind, -1) for kind in function.argument_types)


_define("pg_get_function_identity_arguments", (oids.OID,), oids.TEXT)(_pg_get_function_arguments)
