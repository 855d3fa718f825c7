"""Extended statistics as catalogs and functions show them: pg_statistic_ext and what prints a definition.

They are declared and kept; the planner reads none, so there is nothing in pg_statistic_ext_data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.context_functions import define
from dsql.catalog.names import is_visible
from dsql.catalog.schema import Statistics, Table
from dsql.catalog.virtual import provides
from dsql.types import oids
from dsql.types.identifier import quote_identifier

Found = tuple[Table, Statistics]

KINDS = {"ndistinct": "d", "dependencies": "f", "mcv": "m"}
_OF_EXPRESSIONS = "e"


def all_statistics(catalog: Catalog) -> Iterator[Found]:
    """Yield every statistics object with its table."""
    for table in catalog.tables.values():
        for statistics in table.statistics:
            yield table, statistics


def find_statistics(catalog: Catalog, schema_oids: Sequence[int], name: str) -> Found | None:
    """Return the statistics object of a name in the first of the schemas that has one."""
    named = {
        each.schema_oid: (table, each)
        for table, each in all_statistics(catalog)
        if each.name == name
    }
    return next((named[oid] for oid in schema_oids if oid in named), None)


def _by_oid(context: Any, oid: int) -> Found | None:
    found = (each for each in all_statistics(context.catalog) if each[1].oid == oid)
    return next(found, None)


def _columns(table: Table, statistics: Statistics) -> str:
    names = [quote_identifier(table.columns[number - 1].name) for number in statistics.columns]
    return ", ".join([*names, *map(_in_parentheses, statistics.expressions)])


def _in_parentheses(expression: str) -> str:
    return expression if expression.endswith(")") else f"({expression})"


def definition(table: Table, statistics: Statistics, schema: str, of_table: str) -> str:
    """Return the CREATE STATISTICS that would make an object again; `of_table` is its table's name."""
    name = f"{quote_identifier(schema)}.{quote_identifier(statistics.name)}"
    kinds = [word for word, letter in KINDS.items() if letter in statistics.kinds]
    listed = f" ({', '.join(kinds)})" if 0 < len(kinds) < len(KINDS) else ""
    return f"CREATE STATISTICS {name}{listed} ON {_columns(table, statistics)} FROM {of_table}"


@define("pg_get_statisticsobjdef", (oids.OID,), oids.TEXT)
def _pg_get_statisticsobjdef(context: Any, oid: int) -> str | None:
    found = _by_oid(context, oid)
    if found is None:
        return None
    schemas = {schema.oid: schema.name for schema in context.catalog.schemas.values()}
    name = found[0].schema, found[0].name
    shown = name[1:] if is_visible(context.catalog, context.search_path, name) else name
    of_table = ".".join(map(quote_identifier, shown))
    return definition(*found, schemas[found[1].schema_oid], of_table)


@define("pg_get_statisticsobjdef_columns", (oids.OID,), oids.TEXT)
def _pg_get_statisticsobjdef_columns(context: Any, oid: int) -> str | None:
    found = _by_oid(context, oid)
    return None if found is None else _columns(*found)


@define("pg_get_statisticsobjdef_expressions", (oids.OID,), oids.TEXT_ARRAY)
def _pg_get_statisticsobjdef_expressions(context: Any, oid: int) -> list[str] | None:
    found = _by_oid(context, oid)
    if found is None or not found[1].expressions:
        return None
    return list(found[1].expressions)


@define("pg_statistics_obj_is_visible", (oids.OID,), oids.BOOL)
def _pg_statistics_obj_is_visible(context: Any, oid: int) -> bool | None:
    found = _by_oid(context, oid)
    return None if found is None else _is_visible(found, context.catalog, context.search_path)


def _is_visible(found: Found, catalog: Catalog, search_path: Sequence[str]) -> bool:
    path = [catalog.schemas[name].oid for name in search_path if name in catalog.schemas]
    return find_statistics(catalog, path, found[1].name) == found


def statistics_name(oid: int, catalog: Catalog, search_path: Sequence[str]) -> str | None:
    """Return what messages call an object, bare if the search path finds it; None if there is none."""
    schemas = {schema.oid: schema.name for schema in catalog.schemas.values()}
    for found in all_statistics(catalog):
        if found[1].oid == oid:
            names = (schemas[found[1].schema_oid], found[1].name)
            shown = names[1:] if _is_visible(found, catalog, search_path) else names
            return ".".join(map(quote_identifier, shown))
    return None


@provides("pg_catalog", "pg_statistic_ext")
def _pg_statistic_ext(context: Any) -> Iterator[Mapping[str, Any]]:
    for table, statistics in all_statistics(context.catalog):
        yield {
            "oid": statistics.oid,
            "stxrelid": table.oid,
            "stxname": statistics.name,
            "stxnamespace": statistics.schema_oid,
            "stxowner": statistics.owner_oid,
            "stxstattarget": statistics.target,
            "stxkeys": statistics.columns,
            "stxkind": [*statistics.kinds, *(_OF_EXPRESSIONS if statistics.expressions else "")],
            "stxexprs": ", ".join(statistics.expressions) or None,
        }
