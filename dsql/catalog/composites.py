"""Composite types in the catalogs: pg_type, pg_class and pg_attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.functions import array_parts
from dsql.functions.type_io import io_functions

Row = Mapping[str, Any]


def composite_rows(catalog: Catalog, namespaces: Mapping[str, int]) -> Iterator[Row]:
    """Yield the rows of pg_type: of each composite type, and of its array type."""
    for found in catalog.composites():
        common = {
            "typnamespace": namespaces.get(found.schema, 0),
            "typowner": found.owner_oid,
            "typlen": -1,
            "typisdefined": True,
            "typdelim": ",",
            "typtypmod": -1,
            "typalign": "d",
            "typstorage": "x",
        }
        yield {
            **common,
            "oid": found.oid,
            "typname": found.name,
            "typtype": "c",
            "typcategory": "C",
            "typrelid": found.relation_oid,
            "typarray": found.array_oid,
            "typacl": None if found.acl is None else list(found.acl),
        } | io_functions("record")
        yield {
            **common,
            "oid": found.array_oid,
            "typname": f"_{found.name}",
            "typtype": "b",
            "typcategory": "A",
            "typelem": found.oid,
            "typsubscript": array_parts.HANDLER,
        } | io_functions("_text")


def composite_relations(catalog: Catalog, namespaces: Mapping[str, int]) -> Iterator[Row]:
    """Yield the rows of pg_class."""
    for found in catalog.composites():
        yield {
            "oid": found.relation_oid,
            "relname": found.name,
            "relnamespace": namespaces.get(found.schema, 0),
            "reltype": found.oid,
            "relowner": found.owner_oid,
            "relpersistence": "p",
            "relkind": "c",
            "relnatts": len(found.attributes),
            "relispopulated": True,
            "relreplident": "n",
        }
