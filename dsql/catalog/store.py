"""The catalog's rows in the store: how each object is keyed, read and written.

One row per table, schema, role, sequence and job, msgpack of the value in `schema.py`. A second row per
name makes two sessions that create the same name meet at commit. Every change also writes the version
keys that transactions check (OC001): the catalog's own, and those of the tables and roles it touches.

The rows of temporary tables are the session's own, in the same order `FIRST_LOCAL` higher; a change of one
changes nothing for anybody else. Their names need no rows: nobody else makes any in their schema.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import msgspec

from dsql.access.privileges import Kind, Privilege
from dsql.catalog.catalog import POSTGRES, Catalog
from dsql.catalog.schema import (
    ADMIN_OID,
    FIRST_USER_OID,
    PUBLIC,
    AclItem,
    CompositeType,
    Database,
    DefaultAcl,
    Domain,
    EnumType,
    RangeType,
    Role,
    Schema,
    SqlFunction,
    Table,
    UserType,
    is_temporary_schema,
    temporary_schema_name,
)
from dsql.encoding.keyspace import (
    FIRST_LOCAL,
    catalog_version_key,
    is_local,
    is_local_id,
    keyspace_range,
    prefix,
    role_version_key,
    table_version_key,
)
from dsql.errors import SqlError, unsupported
from dsql.transaction.interface import Mode, Transaction

TABLES = 1
SCHEMAS = 2
ROLES = 3
NAMES = 4
OIDS = 5

DATABASE = 8
DEFAULT_ACLS = 9
FUNCTIONS = 10
DOMAINS = 11
ENUMS = 12
COMPOSITES = 13
RANGES = 14

_Object = TypeVar(
    "_Object", Table, Schema, Role, Database, DefaultAcl, SqlFunction, Domain, UserType
)
_USER_TYPES: dict[type[UserType], int] = {
    EnumType: ENUMS,
    CompositeType: COMPOSITES,
    RangeType: RANGES,
}

ADMIN = Role(oid=ADMIN_OID, name="admin", login=True, createrole=True)
_OPEN_TO_ALL = (
    *Kind.SCHEMA.default_acl(ADMIN_OID),
    AclItem(PUBLIC, ADMIN_OID, Privilege.USAGE.value),
)
BUILTIN_SCHEMAS = tuple(
    Schema(oid, name, ADMIN_OID, _OPEN_TO_ALL, comment)
    for oid, name, comment in (
        (11, "pg_catalog", "system catalog schema"),
        (2200, "public", "standard public schema"),
        (13_000, "information_schema", None),
        (13_001, "sys", None),
    )
)


_TEMPORARY_SCHEMA_OID = 13_002


def temporary_schema(number: int) -> Schema:
    """Return the temporary schema of a session with this number. Nobody can change it.

    Who may make something in it is a question of the database (`dsql.access.requirements`).
    """
    anything = Privilege.USAGE | Privilege.CREATE
    acl = (*_OPEN_TO_ALL, AclItem(PUBLIC, ADMIN_OID, anything.value))
    return Schema(_TEMPORARY_SCHEMA_OID, temporary_schema_name(number), ADMIN_OID, acl)


class Reader(Protocol):
    """What loading needs: a snapshot or a transaction."""

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        ...

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield a range."""
        ...


def read_version(reader: Reader, *, local: bool = False) -> int:
    """Return the catalog's version at a snapshot, or that of the session's own; 0 before the first DDL."""
    value = reader.get(catalog_version_key(local=local))
    return int.from_bytes(value, "big") if value else 0


