"""Enums in the catalogs: pg_type and pg_enum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.virtual import provides
from dsql.functions.type_io import io_functions


def enum_rows(catalog: Catalog, namespaces: Mapping[str, int]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of pg_type: of each enum, and of its array type."""
    for enum in catalog.enums():
        common = {
            "typnamespace": namespaces.get(enum.schema, 0),
            "typowner": enum.owner_oid,
            "typisdefined": True,
            "typdelim": ",",
            "typtypmod": -1,
            "typalign": "i",
        }
        yield {
            **common,
            "oid": enum.oid,
            "typname": enum.name,
            "typlen": 4,
            "typbyval": True,
            "typtype": "e",
            "typcategory": "E",
            "typarray": enum.array_oid,
            "typstorage": "p",
            "typacl": None if enum.acl is None else list(enum.acl),
        } | io_functions("enum")
        yield {
            **common,
            "oid": enum.array_oid,
            "typname": f"_{enum.name}",
            "typlen": -1,
            "typtype": "b",
            "typcategory": "A",
            "typelem": enum.oid,
            "typstorage": "x",
            "typsubscript": 6179,
        } | io_functions("_text")


@provides("pg_catalog", "pg_enum")
def _pg_enum(context: Any) -> Iterator[Mapping[str, Any]]:
    for enum in context.catalog.enums():
        for label in enum.labels:
            yield {
                "oid": label.oid,
                "enumtypid": enum.oid,
                "enumsortorder": label.place,
                "enumlabel": label.name,
            }
