"""The catalog as one snapshot sees it: immutable, looked up by name or OID."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any, TypeVar

from dsql.access.membership import Memberships
from dsql.catalog.schema import (
    ADMIN_OID,
    TEMPORARY_ALIAS,
    CompositeType,
    Database,
    DefaultAcl,
    Domain,
    EnumType,
    ForeignKey,
    RangeType,
    Role,
    Schema,
    SqlFunction,
    Table,
    UserType,
    is_temporary_schema,
    type_oids,
)
from dsql.catalog.virtual import VirtualTable, virtual_tables

_Named = TypeVar("_Named")

POSTGRES = Database(
    oid=5,
    name="postgres",
    owner_oid=ADMIN_OID,
    comment="default administrative connection database",
)


class _Schemas(dict[str, Schema]):
    """The schemas by name, for a session that has a temporary one: pg_temp is another name of that."""

    def __init__(self, schemas: Iterable[Schema], temporary: Schema) -> None:
        super().__init__({schema.name: schema for schema in (*schemas, temporary)})
        self._temporary = temporary

    def __missing__(self, name: str) -> Schema:
        if name == TEMPORARY_ALIAS:
            return self._temporary
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name == TEMPORARY_ALIAS or super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(self._temporary.name if name == TEMPORARY_ALIAS else name, default)


class Catalog:
    """Every object of one cluster at one catalog version.

    `version` changes with every DDL commit; a program compiled against one version is valid for it only.
    `temporary` is the session's own schema, None for the catalog that all sessions share.
    """

    def __init__(
        self,
        version: int,
        schemas: Iterable[Schema],
        tables: Iterable[Table],
        roles: Iterable[Role],
        database: Database = POSTGRES,
        default_acls: Iterable[DefaultAcl] = (),
        functions: Iterable[SqlFunction] = (),
        domains: Iterable[Domain] = (),
        temporary: Schema | None = None,
        user_types: Iterable[UserType] = (),
    ) -> None:
        self.version = version
        self.temporary = temporary
        self.schemas: dict[str, Schema] = (
            {schema.name: schema for schema in schemas}
            if temporary is None
            else _Schemas(schemas, temporary)
        )
        self._set_tables(tables)
        self.roles = {role.name: role for role in roles}
        self.memberships = Memberships(self.roles.values())
        self.database = database
        self.default_acls = {(acl.role, acl.schema_oid, acl.letter): acl for acl in default_acls}
        self.virtual = virtual_tables()
        self._set_functions(functions)
        self._set_domains(domains)
        self._set_user_types(user_types)

    def _set_tables(self, tables: Iterable[Table]) -> None:
        for derived in ("foreign_keys", "references", "_owned_sequences"):
            self.__dict__.pop(derived, None)
        self.tables = {(table.schema, table.name): table for table in tables}
        self._tables_by_row_type = {
            table.row_type_oid: table for table in self.tables.values() if table.row_type_oid
        }
        self.tables_by_oid = {table.oid: table for table in self.tables.values()}

    def _set_functions(self, functions: Iterable[SqlFunction]) -> None:
        self.functions = {function.oid: function for function in functions}
        self._functions_by_name: dict[str, list[SqlFunction]] = {}
        for function in self.functions.values():
            self._functions_by_name.setdefault(function.name, []).append(function)

    def with_function(self, function: SqlFunction) -> Catalog:
        """Return the catalog as it will be with a new or changed function."""
        changed = copy(self)
        changed._set_functions({**self.functions, function.oid: function}.values())
        return changed

    @cached_property
    def foreign_keys(self) -> dict[int, tuple[Table, ForeignKey]]:
        """Every foreign key by its OID, with the table that has it."""
        return {
            key.oid: (table, key) for table in self.tables.values() for key in table.foreign_keys
        }

    @cached_property
    def references(self) -> dict[int, list[tuple[Table, ForeignKey]]]:
        """The foreign keys that refer to a table, by its OID, each with the table that has it."""
        found: dict[int, list[tuple[Table, ForeignKey]]] = {}
        for table, key in self.foreign_keys.values():
            found.setdefault(key.table_oid, []).append((table, key))
        return found

    def with_tables(self, tables: Iterable[Table]) -> Catalog:
        """Return the catalog with other tables, views and sequences."""
        changed = copy(self)
        changed._set_tables(tables)
        return changed

    def with_temporary(self, schema: Schema, tables: Iterable[Table], version: int) -> Catalog:
        """Return what a session sees that has temporary tables, in a schema of its own.

        `version` is that of these: 64 bits, as this catalog's.
        """
        assert self.temporary is None, "a session has one temporary schema"
        return Catalog(
            self.version << 64 | version,
            self.schemas.values(),
            (*self.tables.values(), *tables),
            self.roles.values(),
            self.database,
            self.default_acls.values(),
            self.functions.values(),
            self.domains.values(),
            schema,
            self.user_types.values(),
        )

    @cached_property
    def _owned_sequences(self) -> dict[tuple[int, int], list[Table]]:
        owned: dict[tuple[int, int], list[Table]] = {}
        for table in self.tables.values():
            if table.sequence is not None and table.sequence.owner is not None:
                owned.setdefault(table.sequence.owner, []).append(table)
        return owned

    def sequences_of(self, table_oid: int, column_number: int) -> Sequence[Table]:
        """Return the sequences that a column owns: OWNED BY, and that of an identity column."""
        return self._owned_sequences.get((table_oid, column_number), ())

    def identity_sequence(self, table_oid: int, column_number: int) -> Table:
        """Return the sequence of an identity column."""
        owned = self.sequences_of(table_oid, column_number)
        return next(table for table in owned if table.sequence and table.sequence.is_identity)

    def without_function(self, function: SqlFunction) -> Catalog:
        """Return the catalog without a function."""
        changed = copy(self)
        changed._set_functions(each for each in self.functions.values() if each is not function)
        return changed

    def _set_domains(self, domains: Iterable[Domain]) -> None:
        self.domains_by_oid = {domain.oid: domain for domain in domains}
        self.domains = {
            (domain.schema, domain.name): domain for domain in self.domains_by_oid.values()
        }
        self._domains_by_array = {
            domain.array_oid: domain for domain in self.domains_by_oid.values()
        }

    def with_domains(self, domains: Iterable[Domain]) -> Catalog:
        """Return the catalog with other domains."""
        changed = copy(self)
        changed._set_domains(domains)
        return changed

    def find_domain(
        self, schema: str | None, name: str, search_path: Sequence[str]
    ) -> Domain | None:
        """Return the domain of that name, None if there is none."""
        if not self.domains:
            return None
        schemas = (schema,) if schema is not None else searched(search_path)
        found = (self.domains.get((candidate, name)) for candidate in schemas)
        return next((domain for domain in found if domain is not None), None)

    def _set_user_types(self, types: Iterable[UserType]) -> None:
        self.user_types = {(each.schema, each.name): each for each in types}
        self._user_types_by_oid = {
            oid: each for each in self.user_types.values() for oid in type_oids(each)
        }
        self.multiranges = {
            (each.schema, each.multirange_name): each
            for each in self.user_types.values()
            if isinstance(each, RangeType)
        }
        self.types_by_path: dict[Sequence[str], Any] = {}  # see `dsql.catalog.user_types`

    def user_type_of(self, type_oid: int) -> UserType | None:
        """Return the user's type that an OID belongs to, be it that of arrays or of a multirange."""
        return self._user_types_by_oid.get(type_oid)

    def enums(self) -> Iterator[EnumType]:
        """Yield the enums."""
        return (each for each in self.user_types.values() if isinstance(each, EnumType))

    def composites(self) -> Iterator[CompositeType]:
        """Yield the composite types that are no tables' row types."""
        return (each for each in self.user_types.values() if isinstance(each, CompositeType))

    def composite_of_relation(self, oid: int) -> CompositeType | None:
        """Return the composite type whose row in pg_class has an OID."""
        return next((each for each in self.composites() if each.relation_oid == oid), None)

    def ranges(self) -> Iterator[RangeType]:
        """Yield the range types."""
        return (each for each in self.user_types.values() if isinstance(each, RangeType))

    def with_user_types(self, types: Iterable[UserType]) -> Catalog:
        """Return the catalog with other types of users."""
        changed = copy(self)
        changed._set_user_types(types)
        return changed

    def find_user_type(
        self, schema: str | None, name: str, search_path: Sequence[str]
    ) -> UserType | None:
        """Return the enum, composite or range type of that name, None if there is none."""
        return self._named(self.user_types, schema, name, search_path)

    def find_multirange(
        self, schema: str | None, name: str, search_path: Sequence[str]
    ) -> RangeType | None:
        """Return the range type whose multirange type has a name, None if there is none."""
        return self._named(self.multiranges, schema, name, search_path)

    def _named(
        self,
        types: Mapping[tuple[str, str], _Named],
        schema: str | None,
        name: str,
        search_path: Sequence[str],
    ) -> _Named | None:
        if not types:
            return None
        schemas = (schema,) if schema is not None else searched(search_path)
        found = (types.get((candidate, name)) for candidate in schemas)
        return next((each for each in found if each is not None), None)

    def domain_of(self, type_oid: int) -> Domain | None:
        """Return the domain of an OID, or over whose values an array type is; None for other types."""
        return self.domains_by_oid.get(type_oid) or self._domains_by_array.get(type_oid)

    def tables_in(self, schema: str) -> Iterator[Table]:
        """Yield the tables, views and sequences of a schema."""
        return (table for table in self.tables.values() if table.schema == schema)

    def table_of_row_type(self, type_oid: int) -> Table | None:
        """Return the table or view whose row type this is, None if it is no such type."""
        return self._tables_by_row_type.get(type_oid)

    def functions_named(self, name: str) -> Sequence[SqlFunction]:
        """Return the functions in LANGUAGE SQL of a name, of all schemas."""
        return self._functions_by_name.get(name, ())

    def functions_in(self, schema: str) -> Iterator[SqlFunction]:
        """Yield the functions of a schema."""
        return (function for function in self.functions.values() if function.schema == schema)

    def find_relation(
        self, schema: str | None, name: str, search_path: Sequence[str]
    ) -> Table | VirtualTable | None:
        """Return the table, view, sequence or virtual table of that name, None if there is none.

        Without `schema`, it is looked for in all that is `searched`.
        """
        if schema == TEMPORARY_ALIAS and self.temporary is not None:
            schema = self.temporary.name
        for candidate in (schema,) if schema is not None else searched(search_path):
            found = self.tables.get((candidate, name)) or self.virtual.get((candidate, name))
            if found is not None:
                return found
        return None


def searched(search_path: Sequence[str]) -> Sequence[str]:
    """Return the schemas in which bare names are looked up: pg_catalog first, unless the path has it.

    A session's temporary schema comes even before that, where it is the path's first.
    """
    if "pg_catalog" in search_path:
        return search_path
    own = 1 if search_path and is_temporary_schema(search_path[0]) else 0
    return (*search_path[:own], "pg_catalog", *search_path[own:])
