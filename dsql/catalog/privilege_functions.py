"""has_table_privilege and its kin, and pg_has_role, in all their forms.

Each exists for the current user, for a user by name (`public` is everybody) and for one by OID; objects are
named by text or OID. A name that is not found is an error, an OID that is not found gives NULL.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

from msgspec.structs import replace

from dsql.access.authority import Authority
from dsql.access.privileges import (
    RELATION_KINDS,
    Kind,
    privileges_named,
)
from dsql.catalog.catalog import Catalog
from dsql.catalog.names import CatalogNames, find_index, view_of
from dsql.catalog.schema import (
    ADMIN_OID,
    PUBLIC,
    SYSTEM_COLUMN_NUMBERS,
    Database,
    Domain,
    Schema,
    SqlFunction,
    Table,
    UserType,
)
from dsql.catalog.virtual import VirtualTable, virtual_table
from dsql.errors import SqlError
from dsql.functions import registry as functions
from dsql.functions.definition import define, signatures
from dsql.functions.function import Function
from dsql.types import registry as types

Masks = tuple[int, int]  # (privileges, grant options)
Rights = Callable[[Authority], Masks]
Find = Callable[[Any, Any], Rights | None]  # (context, name or OID)


def _authority(context: Any, user: list[str | int]) -> Authority:
    catalog: Catalog = context.catalog
    if not user:
        return Authority(catalog, context.user.oid)
    if isinstance(user[0], int):
        return Authority(catalog, user[0])
    return Authority(catalog, PUBLIC if user[0] == "public" else _role_oid(catalog, user[0]))


def _role_oid(catalog: Catalog, name: str) -> int:
    role = catalog.roles.get(name)
    if role is None:
        raise SqlError("42704", f'role "{name}" does not exist')
    return role.oid


def _define_all(name: str, kind: Kind, find: Find) -> None:
    """Define a function's forms: whether one of the privileges is held on an object."""

    def check(context: Any, *arguments: Any) -> bool | None:
        *user, target, text = arguments
        authority = _authority(context, user)
        rights = find(context, target)
        wanted = privileges_named(text, kind.every)
        return None if rights is None else _any(rights(authority), wanted)

    _register(name, check)


def _register(name: str, implementation: Callable[..., Any]) -> None:
    for key in signatures(name):
        define(key, implementation, needs_context=True)


def _any(held: Masks, wanted: Masks) -> bool:
    return bool(held[0] & wanted[0] or held[1] & wanted[1])


def _open(kind: Kind) -> Rights:
    """The rights on an object of the system: everybody's, which nobody can change."""
    return lambda _authority: (kind.world, 0)


def _oid(kind: str, context: Any, target: str | int) -> int:
    """Return the OID of what a text of a reg* type names. Raises SqlError."""
    if isinstance(target, int):
        return target
    return CatalogNames(lambda: view_of(context)).oid_of(kind, target)


# ---------------------------------------------------------------- relations and columns


def _relation(context: Any, target: str | int) -> Table | VirtualTable | None:
    """Return a relation; an index as a table of its name, owner and default ACL."""
    catalog: Catalog = context.catalog
    oid = _oid("regclass", context, target)
    found = find_index(catalog, oid)
    if found is not None:
        return replace(found[0], kind="i", name=found[1].name, acl=None)
    return catalog.tables_by_oid.get(oid) or virtual_table(oid)


def _of_relation(relation: Table | VirtualTable) -> Rights:
    if isinstance(relation, Table):
        kind = RELATION_KINDS[relation.kind]
        return lambda authority: authority.masks(kind, relation.owner_oid, relation.acl)
    return lambda authority: (authority.masks(Kind.TABLE, ADMIN_OID, relation.acl)[0], 0)


