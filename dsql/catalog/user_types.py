"""The types that users have made, as a session sees them: made of a catalog's values and kept there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dsql.access.authorize import check
from dsql.access.requirements import usage_of
from dsql.catalog.catalog import Catalog
from dsql.catalog.names import View
from dsql.catalog.schema import (
    FIRST_USER_OID,
    Column,
    CompositeType,
    EnumType,
    RangeType,
    Table,
    UserType,
    type_oids,
)
from dsql.errors import SqlError
from dsql.types import oids, registry
from dsql.types.composite import Attribute, CompositeNames, composite_type
from dsql.types.enumeration import enum_types
from dsql.types.identifier import quote_identifier
from dsql.types.range import Bounds
from dsql.types.range_types import RangeNames, multirange_type, range_type, with_arrays
from dsql.types.type import Type

_PATHS_MAX = 16  # of search paths whose types a catalog keeps


class TypesOfPath:
    """The types of users, named as a search path finds them, each made when it is asked for."""

    def __init__(self, catalog: Catalog, search_path: Sequence[str]) -> None:
        self._catalog = catalog
        self._path = search_path
        self._made: dict[int, Type] = {}

    def get(self, oid: int) -> Type | None:
        """Return the type with an OID, be it the row type of a table."""
        found = self._made.get(oid)
        if found is None:
            self._made.update((kind.oid, kind) for kind in self._make(oid))
            found = self._made.get(oid)
        return found

    def values(self) -> list[Type]:
        """Return all types that users have made, without the row types of tables."""
        kinds = self._catalog.user_types.values()
        found = (self.get(oid) for each in kinds for oid in type_oids(each))
        return [kind for kind in found if kind is not None]

    def _make(self, oid: int) -> Iterable[Type]:
        user_type = self._catalog.user_type_of(oid)
        if user_type is None:
            table = self._catalog.table_of_row_type(oid)
            return () if table is None else (self._row_type(table),)
        name = user_type_name(user_type, self._catalog, self._path)
        match user_type:
            case EnumType():
                labels = {label.place: label.name for label in user_type.labels}
                own = user_type.schema, user_type.name
                return enum_types(user_type.oid, user_type.array_oid, own, name, labels)
            case CompositeType():
                names = CompositeNames(
                    user_type.oid,
                    user_type.array_oid,
                    user_type.schema,
                    user_type.name,
                    name,
                    user_type.relation_oid,
                )
                return with_arrays(self._composite(names, user_type.live_attributes))
            case RangeType():
                return self._range_types(user_type, name)

    def _row_type(self, table: Table) -> Type:
        shown = quote_identifier(table.name)
        if self._catalog.find_relation(None, table.name, self._path) is not table:
            shown = f"{quote_identifier(table.schema)}.{shown}"
        names = CompositeNames(
            table.row_type_oid, oids.RECORD_ARRAY, table.schema, table.name, shown, table.oid
        )
        return self._composite(names, table.live_columns)

    def _composite(self, names: CompositeNames, columns: Iterable[Column]) -> Type:
        attributes = [
            Attribute(each.name, each.number, each.type_oid, each.typmod) for each in columns
        ]
        return composite_type(names, attributes, self._find)

    def _range_types(self, made: RangeType, name: str) -> Iterable[Type]:
        subtype = self._find(made.subtype_oid)
        names = RangeNames(made.oid, made.array_oid, made.name, name, made.schema)
        ranges = range_type(names, subtype, Bounds(subtype.sort_key), made.multirange_oid)
        multirange = RangeNames(
            made.multirange_oid,
            made.multirange_array_oid,
            made.multirange_name,
            self._multirange_name(made),
            made.schema,
        )
        return with_arrays(ranges, multirange_type(multirange, ranges))

    def _multirange_name(self, made: RangeType) -> str:
        name = quote_identifier(made.multirange_name)
        if self._catalog.find_multirange(None, made.multirange_name, self._path) is made:
            return name
        return f"{quote_identifier(made.schema)}.{name}"

    def _find(self, oid: int) -> Type:
        found = self.get(oid) if oid >= FIRST_USER_OID else registry.find_by_oid(oid)
        if found is None:
            raise SqlError("42704", f"type with OID {oid} does not exist")
        return found


def types_of(catalog: Catalog, search_path: Sequence[str]) -> TypesOfPath:
    """Return the types of users, named as a search path finds them."""
    kept = catalog.types_by_path
    path = tuple(search_path)
    found: TypesOfPath | None = kept.get(path)
    if found is None:
        if len(kept) >= _PATHS_MAX:
            kept.clear()
        found = kept[path] = TypesOfPath(catalog, path)
    return found


def user_type_name(user_type: UserType, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return the name, with the schema where the search path does not find it."""
    name = quote_identifier(user_type.name)
    if catalog.find_user_type(None, user_type.name, search_path) is user_type:
        return name
    return f"{quote_identifier(user_type.schema)}.{name}"


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
        types = types_of(catalog, search_path)
        found = catalog.find_user_type(schema or None, name, search_path)
        if found is not None:
            return types.get(found.oid)
        multirange = catalog.find_multirange(schema or None, name, search_path)
        if multirange is not None:
            return types.get(multirange.multirange_oid)
        table = catalog.find_relation(schema or None, name, search_path)
        return types.get(table.row_type_oid) if isinstance(table, Table) else None
