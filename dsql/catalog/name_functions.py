"""The functions from names of objects to OIDs and to whether the search path finds them."""

from __future__ import annotations

from typing import Any

from dsql.catalog.catalog import searched
from dsql.catalog.context_functions import define
from dsql.catalog.dependencies import Address
from dsql.catalog.descriptions import description
from dsql.catalog.names import CatalogNames, is_visible, relation_name, view_of
from dsql.catalog.schema import RangeType
from dsql.errors import SqlError
from dsql.types import oids, reg, registry

_NOT_FOUND = ("22003", "42P01", "42704", "42883", "42725", "3F000")


def _define_lookup(kind: str, type_oid: int) -> None:
    """Define to_<kind>(text): the OID of what `text` names, NULL if there is nothing."""

    def look_up(context: Any, text: str) -> int | None:
        try:
            return reg.oid_of(kind, text, CatalogNames(lambda: view_of(context)))
        except SqlError as error:
            if error.sqlstate in _NOT_FOUND:
                return None
            raise

    define(f"to_{kind}", (oids.TEXT,), type_oid)(look_up)


for _kind, _oid in (
    ("regclass", oids.REGCLASS),
    ("regtype", oids.REGTYPE),
    ("regproc", oids.REGPROC),
    ("regprocedure", oids.REGPROCEDURE),
    ("regnamespace", oids.REGNAMESPACE),
    ("regrole", oids.REGROLE),
    ("regoper", oids.REGOPER),
    ("regoperator", oids.REGOPERATOR),
    ("regcollation", oids.REGCOLLATION),
):
    _define_lookup(_kind, _oid)


@define("pg_my_temp_schema", (), oids.OID)
def _pg_my_temp_schema(context: Any) -> int:
    own = context.catalog.temporary
    return 0 if own is None else int(own.oid)


@define("pg_is_other_temp_schema", (oids.OID,), oids.BOOL)
def _pg_is_other_temp_schema(context: Any, oid: int) -> bool:
    """Nobody sees other sessions' schemas."""
    del context, oid
    return False


@define("pg_table_is_visible", (oids.OID,), oids.BOOL)
def _pg_table_is_visible(context: Any, oid: int) -> bool | None:
    relation = relation_name(context.catalog, oid)
    return None if relation is None else is_visible(context.catalog, context.search_path, relation)


@define("pg_describe_object", (oids.OID, oids.OID, oids.INT4), oids.TEXT)
def _pg_describe_object(context: Any, class_oid: int, oid: int, column: int) -> str | None:
    address = Address(class_oid, oid, column)
    return description(address, context.catalog, context.search_path)


@define("pg_type_is_visible", (oids.OID,), oids.BOOL)
def _pg_type_is_visible(context: Any, oid: int) -> bool | None:
    catalog = context.catalog
    made = catalog.domain_of(oid) or catalog.user_type_of(oid) or catalog.table_of_row_type(oid)
    if made is not None:
        return _is_type_found(context, made.schema, _type_name(made, oid))
    try:
        registry.get(oid)
    except SqlError:
        return None
    return True


def _type_name(made: Any, oid: int) -> str:
    """Return the name that a search path would find a type by; for an array type that of its elements'."""
    if isinstance(made, RangeType) and oid in (made.multirange_oid, made.multirange_array_oid):
        return made.multirange_name
    return str(made.name)


def _is_type_found(context: Any, schema: str, name: str) -> bool:
    """Tell whether the first type of a name on the search path is that of a schema."""
    catalog = context.catalog
    for candidate in searched(context.search_path):
        if candidate == schema:
            return True
        if candidate == "pg_catalog" and registry.find(name) is not None:
            return False
        kinds = (catalog.domains, catalog.user_types, catalog.multiranges)
        if any((candidate, name) in kind for kind in kinds):
            return False
        table = catalog.tables.get((candidate, name))
        if table is not None and table.kind != "S":
            return False
    return False


def _always_visible(context: Any, oid: int) -> bool:
    del context, oid
    return True  # all of these are in pg_catalog


for _kind in (
    "operator",
    "opclass",
    "opfamily",
    "collation",
    "conversion",
    "ts_config",
    "ts_dict",
    "ts_parser",
    "ts_template",
):
    define(f"pg_{_kind}_is_visible", (oids.OID,), oids.BOOL)(_always_visible)
