"""The range types of users in the catalogs, and pg_range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.opclasses import class_oid
from dsql.catalog.schema import RangeType
from dsql.catalog.user_types import types_of
from dsql.catalog.virtual import provides
from dsql.functions import array_parts
from dsql.functions import registry as functions
from dsql.functions.type_io import io_functions
from dsql.types import registry
from dsql.types.type import Type

Row = Mapping[str, Any]


def range_rows(
    catalog: Catalog, namespaces: Mapping[str, int], search_path: tuple[str, ...]
) -> Iterator[Row]:
    """Yield the rows of pg_type: of ranges and multiranges, and of the types of their arrays."""
    types = types_of(catalog, search_path)
    for found in catalog.ranges():
        for oid in (found.oid, found.multirange_oid):
            kind = types.get(oid)
            assert kind is not None
            array = types.get(kind.array_oid)
            assert array is not None
            acl = None if found.acl is None else list(found.acl)
            family = "int4range" if kind.kind == "r" else "int4multirange"
            yield {**_row(kind, found, namespaces), "typacl": acl} | io_functions(family)
            yield _row(array, found, namespaces) | io_functions("_text")


def _row(kind: Type, found: RangeType, namespaces: Mapping[str, int]) -> dict[str, Any]:
    return {
        "oid": kind.oid,
        "typname": kind.name,
        "typnamespace": namespaces.get(found.schema, 0),
        "typowner": found.owner_oid,
        "typlen": -1,
        "typtype": kind.kind,
        "typcategory": kind.category,
        "typisdefined": True,
        "typdelim": ",",
        "typelem": kind.element_oid,
        "typarray": kind.array_oid,
        "typalign": kind.align,
        "typstorage": "x",
        "typtypmod": -1,
        "typsubscript": array_parts.HANDLER if kind.element_oid else 0,
    }


@provides("pg_catalog", "pg_range")
def _pg_range(context: Any) -> Iterator[Row]:
    for kind in registry.all_types():
        if kind.kind == "r":
            canonical = _oid_of_function(f"{kind.name}_canonical")
            yield _range(kind, canonical, _oid_of_function(f"{kind.name}_subdiff"))
    types = types_of(context.catalog, context.search_path)
    for found in context.catalog.ranges():
        made = types.get(found.oid)
        assert made is not None
        yield _range(made, 0, found.difference_oid)


def _range(kind: Type, canonical: int, difference: int) -> Row:
    return {
        "rngtypid": kind.oid,
        "rngsubtype": kind.subtype_oid,
        "rngmultitypid": kind.multirange_oid,
        "rngsubopc": class_oid(kind.subtype_oid, ""),
        "rngcanonical": canonical,
        "rngsubdiff": difference,
    }


def _oid_of_function(name: str) -> int:
    return next((callee.oid for callee in functions.candidates(name)), 0)
