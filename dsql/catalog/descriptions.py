"""Objects as messages name them: `column a of table shop.t` (PostgreSQL's getObjectDescription)."""

from __future__ import annotations

from collections.abc import Sequence

from dsql.access.privileges import RELATION_KINDS
from dsql.catalog.catalog import Catalog
from dsql.catalog.dependencies import (
    PG_CLASS,
    PG_CONSTRAINT,
    PG_NAMESPACE,
    PG_PROC,
    PG_REWRITE,
    PG_STATISTIC_EXT,
    PG_TYPE,
    Address,
    default_address,
    rule_address,
)
from dsql.catalog.domain_text import domain_name
from dsql.catalog.extended_statistics import statistics_name
from dsql.catalog.function_text import function_signature
from dsql.catalog.names import find_index, is_visible
from dsql.catalog.schema import SqlFunction, Table
from dsql.catalog.user_types import types_of, user_type_name
from dsql.types.identifier import quote_identifier


def description(address: Address, catalog: Catalog, search_path: Sequence[str]) -> str | None:
    """Return what an object is called, None if there is none of this address."""
    if address.class_oid == PG_CLASS:
        return _relation(address, catalog, search_path)
    if address.class_oid == PG_PROC:
        function = catalog.functions.get(address.oid)
        return None if function is None else _function(function, catalog, search_path)
    if address.class_oid == PG_TYPE and address.oid in catalog.domains_by_oid:
        domain = catalog.domains_by_oid[address.oid]
        return f"type {domain_name(domain, catalog, search_path)}"
    if address.class_oid == PG_TYPE and catalog.user_type_of(address.oid) is not None:
        known = types_of(catalog, search_path).get(address.oid)
        return None if known is None else f"type {known.sql_name}"
    if address.class_oid == PG_TYPE:
        table = catalog.table_of_row_type(address.oid)
        if table is None:
            return None
        return f"type {shown_name((table.schema, table.name), catalog, search_path)}"
    if address.class_oid == PG_NAMESPACE:
        names = (schema.name for schema in catalog.schemas.values() if schema.oid == address.oid)
        return next((f"schema {quote_identifier(name)}" for name in names), None)
    if address.class_oid == PG_STATISTIC_EXT:
        name = statistics_name(address.oid, catalog, search_path)
        return name and f"statistics object {name}"
    for domain in catalog.domains.values():
        for check in domain.checks:
            if address == (PG_CONSTRAINT, check.oid, 0):
                return f"constraint {quote_identifier(check.name)}"
    for table in catalog.tables.values():
        part = _part(address, table)
        if part is not None:
            return f"{part} {described(table, catalog, search_path)}"
    return None


def _function(function: SqlFunction, catalog: Catalog, search_path: Sequence[str]) -> str:
    return f"function {function_signature(function, catalog, search_path)}"


def _relation(address: Address, catalog: Catalog, search_path: Sequence[str]) -> str | None:
    table = catalog.tables_by_oid.get(address.oid)
    composite = catalog.composite_of_relation(address.oid) if table is None else None
    if composite is not None:
        name = user_type_name(composite, catalog, search_path)
        if not address.column:
            return f"composite type {name}"
        attribute = composite.attributes[address.column - 1].name
        return f"column {quote_identifier(attribute)} of composite type {name}"
    if table is None:
        found = find_index(catalog, address.oid)
        if found is None:
            return None
        return f"index {shown_name((found[0].schema, found[1].name), catalog, search_path)}"
    shown = described(table, catalog, search_path)
    if not address.column:
        return shown
    return f"column {quote_identifier(table.columns[address.column - 1].name)} of {shown}"


def _part(address: Address, table: Table) -> str | None:
    """Return what a part of a table is called, up to the table's own name."""
    if address.class_oid == PG_CONSTRAINT:
        names = {index.constraint_oid: index.constraint for index in table.indexes}
        names |= {check.oid: check.name for check in table.checks}
        names |= {key.oid: key.name for key in table.foreign_keys}
        name = names.get(address.oid)
        return name and f"constraint {quote_identifier(name)} on"
    if address.class_oid == PG_REWRITE:
        return "rule _RETURN on" if table.kind in "vm" and rule_address(table) == address else None
    for column in table.live_columns:
        if column.default is not None and default_address(table, column.number) == address:
            return f"default value for column {quote_identifier(column.name)} of"
    return None


def described(table: Table, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return a relation as messages describe it: `table shop.t`, bare if the search path finds it."""
    shown = shown_name((table.schema, table.name), catalog, search_path)
    return f"{RELATION_KINDS[table.kind].word} {shown}"


def shown_name(name: tuple[str, str], catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return a relation's name (schema, name) for a message, bare if the search path finds it."""
    if is_visible(catalog, search_path, name):
        return quote_identifier(name[1])
    return ".".join(map(quote_identifier, name))
