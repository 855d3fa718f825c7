"""The types that users have made, as a session sees them: made of a catalog's values and kept there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from dsql.access.authorize import check
from dsql.access.requirements import usage_of
from dsql.catalog.catalog import Catalog
from dsql.catalog.names import View
from dsql.catalog.schema import EnumType
from dsql.types.enumeration import enum_types
from dsql.types.identifier import quote_identifier
from dsql.types.type import Type

_PATHS_MAX = 16  # of search paths whose types a catalog keeps


def types_of(catalog: Catalog, search_path: Sequence[str]) -> Mapping[int, Type]:
    """Return the types of users by their OIDs, named as a search path finds them."""
    kept = catalog.types_by_path
    path = tuple(search_path)
    found: dict[int, Type] | None = kept.get(path)
    if found is None:
        if len(kept) >= _PATHS_MAX:
            kept.clear()
        found = kept[path] = {kind.oid: kind for kind in _types(catalog, path)}
    return found


def _types(catalog: Catalog, search_path: Sequence[str]) -> Iterator[Type]:
    for enum in catalog.enums.values():
        labels = {label.place: label.name for label in enum.labels}
        name = enum_name(enum, catalog, search_path)
        yield from enum_types(enum.oid, enum.array_oid, (enum.schema, enum.name), name, labels)


def enum_name(enum: EnumType, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return the name, with the schema where the search path does not find it."""
    name = quote_identifier(enum.name)
    if catalog.find_enum(None, enum.name, search_path) is enum:
        return name
    return f"{quote_identifier(enum.schema)}.{name}"


class CatalogTypes:
    """The `dsql.types.registry.UserTypes` of a session."""

    def __init__(self, current: Callable[[], View]) -> None:
        self._current = current

    def by_oid(self, oid: int) -> Type | None:
        """Return the type with an OID."""
        catalog, search_path, _ = self._current()
        return types_of(catalog, search_path).get(oid)

    def by_name(self, schema: str, name: str) -> Type | None:
        """Return the type of a name. Raises SqlError 42501."""
        catalog, search_path, authority = self._current()
        if schema in catalog.schemas and authority is not None:
            check(usage_of(catalog.schemas[schema]), authority)
        enum = catalog.find_enum(schema or None, name, search_path)
        return types_of(catalog, search_path)[enum.oid] if enum is not None else None
