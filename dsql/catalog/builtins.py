"""The catalogs of what the server has built in: types, functions, operators, casts, access methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from dsql.catalog.composites import composite_rows
from dsql.catalog.domains import domain_rows
from dsql.catalog.enums import enum_rows
from dsql.catalog.index_forms import BTREE_AM, access_method, table_method
from dsql.catalog.operator_names import COLLATIONS
from dsql.catalog.range_constructors import constructors
from dsql.catalog.ranges import range_rows
from dsql.catalog.relations import (
    PG_CATALOG_NAMESPACE,
    SYSTEM_NAMESPACES,
    namespace_oids,
    type_collation,
)
from dsql.catalog.routines import sql_function_rows
from dsql.catalog.schema import ADMIN_OID
from dsql.catalog.virtual import provides
from dsql.functions import array_parts, json_subscripts
from dsql.functions import registry as functions
from dsql.functions.function import Aggregate, Function, Operator, WindowFunction
from dsql.functions.type_io import io_functions
from dsql.types import oids, registry
from dsql.types.type import Type

Row = Mapping[str, Any]
_SQL_LANGUAGE, _INTERNAL_LANGUAGE = 14, 12


@provides("pg_catalog", "pg_type")
def _pg_type(context: Any) -> Iterator[Row]:
    yield from _builtin_types()
    namespaces = namespace_oids(context.catalog)
    for table in context.catalog.tables.values():
        if not table.row_type_oid:
            continue  # a sequence has no row type
        yield {
            "oid": table.row_type_oid,
            "typname": table.name,
            "typnamespace": namespaces.get(table.schema, 0),
            "typowner": table.owner_oid,
            "typlen": -1,
            "typtype": "c",
            "typcategory": "C",
            "typisdefined": True,
            "typdelim": ",",
            "typrelid": table.oid,
            "typalign": "d",
            "typstorage": "x",
            "typtypmod": -1,
        } | io_functions("record")
    for row in domain_rows(context.catalog, namespaces):
        domain = context.catalog.domains_by_oid.get(row["oid"])  # else it is the array type of one
        base = "_text" if domain is None else registry.get(domain.type_oid).name
        yield {**row, **io_functions(base), "typmodin": 0, "typmodout": 0}
    yield from enum_rows(context.catalog, namespaces)
    yield from composite_rows(context.catalog, namespaces)
    yield from range_rows(context.catalog, namespaces, context.search_path)


@cache
def _builtin_types() -> tuple[Row, ...]:
    return tuple(
        {
            "oid": kind.oid,
            "typname": kind.name,
            "typnamespace": PG_CATALOG_NAMESPACE,
            "typowner": ADMIN_OID,
            "typlen": kind.size,
            "typbyval": kind.by_value,
            "typtype": kind.kind,
            "typcategory": kind.category,
            "typispreferred": kind.preferred,
            "typisdefined": True,
            "typdelim": kind.delimiter,
            "typelem": kind.element_oid,
            "typarray": kind.array_oid,
            "typalign": kind.align,
            "typstorage": kind.storage,
            "typtypmod": -1,
            "typcollation": type_collation(kind.oid),
            "typsubscript": _subscript_handler(kind),
        }
        | io_functions(kind.name)
        for kind in registry.all_types()
    )


def _subscript_handler(kind: Type) -> int:
    """Return the OID of a type's function for subscripts, 0 for none."""
    if kind.oid == oids.JSONB:
        return json_subscripts.HANDLER
    return array_parts.HANDLER if kind.category == "A" else 0


@provides("pg_catalog", "pg_proc")
def _pg_proc(context: Any) -> Iterator[Row]:
    yield from _builtin_functions()
    yield from sql_function_rows(context.catalog)
    namespaces = namespace_oids(context.catalog)
    for function in constructors(context.catalog):
        own = context.catalog.user_type_of(function.return_type)
        place = {"pronamespace": namespaces[function.schema], "proowner": own.owner_oid}
        yield {**_function_row(function), **place}


@cache
def _builtin_functions() -> tuple[Row, ...]:
    return tuple(
        _function_row(callee) if isinstance(callee, Function) else _aggregate_row(callee)
        for callee in functions.all_callees()
    )


