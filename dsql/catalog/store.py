"""The catalog's rows in the store: how each object is keyed, read and written.

One row per table, schema, role, sequence and job, msgpack of the value in `schema.py`. A second row per
name makes two sessions that create the same name meet at commit. Every change also writes the version
keys that transactions check (OC001): the catalog's own, and those of the tables and roles it touches.
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
    Database,
    DefaultAcl,
    Domain,
    Role,
    Schema,
    SqlFunction,
    Table,
)
from dsql.encoding.keyspace import (
    catalog_version_key,
    keyspace_range,
    prefix,
    role_version_key,
    table_version_key,
)
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

_Object = TypeVar("_Object", Table, Schema, Role, Database, DefaultAcl, SqlFunction, Domain)

ADMIN = Role(oid=ADMIN_OID, name="admin", login=True, createrole=True)
_OPEN_TO_ALL = (
    *Kind.SCHEMA.default_acl(ADMIN_OID),
    AclItem(PUBLIC, ADMIN_OID, Privilege.USAGE.value),
)
BUILTIN_SCHEMAS = tuple(
    Schema(oid, name, ADMIN_OID, _OPEN_TO_ALL)
    for oid, name in (
        (11, "pg_catalog"),
        (2200, "public"),
        (13_000, "information_schema"),
        (13_001, "sys"),
    )
)


class Reader(Protocol):
    """What loading needs: a snapshot or a transaction."""

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        ...

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield a range."""
        ...


def read_version(reader: Reader) -> int:
    """Return the catalog's version at a snapshot; 0 before the first DDL."""
    value = reader.get(catalog_version_key())
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
    )


def _objects(reader: Reader, keyspace: int, kind: type[_Object]) -> Iterator[_Object]:
    decode = msgspec.msgpack.Decoder(kind).decode
    for _, value in reader.scan(*keyspace_range(keyspace)):
        yield decode(value)


class CatalogWriter:
    """The catalog changes of one transaction.

    Names are taken by `claim_name`, which the caller does once per new relation or schema; the version
    keys are written by every change, so that a caller cannot forget them.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        # Random, not counted: a version that was rolled back must never name another catalog later.
        self._version = secrets.token_bytes(8)

    def allocate_oid(self) -> int:
        """Return a new OID; OIDs are never used twice."""
        key = prefix(OIDS)
        stored = self._transaction.get(key)
        oid = int.from_bytes(stored, "big") if stored else FIRST_USER_OID
        self._transaction.put(key, (oid + 1).to_bytes(4, "big"), Mode.EXCLUSIVE)
        return oid

    def put_table(self, table: Table) -> Table:
        """Write a new or changed table (view, sequence), and return it."""
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

    def put_securable(
        self, changed: Table | Schema | Database | SqlFunction | Domain, catalog: Catalog
    ) -> None:
        """Write an object of a catalog whose owner or ACL has changed."""
        if isinstance(changed, SqlFunction):
            self.put_function(changed)
        elif isinstance(changed, Domain):
            self.put_domain(changed)
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
        self._transaction.put(_name_key(schema, name), b"", Mode.EXCLUSIVE)

    def release_name(self, schema: str, name: str) -> None:
        """Give a name back."""
        self._transaction.delete(_name_key(schema, name), Mode.EXCLUSIVE)

    def _put(self, keyspace: int, oid: int, value: msgspec.Struct) -> None:
        encoded = msgspec.msgpack.encode(value)
        self._transaction.put(prefix(keyspace) + prefix(oid), encoded, Mode.EXCLUSIVE)

    def _delete(self, keyspace: int, oid: int) -> None:
        self._transaction.delete(prefix(keyspace) + prefix(oid), Mode.EXCLUSIVE)

    def _touch(self, *keys: bytes) -> None:
        """Write the catalog's version key and those of what has changed."""
        for key in (catalog_version_key(), *keys):
            self._transaction.check(key, Mode.CATALOG)
            self._transaction.put(key, self._version, Mode.EXCLUSIVE)


def _name_key(schema: str, name: str) -> bytes:
    return prefix(NAMES) + schema.encode() + b"\0" + name.encode()
