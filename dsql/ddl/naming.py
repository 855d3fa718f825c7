"""Where a new object goes and what it is called, by PostgreSQL's rules."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dsql.catalog.schema import Column, Schema, Table
from dsql.catalog.virtual import VirtualTable
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError
from dsql.limits import IDENTIFIER_BYTES_MAX

KIND_NAMES = {"r": "table", "v": "view", "S": "sequence", "i": "index"}


def creation_schema(context: UtilityContext, schema: str) -> Schema:
    """Return the schema a new object goes to; `schema` "" means the first of the search path.

    Raises 3F000 for a missing schema, 42501 for one of the system's.
    """
    catalog = context.catalog
    names = [schema] if schema else list(context.search_path)
    found = next((catalog.schemas[name] for name in names if name in catalog.schemas), None)
    if found is None:
        text = (
            f'schema "{schema}" does not exist'
            if schema
            else "no schema has been selected to create in"
        )
        raise SqlError("3F000", text)
    if found.name in ("pg_catalog", "information_schema", "sys"):
        raise SqlError("42501", f"permission denied for schema {found.name}")
    return found


def find_relation(context: UtilityContext, relation: Any) -> Table | VirtualTable | None:
    """Look a RangeVar up."""
    if relation.schemaname and relation.schemaname not in context.catalog.schemas:
        return None
    return context.catalog.find_relation(
        relation.schemaname or None, relation.relname, context.search_path
    )


def require_table(context: UtilityContext, relation: Any, kinds: str = "r") -> Table:
    """Return the user table a RangeVar names. Raises 42P01, 42809, or 42501 for a system table."""
    found = find_relation(context, relation)
    if found is None:
        name = (
            f"{relation.schemaname}.{relation.relname}" if relation.schemaname else relation.relname
        )
        raise SqlError("42P01", f'relation "{name}" does not exist')
    if isinstance(found, VirtualTable):
        raise SqlError("42501", f'permission denied: "{found.name}" is a system catalog')
    if found.kind not in kinds:
        raise SqlError("42809", f'"{found.name}" is not a {KIND_NAMES[kinds[0]]}')
    return found


def find_column(table: Table, name: str) -> Column | None:
    """Return a live column by its name."""
    return next((column for column in table.live_columns if column.name == name), None)


def require_column(table: Table, name: str) -> Column:
    """Return a live column by its name. Raises 42703."""
    found = find_column(table, name)
    if found is None:
        raise SqlError("42703", f'column "{name}" of relation "{table.name}" does not exist')
    return found


def taken_names(context: UtilityContext, schema: str) -> set[str]:
    """Return the names of all relations of a schema, indexes included: they share one name space."""
    taken = set()
    for (owner, name), table in context.catalog.tables.items():
        if owner == schema:
            taken.add(name)
            taken.update(index.name for index in table.indexes)
    return taken


def object_name(first: str, second: str, label: str) -> str:
    """Join name parts as PostgreSQL's makeObjectName: cut the longer part until 63 bytes suffice."""
    overhead = len(label) + 1 + (1 if second else 0)
    one, two = first.encode(), second.encode()
    while len(one) + len(two) + overhead > IDENTIFIER_BYTES_MAX:
        if len(one) > len(two):
            one = one[:-1]
        else:
            two = two[:-1]
    parts = [part.decode(errors="ignore") for part in (one, two) if part]
    return "_".join([*parts, label])


def unique_name(first: str, second: str, label: str, taken: Collection[str]) -> str:
    """Return `object_name` with the first number behind the label that makes it unused."""
    name = object_name(first, second, label)
    number = 0
    while name in taken:
        number += 1
        name = object_name(first, second, f"{label}{number}")
    return name