def load(reader: Reader) -> Catalog:
    """Read the whole catalog of a snapshot."""
    schemas = {schema.name: schema for schema in BUILTIN_SCHEMAS}
    schemas.update((schema.name, schema) for schema in _objects(reader, SCHEMAS, Schema))
    roles = {role.oid: role for role in (ADMIN, *_objects(reader, ROLES, Role))}
    tables = list(_objects(reader, TABLES, Table))
    database = next(_objects(reader, DATABASE, Database), POSTGRES)
    defaults = _objects(reader, DEFAULT_ACLS, DefaultAcl)
    functions = _objects(reader, FUNCTIONS, SqlFunction)
    version = read_version(reader)
    domains = _objects(reader, DOMAINS, Domain)
    return Catalog(
        version,
        schemas.values(),
        tables,
        roles.values(),
        database,
        defaults,
        functions,
        domains,
        user_types=[
            each for kind, number in _USER_TYPES.items() for each in _objects(reader, number, kind)
        ],
    )


def load_temporary(reader: Reader) -> list[Table]:
    """Read the temporary tables of a session that has some."""
    return list(_objects(reader, FIRST_LOCAL + TABLES, Table))


def _objects(reader: Reader, keyspace: int, kind: type[_Object]) -> Iterator[_Object]:
    decode = msgspec.msgpack.Decoder(kind).decode
    for _, value in reader.scan(*keyspace_range(keyspace)):
        yield decode(value)