def _of_column(relation: Table | VirtualTable, number: int) -> Rights:
    """The rights on a column: its own and those on its relation."""
    on_relation = _of_relation(relation)
    acl = relation.column_acl(number) if isinstance(relation, Table) else None

    def rights(authority: Authority) -> Masks:
        held = on_relation(authority)
        if not acl or not isinstance(relation, Table):
            return held
        own = authority.masks(Kind.COLUMN, relation.owner_oid, acl)
        return held[0] | own[0], held[1] | own[1]

    return rights


def _table(context: Any, target: str | int) -> Rights | None:
    relation = _relation(context, target)
    return None if relation is None else _of_relation(relation)


def _sequence(context: Any, target: str | int) -> Rights | None:
    relation = _relation(context, target)
    if relation is None:
        return None
    rights = _of_relation(relation)

    def of_sequence(authority: Authority) -> Masks:
        if relation.kind != "S":
            shown = target if isinstance(target, str) else relation.name
            raise SqlError("42809", f'"{shown}" is not a sequence')
        return rights(authority)

    return of_sequence


def _any_column(context: Any, target: str | int) -> Rights | None:
    """The rights that are held on at least one column."""
    relation = _relation(context, target)
    if relation is None:
        return None
    numbers = (
        [column.number for column in relation.live_columns] if isinstance(relation, Table) else []
    )
    columns = [_of_relation(relation), *(_of_column(relation, number) for number in numbers)]

    def rights(authority: Authority) -> Masks:
        held = [column(authority) for column in columns]
        return reduce(or_, (one[0] for one in held)), reduce(or_, (one[1] for one in held))

    return rights


def _column_privilege(context: Any, *arguments: Any) -> bool | None:
    *user, target, column, text = arguments
    authority = _authority(context, user)
    relation = _relation(context, target)
    number = None if relation is None else _column_number(relation, column)
    wanted = privileges_named(text, Kind.COLUMN.every)
    if relation is None or number is None:
        return None
    return _any(_of_column(relation, number)(authority), wanted)


def _column_number(relation: Table | VirtualTable, column: str | int) -> int | None:
    """Return a column's number, None for one that is not there. Raises SqlError 42703 for a name."""
    if isinstance(relation, Table):
        columns = (*relation.system_columns, *relation.live_columns)
        names = {each.number: each.name for each in columns}
    else:
        names = dict(enumerate((name for name, _ in relation.columns), 1))
        if relation.kind == "r":
            names |= {number: name for name, number in SYSTEM_COLUMN_NUMBERS.items()}
    if isinstance(column, int):
        return column if column in names else None
    found = next((number for number, name in names.items() if name == column), None)
    if found is None:
        raise SqlError("42703", f'column "{column}" of relation "{relation.name}" does not exist')
    return found


# ---------------------------------------------------------------- other objects


def _owned(
    kind: Kind, found: Schema | Database | SqlFunction | Function | Domain | UserType | None
) -> Rights | None:
    if found is None:
        return None
    return lambda authority: authority.masks(kind, found.owner_oid, found.acl)


def _schema(context: Any, target: str | int) -> Rights | None:
    schemas: dict[str, Schema] = context.catalog.schemas
    if isinstance(target, str) and target not in schemas:
        raise SqlError("3F000", f'schema "{target}" does not exist')
    found = (schema for schema in schemas.values() if target in (schema.oid, schema.name))
    return _owned(Kind.SCHEMA, next(found, None))


def _database(context: Any, target: str | int) -> Rights | None:
    database: Database = context.catalog.database
    if target in (database.oid, database.name):
        return _owned(Kind.DATABASE, database)
    if isinstance(target, str):
        raise SqlError("3D000", f'database "{target}" does not exist')
    return None


def _function(context: Any, target: str | int) -> Rights | None:
    oid = _oid("regprocedure", context, target)
    own = context.catalog.functions.get(oid)
    if own is not None:
        return _owned(Kind.FUNCTION, own)
    known = functions.by_oid(oid)
    if isinstance(known, Function):
        return _owned(Kind.FUNCTION, known)
    return None if known is None else _open(Kind.FUNCTION)


