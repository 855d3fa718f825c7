"""The objects that GRANT, REVOKE and OWNER TO are about, looked up by their names.

A securable is any catalog value with `owner_oid` and `acl`. Kinds of objects that do not exist yet are
looked up all the same: their names are not found, and the error is the one they will have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from dsql.access.acl import change_owner
from dsql.access.privileges import RELATION_KINDS, Kind, permission_denied
from dsql.catalog.schema import Acl, Database, Schema, Table
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import nodes
from dsql.ddl.naming import find_any, missing_relation, require_schema, usable_schema
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError
from dsql.functions.registry import candidates
from dsql.types import registry

Securable = Table | Schema | Database
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


def find_securables(kind: Kind, objects: Iterable[Any], context: UtilityContext) -> list[Securable]:
    """Look the objects of a GRANT up.

    Raises SqlError 42P01, 3F000, 3D000, 42704 or 42883 for what does not exist, 42501 for the system's.
    """
    return [_find(kind, wrapped, context) for wrapped in objects]


def _find(kind: Kind, wrapped: Any, context: UtilityContext) -> Securable:
    if kind in (Kind.TABLE, Kind.SEQUENCE):
        return _relation(kind, nodes.inner(wrapped), context)
    if kind in (Kind.FUNCTION, Kind.PROCEDURE, Kind.ROUTINE):
        raise _no_function(kind, nodes.inner(wrapped), context)
    if kind in (Kind.TYPE, Kind.DOMAIN):
        raise _no_type(kind, nodes.strings(nodes.inner(wrapped).items), context)
    if kind is Kind.LARGE_OBJECT:
        raise SqlError("42704", f"large object {_number(nodes.inner(wrapped))} does not exist")
    name = nodes.inner(wrapped).sval
    if kind is Kind.SCHEMA:
        return open_schema(name, context)
    if kind is Kind.DATABASE:
        return _database(name, context)
    if kind is Kind.PARAMETER or (kind, name) in _BUILT_IN:
        raise permission_denied(kind, name)
    word = kind.word.removeprefix("foreign ")
    raise SqlError("42704", f'{word} "{name}" does not exist')


_BUILT_IN = frozenset(
    {(Kind.LANGUAGE, "sql"), (Kind.LANGUAGE, "internal"), (Kind.TABLESPACE, "pg_default")}
)


def _relation(kind: Kind, relation: Any, context: UtilityContext) -> Table:
    table = find_any(context, relation)
    if table is None:
        raise missing_relation(relation)
    if isinstance(table, tuple):
        raise SqlError("42809", f'"{relation.relname}" is an index')
    if isinstance(table, VirtualTable):
        raise permission_denied(Kind.TABLE, table.name)
    if kind is Kind.SEQUENCE and table.kind != "S":
        raise SqlError("42809", f'"{table.name}" is not a sequence')
    return table


def open_schema(name: str, context: UtilityContext) -> Schema:
    """Return a schema that is not the system's. Raises SqlError 3F000, 42501."""
    schema = require_schema(context, name)
    if name in _SYSTEM_SCHEMAS:
        raise permission_denied(Kind.SCHEMA, name)
    return schema


def _number(node: Any) -> str:
    return str(getattr(node, "fval", "") or node.ival)


def _database(name: str, context: UtilityContext) -> Database:
    database = context.catalog.database
    if name != database.name:
        raise SqlError("3D000", f'database "{name}" does not exist')
    return database


def _no_function(kind: Kind, node: Any, context: UtilityContext) -> SqlError:
    """Return the error of a function: those there are belong to the system."""
    names = nodes.strings(node.objname)
    if len(names) > 1:
        usable_schema(context, names[-2])
    word = "procedure" if kind is Kind.PROCEDURE else "function"
    shown = ".".join(names)
    found = [] if names[:-1] not in ([], ["pg_catalog"]) else candidates(names[-1])
    if node.args_unspecified:
        if len(found) > 1:
            hint = f"Specify the argument list to select the {word} unambiguously."
            return SqlError("42725", f'{word} name "{shown}" is not unique', hint=hint)
        if not found:
            return SqlError("42883", f'could not find a {word} named "{shown}"')
        return permission_denied(kind, names[-1])
    types = tuple(_type_oid(argument.type_name, context) for argument in node.objargs)
    if any(callee.argument_types == types for callee in found):
        return permission_denied(kind, names[-1])
    arguments = ", ".join(registry.get(oid).sql_name for oid in types)
    return SqlError("42883", f"{word} {shown}({arguments}) does not exist")


def _no_type(kind: Kind, names: list[str], context: UtilityContext) -> SqlError:
    found = _find_type(names, context)
    if kind is Kind.DOMAIN:
        return SqlError("42809", f'"{found}" is not a domain')
    if found.startswith("_"):
        hint = "Set the privileges of the element type instead."
        return SqlError("0LP01", "cannot set privileges of array types", hint=hint)
    return permission_denied(kind, found)


def _type_oid(type_name: Any, context: UtilityContext) -> int:
    name = _find_type(nodes.strings(type_name.names), context)
    found = registry.find("_" + name if type_name.array_bounds else name)
    assert found is not None, name
    return found.oid


def _find_type(names: list[str], context: UtilityContext) -> str:
    """Return the name of a built-in type. Raises SqlError 42704, 3F000."""
    if len(names) > 1:
        usable_schema(context, names[-2])
    if names[:-1] not in ([], ["pg_catalog"]) or registry.find(names[-1]) is None:
        raise SqlError("42704", f'type "{".".join(names)}" does not exist')
    return names[-1]


def securables_in_schemas(
    kind: Kind, schemas: Iterable[Any], context: UtilityContext
) -> list[Securable]:
    """Return every object of a kind in some schemas (ALL ... IN SCHEMA); views count as tables."""
    found: list[Securable] = []
    for wrapped in schemas:
        schema = usable_schema(context, nodes.inner(wrapped).sval)
        if schema.name in _SYSTEM_SCHEMAS:
            raise permission_denied(Kind.SCHEMA, schema.name)
        found += [
            table
            for table in context.catalog.tables.values()
            if table.schema == schema.name and _counts_as(table, kind)
        ]
    return found


def _counts_as(table: Table, kind: Kind) -> bool:
    return table.kind == "S" if kind is Kind.SEQUENCE else kind is Kind.TABLE and table.kind in "rv"


def with_owner(securable: Owned, owner: int) -> Owned:
    """Return an object with another owner, who also takes the old one's place in its ACLs."""
    before = securable.owner_oid
    moved = replace(securable, owner_oid=owner, acl=_moved(securable.acl, before, owner))
    if isinstance(moved, Table):
        columns = tuple(
            replace(column, acl=_moved(column.acl, before, owner)) if column.acl else column
            for column in moved.columns
        )
        return replace(moved, columns=columns)
    return moved


def _moved(acl: Acl | None, old: int, new: int) -> Acl | None:
    return None if acl is None else change_owner(acl, old, new)


def kind_of(found: Securable) -> Kind:
    """Return the kind of a catalog value."""
    if isinstance(found, Table):
        return RELATION_KINDS[found.kind]
    return Kind.SCHEMA if isinstance(found, Schema) else Kind.DATABASE