class CatalogWriter:
    """The catalog changes of one transaction.

    Names are taken by `claim_name`, which the caller does once per new relation or schema; the version
    keys are written by every change, so that a caller cannot forget them. `local`: the OIDs that it
    allocates are for a temporary table.
    """

    def __init__(self, transaction: Transaction, *, local: bool = False) -> None:
        self._transaction = transaction
        self._first = FIRST_LOCAL if local else 0
        # Random, not counted: a version that was rolled back must never name another catalog later.
        self._version = secrets.token_bytes(8)

    def allocate_oid(self) -> int:
        """Return a new OID; OIDs are never used twice."""
        key = prefix(self._first + OIDS)
        stored = self._transaction.get(key)
        oid = int.from_bytes(stored, "big") if stored else self._first + FIRST_USER_OID
        self._transaction.put(key, (oid + 1).to_bytes(4, "big"), Mode.EXCLUSIVE)
        return oid

    def put_table(self, table: Table) -> Table:
        """Write a new or changed table (view, sequence), and return it."""
        assert _in_one_half(table), "what is temporary has nothing that is shared"
        if table.is_temporary != is_temporary_schema(table.schema):
            raise _not_to_be_moved()
        self._put(TABLES, table.oid, table)
        self._touch(table_version_key(table.oid))
        return table

    def drop_table(self, table: Table) -> None:
        """Remove a table's row and its name."""
        self._delete(TABLES, table.oid)
        self.release_name(table.schema, table.name)
        self._touch(table_version_key(table.oid))

    def put_schema(self, schema: Schema, members: Iterable[Table] = ()) -> None:
        """Write a new or changed schema. `members` are the tables in it.

        Who writes to one of them has used the schema as it was, and checks no key but the table's.
        """
        if is_temporary_schema(schema.name):
            raise unsupported("a temporary schema cannot be changed")
        self._put(SCHEMAS, schema.oid, schema)
        self._touch(*(table_version_key(table.oid) for table in members))

    def drop_schema(self, schema: Schema) -> None:
        """Remove a schema."""
        self._delete(SCHEMAS, schema.oid)
        self.release_name("", schema.name)
        self._touch()

    def put_database(self, database: Database) -> None:
        """Write the changed database."""
        self._put(DATABASE, database.oid, database)
        self._touch()

    def put_default_acl(self, default: DefaultAcl) -> None:
        """Write a new or changed default ACL."""
        self._put(DEFAULT_ACLS, default.oid, default)
        self._touch()

    def drop_default_acl(self, default: DefaultAcl) -> None:
        """Remove a default ACL."""
        self._delete(DEFAULT_ACLS, default.oid)
        self._touch()

    def put_function(self, function: SqlFunction) -> None:
        """Write a new or changed function. Two of one name and arguments meet at the catalog's version."""
        if is_temporary_schema(function.schema):
            raise _not_to_be_moved()
        self._put(FUNCTIONS, function.oid, function)
        self._touch(table_version_key(function.oid))

    def drop_function(self, function: SqlFunction) -> None:
        """Remove a function."""
        self._delete(FUNCTIONS, function.oid)
        self._touch(table_version_key(function.oid))

    def put_domain(self, domain: Domain) -> None:
        """Write a new or changed domain."""
        self._put(DOMAINS, domain.oid, domain)
        self._touch(table_version_key(domain.oid))

    def drop_domain(self, domain: Domain) -> None:
        """Remove a domain."""
        self._delete(DOMAINS, domain.oid)
        self._touch(table_version_key(domain.oid))

    def put_user_type(self, user_type: UserType) -> None:
        """Write a new or changed enum, composite or range type."""
        self._put(_USER_TYPES[type(user_type)], user_type.oid, user_type)
        self._touch(table_version_key(user_type.oid))

    def drop_user_type(self, user_type: UserType) -> None:
        """Remove an enum, composite or range type."""
        self._delete(_USER_TYPES[type(user_type)], user_type.oid)
        self._touch(table_version_key(user_type.oid))

    def put_securable(
        self, changed: Table | Schema | Database | SqlFunction | Domain | UserType, catalog: Catalog
    ) -> None:
        """Write an object of a catalog whose owner or ACL has changed."""
        if isinstance(changed, SqlFunction):
            self.put_function(changed)
        elif isinstance(changed, Domain):
            self.put_domain(changed)
        elif isinstance(changed, UserType):
            self.put_user_type(changed)
        elif isinstance(changed, Table):
            self.put_table(changed)
        elif isinstance(changed, Schema):
            self.put_schema(changed, catalog.tables_in(changed.name))
        else:
            self.put_database(changed)

    def put_role(self, role: Role) -> None:
        """Write a new or changed role."""
        self._put(ROLES, role.oid, role)
        self._touch(role_version_key(role.oid))

    def drop_role(self, role: Role) -> None:
        """Remove a role."""
        self._delete(ROLES, role.oid)
        self._touch(role_version_key(role.oid))

    def claim_name(self, schema: str, name: str) -> None:
        """Take a relation's name in a schema (a schema's own name under "")."""
        if not is_temporary_schema(schema):
            self._transaction.put(_name_key(schema, name), b"", Mode.EXCLUSIVE)

    def release_name(self, schema: str, name: str) -> None:
        """Give a name back."""
        if not is_temporary_schema(schema):
            self._transaction.delete(_name_key(schema, name), Mode.EXCLUSIVE)

    def _put(self, keyspace: int, oid: int, value: msgspec.Struct) -> None:
        encoded = msgspec.msgpack.encode(value)
        self._transaction.put(_row_key(keyspace, oid), encoded, Mode.EXCLUSIVE)

    def _delete(self, keyspace: int, oid: int) -> None:
        self._transaction.delete(_row_key(keyspace, oid), Mode.EXCLUSIVE)

    def _touch(self, *keys: bytes) -> None:
        """Write the catalog's version key and those of what has changed."""
        local = any(map(is_local, keys))
        for key in (catalog_version_key(local=local), *keys):
            self._transaction.check(key, Mode.CATALOG)
            self._transaction.put(key, self._version, Mode.EXCLUSIVE)


def _not_to_be_moved() -> SqlError:
    return unsupported("cannot move objects into or out of temporary schemas")


def _row_key(keyspace: int, oid: int) -> bytes:
    first = FIRST_LOCAL if is_local_id(oid) else 0
    return prefix(first + keyspace) + prefix(oid)


def _in_one_half(table: Table) -> bool:
    """Return whether a table has its rows and index entries where it is itself."""
    ids = (table.keyspace_id, *(index.keyspace_id for index in table.indexes))
    return {*map(is_local_id, ids)} == {table.is_temporary}


def _name_key(schema: str, name: str) -> bytes:
    return prefix(NAMES) + schema.encode() + b"\0" + name.encode()