def _function_row(function: Function) -> Row:
    return {
        "oid": function.oid,
        "proname": function.name,
        "pronamespace": SYSTEM_NAMESPACES.get(function.schema, 0),
        "proowner": ADMIN_OID,
        "prolang": _INTERNAL_LANGUAGE,
        "procost": 1.0,
        "prorows": 1000.0 if function.returns_set else 0.0,
        "prokind": "f",
        "proisstrict": function.strict,
        "proretset": function.returns_set,
        "provolatile": function.volatility,
        "proparallel": "s",
        "pronargs": len(function.argument_types),
        "pronargdefaults": len(function.default_arguments),
        "prorettype": function.return_type,
        "proargtypes": function.argument_types,
        "proargnames": list(function.argument_names) or None,
        "prosrc": function.name,
        "proacl": None if function.acl is None else list(function.acl),
    }


def _aggregate_row(aggregate: Aggregate | WindowFunction) -> Row:
    return {
        "oid": aggregate.oid,
        "proname": aggregate.name,
        "pronamespace": PG_CATALOG_NAMESPACE,
        "proowner": ADMIN_OID,
        "prolang": _INTERNAL_LANGUAGE,
        "procost": 1.0,
        "prokind": "a" if isinstance(aggregate, Aggregate) else "w",
        "provolatile": "i",
        "proparallel": "s",
        "pronargs": len(aggregate.argument_types),
        "prorettype": aggregate.return_type,
        "proargtypes": aggregate.argument_types,
        "prosrc": "aggregate_dummy",
    }


@provides("pg_catalog", "pg_operator")
def _pg_operator(context: Any) -> Iterator[Row]:
    del context
    yield from _builtin_operators()


@cache
def _builtin_operators() -> tuple[Row, ...]:
    return tuple(_operator_row(operator) for operator in functions.all_operators())


def _operator_row(operator: Operator) -> Row:
    return {
        "oid": operator.oid,
        "oprname": operator.name,
        "oprnamespace": PG_CATALOG_NAMESPACE,
        "oprowner": ADMIN_OID,
        "oprkind": "b" if operator.left_type else "l",
        "oprcanhash": operator.hashable,
        "oprleft": operator.left_type,
        "oprright": operator.right_type,
        "oprresult": operator.function.return_type,
        "oprcode": operator.function.oid,
    }


@provides("pg_catalog", "pg_cast")
def _pg_cast(context: Any) -> Iterator[Row]:
    del context
    for oid, cast in enumerate(functions.all_casts(), 10_200):
        source, target, cast_context, function, via_text = cast
        yield {
            "oid": oid,
            "castsource": source,
            "casttarget": target,
            "castfunc": function.oid if function else 0,
            "castcontext": cast_context,
            "castmethod": "f" if function else "i" if via_text else "b",
        }


@provides("pg_catalog", "pg_am")
def _pg_am(context: Any) -> Iterator[Row]:
    heap, name = table_method(context.profile)
    yield {"oid": heap, "amname": name, "amtype": "t"}
    for oid, name in dict.fromkeys(((BTREE_AM, "btree"), access_method(context.profile))):
        yield {"oid": oid, "amname": name, "amtype": "i"}


@provides("pg_catalog", "pg_collation")
def _pg_collation(context: Any) -> Iterator[Row]:
    del context
    for name, oid in COLLATIONS.items():
        yield {
            "oid": oid,
            "collname": name,
            "collnamespace": PG_CATALOG_NAMESPACE,
            "collowner": ADMIN_OID,
            "collprovider": "d" if name == "default" else "c",
            "collisdeterministic": True,
            "collencoding": -1,
            "collcollate": None if name == "default" else name,
            "collctype": None if name == "default" else name,
        }


@provides("pg_catalog", "pg_language")
def _pg_language(context: Any) -> Iterator[Row]:
    del context
    for oid, name in ((_INTERNAL_LANGUAGE, "internal"), (_SQL_LANGUAGE, "sql")):
        yield {"oid": oid, "lanname": name, "lanowner": ADMIN_OID, "lanpltrusted": True}
