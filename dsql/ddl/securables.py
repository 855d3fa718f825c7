"""The objects that GRANT, REVOKE and OWNER TO are about, looked up by their names.

A securable is any catalog value with `owner_oid` and `acl`. What the system has is one too, though nobody
who logs in can grant anything on it. Kinds of objects that do not exist yet are looked up all the same:
their names are not found, and the error is the one they will have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from dsql.access.acl import change_owner
from dsql.access.privileges import RELATION_KINDS, Kind, Privilege, permission_denied
from dsql.catalog.schema import (
    PUBLIC,
    SYSTEM_COLUMN_NUMBERS,
    Acl,
    AclItem,
    Database,
    Domain,
    Schema,
    SqlFunction,
    Table,
    UserType,
)
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import nodes
from dsql.ddl.function_names import find_function
from dsql.ddl.naming import find_any, missing_relation, require_schema, usable_schema
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError
from dsql.types import registry

_SYSTEM = 1  # the owner of what the system has: no role has this OID


@dataclass(frozen=True, slots=True)
class SystemObject:
    """A relation, function, type or schema of the system's; `columns` are a relation's."""

    oid: int
    kind: Kind
    name: str
    acl: Acl
    columns: tuple[str, ...] = ()
    owner_oid: int = _SYSTEM


Securable = Table | Schema | Database | SqlFunction | Domain | UserType
Owned = TypeVar("Owned", bound=Securable)

_SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "sys")
KINDS = {
    "OBJECT_TABLE": Kind.TABLE,
    "OBJECT_SEQUENCE": Kind.SEQUENCE,
    "OBJECT_DATABASE": Kind.DATABASE,
    "OBJECT_DOMAIN": Kind.DOMAIN,
    "OBJECT_FUNCTION": Kind.FUNCTION,
    "OBJECT_PROCEDURE": Kind.PROCEDURE,
    "OBJECT_ROUTINE": Kind.ROUTINE,
    "OBJECT_LANGUAGE": Kind.LANGUAGE,
    "OBJECT_LARGEOBJECT": Kind.LARGE_OBJECT,
    "OBJECT_SCHEMA": Kind.SCHEMA,
    "OBJECT_TABLESPACE": Kind.TABLESPACE,
    "OBJECT_FDW": Kind.FOREIGN_DATA_WRAPPER,
    "OBJECT_FOREIGN_SERVER": Kind.FOREIGN_SERVER,
    "OBJECT_PARAMETER_ACL": Kind.PARAMETER,
    "OBJECT_TYPE": Kind.TYPE,
}


def find_securables(
    kind: Kind, objects: Iterable[Any], context: UtilityContext
) -> list[Securable | SystemObject]:
    """Look the objects of a GRANT up.

    Raises SqlError 42P01, 3F000, 3D000, 42704 or 42883 for what does not exist, 42501 for a schema that is
    closed to the user.
    """
    return [_find(kind, wrapped, context) for wrapped in objects]


def _find(kind: Kind, wrapped: Any, context: UtilityContext) -> Securable | SystemObject:
    if kind in (Kind.TABLE, Kind.SEQUENCE):
        return _relation(kind, nodes.inner(wrapped), context)
    if kind in (Kind.FUNCTION, Kind.PROCEDURE, Kind.ROUTINE):
        return _function(kind, nodes.inner(wrapped), context)
    if kind in (Kind.TYPE, Kind.DOMAIN):
        return _type(kind, nodes.strings(nodes.inner(wrapped).items), context)
    if kind is Kind.LARGE_OBJECT:
        raise SqlError("42704", f"large object {_number(nodes.inner(wrapped))} does not exist")
    name = nodes.inner(wrapped).sval
    if kind is Kind.SCHEMA:
        return _schema(name, context)
    if kind is Kind.DATABASE:
        return _database(name, context)
    if kind is Kind.PARAMETER or (kind, name) in BUILT_IN:
        raise permission_denied(kind, name)
    word = kind.word.removeprefix("foreign ")
    raise SqlError("42704", f'{word} "{name}" does not exist')


BUILT_IN = frozenset(
    {(Kind.LANGUAGE, "sql"), (Kind.LANGUAGE, "internal"), (Kind.TABLESPACE, "pg_default")}
)


def _relation(kind: Kind, relation: Any, context: UtilityContext) -> Table | SystemObject:
    table = find_any(context, relation)
    if table is None:
        raise missing_relation(relation)
    if isinstance(table, tuple):
        raise SqlError("42809", f'"{relation.relname}" is an index')
    if isinstance(table, VirtualTable):
        system = SYSTEM_COLUMN_NUMBERS if table.kind == "r" else ()
        columns = (*system, *(name for name, _ in table.columns))
        return SystemObject(table.oid, Kind.TABLE, table.name, table.acl, columns)
    if kind is Kind.SEQUENCE and table.kind != "S":
        raise SqlError("42809", f'"{table.name}" is not a sequence')
    return table


def _schema(name: str, context: UtilityContext) -> Schema | SystemObject:
    schema = require_schema(context, name)
    if name in _SYSTEM_SCHEMAS:
        used = (AclItem(PUBLIC, _SYSTEM, Privilege.USAGE.value),)
        return SystemObject(schema.oid, Kind.SCHEMA, name, used)
    return schema


def _number(node: Any) -> str:
    return str(getattr(node, "fval", "") or node.ival)


def _database(name: str, context: UtilityContext) -> Database:
    database = context.catalog.database
    if name != database.name:
        raise SqlError("3D000", f'database "{name}" does not exist')
    return database


def _function(kind: Kind, node: Any, context: UtilityContext) -> SqlFunction | SystemObject:
    """Look a function up. Raises SqlError 42883, 42725, 42704, 3F000."""
    found = find_function(kind, node, context)
    return found if isinstance(found, SqlFunction) else _of_system(kind, found.name)


def _type(
    kind: Kind, names: list[str], context: UtilityContext
) -> Domain | UserType | SystemObject:
    """Look a type up: those there are belong to the system. Raises SqlError 42704, 42809, 0LP01, 3F000."""
    schema = names[-2] if len(names) > 1 else None
    domain = context.catalog.find_domain(schema, names[-1], context.search_path)
    if domain is not None:
        return domain
    enum = context.catalog.find_user_type(schema, names[-1], context.search_path)
    if enum is not None and kind is Kind.DOMAIN:
        raise SqlError("42809", f'"{enum.name}" is not a domain')
    if enum is not None:
        return enum
    found = _find_type(names, context)
    if kind is Kind.DOMAIN:
        raise SqlError("42809", f'"{found}" is not a domain')
    if found.startswith("_"):
        hint = "Set the privileges of the element type instead."
        raise SqlError("0LP01", "cannot set privileges of array types", hint=hint)
    return _of_system(kind, found)


def _of_system(kind: Kind, name: str) -> SystemObject:
    """Return a function or type. No OID is asked for: statements name few, and rarely one twice."""
    return SystemObject(0, kind, name, kind.default_acl(_SYSTEM))


def _find_type(names: list[str], context: UtilityContext) -> str:
    """Return the name of a built-in type. Raises SqlError 42704, 3F000."""
    if len(names) > 1:
        usable_schema(context, names[-2])
    if names[:-1] not in ([], ["pg_catalog"]) or registry.find(names[-1]) is None:
        raise SqlError("42704", f'type "{".".join(names)}" does not exist')
    return names[-1]


def securables_in_schemas(
    kind: Kind, schemas: Iterable[Any], context: UtilityContext
) -> list[Securable | SystemObject]:
    """Return every object of a kind in some schemas (ALL ... IN SCHEMA); views count as tables."""
    in_functions = kind in (Kind.FUNCTION, Kind.ROUTINE)
    found: list[Securable | SystemObject] = []
    for wrapped in schemas:
        schema = usable_schema(context, nodes.inner(wrapped).sval)
        if schema.name in _SYSTEM_SCHEMAS:
            raise permission_denied(Kind.SCHEMA, schema.name)
        if in_functions:
            found += context.catalog.functions_in(schema.name)
        found += [
            table
            for table in context.catalog.tables.values()
            if table.schema == schema.name and _counts_as(table, kind)
        ]
    return found


def _counts_as(table: Table, kind: Kind) -> bool:
    return (
        table.kind == "S" if kind is Kind.SEQUENCE else kind is Kind.TABLE and table.kind in "rvm"
    )


def with_owner(securable: Owned, owner: int) -> Owned:
    """Return an object with another owner, who also takes the old one's place in its ACLs."""
    before = securable.owner_oid
    moved = replace(securable, owner_oid=owner, acl=_moved(securable.acl, before, owner))
    if isinstance(moved, Table):
        return moved.with_columns(
            replace(column, acl=_moved(column.acl, before, owner))
            for column in (*moved.system_columns, *moved.columns)
            if column.acl
        )
    return moved


def _moved(acl: Acl | None, old: int, new: int) -> Acl | None:
    return None if acl is None else change_owner(acl, old, new)


def kind_of(found: Securable | SystemObject) -> Kind:
    """Return the kind of an object."""
    if isinstance(found, SystemObject):
        return found.kind
    if isinstance(found, Table):
        return RELATION_KINDS[found.kind]
    if isinstance(found, SqlFunction):
        return Kind.FUNCTION
    if isinstance(found, Domain | UserType):
        return Kind.TYPE
    return Kind.SCHEMA if isinstance(found, Schema) else Kind.DATABASE