def _type(context: Any, target: str | int) -> Rights | None:
    oid = _oid("regtype", context, target)
    domain = context.catalog.domains_by_oid.get(oid)
    if domain is not None:
        return _owned(Kind.TYPE, domain)
    enum = context.catalog.user_type_of(oid)
    if enum is not None:
        return _owned(Kind.TYPE, enum)
    for table in context.catalog.tables.values():
        if table.row_type_oid == oid:
            acl = Kind.TYPE.default_acl(table.owner_oid)
            return lambda authority: authority.masks(Kind.TYPE, table.owner_oid, acl)
    return _open(Kind.TYPE) if any(known.oid == oid for known in types.all_types()) else None


def _built_in(kind: Kind, objects: dict[str, int]) -> Find:
    """Look up among the few objects of a kind that are the system's, by name and OID."""

    def find(_context: Any, target: str | int) -> Rights | None:
        if target in objects or target in objects.values():
            return _open(kind)
        if isinstance(target, str):
            word = kind.word.removeprefix("foreign ")
            raise SqlError("42704", f'{word} "{target}" does not exist')
        return None

    return find


def _parameter(_context: Any, _target: str) -> Rights:
    """Nobody may SET what only superusers may, nor ALTER SYSTEM."""
    return lambda _authority: (0, 0)


# ---------------------------------------------------------------- roles


def _has_role(context: Any, *arguments: Any) -> bool:
    *user, target, text = arguments
    catalog: Catalog = context.catalog
    member = context.user.oid
    if user:
        member = user[0] if isinstance(user[0], int) else _role_oid(catalog, user[0])
    role = target if isinstance(target, int) else _role_oid(catalog, target)
    authority = Authority(catalog, member)
    checks = [_role_check(word.strip()) for word in text.split(",")]
    return any(check(authority, role) for check in checks)


def _role_check(word: str) -> Callable[[Authority, int], bool]:
    """Return the test of USAGE, MEMBER, SET, or any of them WITH ADMIN OPTION. Raises SqlError 22023."""
    name, with_option, option = word.lower().partition(" with ")
    found = _ROLE_CHECKS.get(name)
    if found is None or (with_option and option not in ("admin option", "grant option")):
        raise SqlError("22023", f'unrecognized privilege type: "{word}"')
    return Authority.administers if with_option else found


_ROLE_CHECKS: dict[str, Callable[[Authority, int], bool]] = {
    "usage": Authority.owns,
    "member": Authority.is_member,
    "set": Authority.may_set,
}


for _name, _kind, _find in (
    ("has_table_privilege", Kind.TABLE, _table),
    ("has_any_column_privilege", Kind.COLUMN, _any_column),
    ("has_sequence_privilege", Kind.SEQUENCE, _sequence),
    ("has_schema_privilege", Kind.SCHEMA, _schema),
    ("has_database_privilege", Kind.DATABASE, _database),
    ("has_function_privilege", Kind.FUNCTION, _function),
    ("has_type_privilege", Kind.TYPE, _type),
    (
        "has_language_privilege",
        Kind.LANGUAGE,
        _built_in(Kind.LANGUAGE, {"internal": 12, "sql": 14}),
    ),
    ("has_tablespace_privilege", Kind.TABLESPACE, _built_in(Kind.TABLESPACE, {"pg_default": 1663})),
    ("has_server_privilege", Kind.FOREIGN_SERVER, _built_in(Kind.FOREIGN_SERVER, {})),
    (
        "has_foreign_data_wrapper_privilege",
        Kind.FOREIGN_DATA_WRAPPER,
        _built_in(Kind.FOREIGN_DATA_WRAPPER, {}),
    ),
    ("has_parameter_privilege", Kind.PARAMETER, _parameter),
):
    _define_all(_name, _kind, _find)
_register("has_column_privilege", _column_privilege)
_register("pg_has_role", _has_role)
