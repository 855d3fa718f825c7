"""The functions that print what the catalog holds: pg_get_indexdef, format_type, obj_description, ..."""

from __future__ import annotations

from typing import Any

from dsql.catalog.context_functions import define
from dsql.catalog.definitions import (
    check_definition,
    foreign_key_definition,
    index_definition,
    index_key,
    key_definition,
)
from dsql.catalog.descriptions import shown_name
from dsql.catalog.domain_text import domain_check_definition, type_name
from dsql.catalog.foreign_keys import find_reference
from dsql.catalog.function_text import type_text
from dsql.catalog.index_forms import index_column_numbers
from dsql.catalog.names import find_index
from dsql.catalog.pretty import pretty
from dsql.catalog.stored_text import shown_text
from dsql.errors import SqlError
from dsql.types import oids, registry
from dsql.types.identifier import quote_identifier
from dsql.types.typmod import format_type

# ---------------------------------------------------------------- definitions as text


@define("format_type", (oids.OID, oids.INT4), oids.TEXT, strict=False)
def _format_type(context: Any, type_oid: int | None, typmod: int | None) -> str | None:
    if type_oid is None:
        return None
    if context.catalog.domain_of(type_oid) is not None:
        return type_name(type_oid, -1, context.catalog, context.search_path)
    try:
        registry.get(type_oid)
    except SqlError:
        if context.catalog.table_of_row_type(type_oid) is None:
            return "???" if type_oid else "-"
        return type_text(type_oid, context.catalog, search_path=context.search_path)
    if type_oid == oids.BPCHAR and typmod == -1:
        return "bpchar"  # character is character(1) to whoever reads it with a modifier
    return format_type(type_oid, -1 if typmod is None else typmod)


@define("pg_get_indexdef", (oids.OID,), oids.TEXT)
def _pg_get_indexdef(context: Any, oid: int) -> str | None:
    found = find_index(context.catalog, oid)
    return index_definition(found[1], found[0], context.profile) if found else None


@define("pg_get_indexdef", (oids.OID, oids.INT4, oids.BOOL), oids.TEXT)
def _pg_get_indexdef_column(context: Any, oid: int, column: int, is_pretty: bool) -> str | None:
    found = find_index(context.catalog, oid)
    if found is None:
        return None
    table, index = found
    if column == 0:
        return index_definition(index, table, context.profile, is_pretty=is_pretty)
    if column <= len(index.columns):
        return index_key(index.columns[column - 1], table, is_pretty=is_pretty)
    numbers = index_column_numbers(index, table, context.profile)
    if column > len(numbers):
        return ""
    return quote_identifier(table.columns[numbers[column - 1] - 1].name)


@define("pg_get_constraintdef", (oids.OID, oids.BOOL), oids.TEXT)
def _pg_get_constraintdef_pretty(context: Any, oid: int, is_pretty: bool) -> str | None:
    for table in context.catalog.tables.values():
        for index in table.indexes:
            if index.constraint and index.constraint_oid == oid:
                return key_definition(index, table)
        for check in table.checks:
            if check.oid == oid:
                return check_definition(check, is_pretty=is_pretty)
    for domain in context.catalog.domains.values():
        for constraint in domain.checks:
            if constraint.oid == oid:
                return domain_check_definition(constraint, is_pretty=is_pretty)
    reference = find_reference(oid, context.catalog)
    if reference is None:
        return None
    parent = reference.parent
    name = shown_name((parent.schema, parent.name), context.catalog, context.search_path)
    return foreign_key_definition(reference, name)


@define("pg_get_constraintdef", (oids.OID,), oids.TEXT)
def _pg_get_constraintdef(context: Any, oid: int) -> str | None:
    text: str | None = _pg_get_constraintdef_pretty(context, oid, False)
    return text


@define("pg_get_expr", (oids.PG_NODE_TREE, oids.OID), oids.TEXT)
def _pg_get_expr(context: Any, expression: str, relation: int) -> str:
    del relation
    return shown_text(expression, context.catalog, context.search_path)


@define("pg_get_expr", (oids.PG_NODE_TREE, oids.OID, oids.BOOL), oids.TEXT)
def _pg_get_expr_pretty(context: Any, expression: str, relation: int, is_pretty: bool) -> str:
    text: str = _pg_get_expr(context, expression, relation)
    return pretty(text) if is_pretty else text


@define("pg_get_userbyid", (oids.OID,), oids.NAME)
def _pg_get_userbyid(context: Any, oid: int) -> str:
    for role in context.catalog.roles.values():
        if role.oid == oid:
            return str(role.name)
    return f"unknown (OID={oid})"


@define("pg_encoding_to_char", (oids.INT4,), oids.NAME, volatility="i")
def _pg_encoding_to_char(context: Any, encoding: int) -> str:
    del context
    return "UTF8" if encoding == 6 else ""


@define("pg_char_to_encoding", (oids.NAME,), oids.INT4, volatility="i")
def _pg_char_to_encoding(context: Any, name: str) -> int:
    del context
    return 6 if name.lower().replace("-", "") in ("utf8", "unicode") else -1
