"""has_table_privilege and its kin: a table is its owner's and admin's, everything else everyone's.

Each exists with the current user, a user's name or a user's OID in front, as in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.catalog.context_functions import define
from dsql.catalog.names import relation_oid
from dsql.catalog.schema import Role, Table
from dsql.errors import SqlError
from dsql.types import oids

_USERS = ((), (oids.NAME,), (oids.OID,))
_OBJECTS = ((oids.OID,), (oids.TEXT,))


def _role(context: Any, user: str | int) -> Role:
    for role in context.catalog.roles.values():
        if user in (role.name, role.oid):
            return role  # type: ignore[no-any-return]
    shown = f'"{user}"' if isinstance(user, str) else f"with OID {user}"
    raise SqlError("42704", f"role {shown} does not exist")


def _owns(role: Role, table: Table | None) -> bool:
    return table is None or _is_admin(role) or table.owner_oid == role.oid


def _is_admin(role: Role) -> bool:
    return role.name == "admin"


def _table_privilege(context: Any, *arguments: Any) -> bool | None:
    *user, table, _privilege = arguments
    role = _role(context, user[0]) if user else context.user
    oid = table
    if isinstance(table, str):
        oid = relation_oid(context.catalog, context.search_path, table)
        if oid is None:
            raise SqlError("42P01", f'relation "{table}" does not exist')
    return _owns(role, context.catalog.tables_by_oid.get(oid))


def _column_privilege(context: Any, *arguments: Any) -> bool | None:
    *table, _column, privilege = arguments
    return _table_privilege(context, *table, privilege)


def _everyone_may(context: Any, *arguments: Any) -> bool:
    del context, arguments
    return True


def _has_role(context: Any, *arguments: Any) -> bool:
    *user, role, _privilege = arguments
    member = _role(context, user[0]) if user else context.user
    oid = _role(context, role).oid
    return (
        _is_admin(member)
        or oid == member.oid
        or oid in context.catalog.memberships.containing(member.oid)
    )


def _define_for_every_user(
    name: str,
    targets: tuple[tuple[int, ...], ...],
    implementation: Callable[..., bool | None],
) -> None:
    for user in _USERS:
        for target in targets:
            define(name, (*user, *target, oids.TEXT), oids.BOOL)(implementation)


for _kind in ("table", "any_column"):
    _define_for_every_user(f"has_{_kind}_privilege", _OBJECTS, _table_privilege)
for _kind in ("database", "function", "language", "schema", "sequence", "tablespace", "type"):
    _define_for_every_user(f"has_{_kind}_privilege", _OBJECTS, _everyone_may)
_define_for_every_user(
    "has_column_privilege",
    tuple((*table, column) for table in _OBJECTS for column in (oids.INT2, oids.TEXT)),
    _column_privilege,
)
_define_for_every_user("pg_has_role", ((oids.NAME,), (oids.OID,)), _has_role)
