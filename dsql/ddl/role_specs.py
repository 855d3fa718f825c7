"""Reading RoleSpec nodes: a role's name, CURRENT_ROLE, CURRENT_USER, SESSION_USER or PUBLIC."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import PUBLIC, Role
from dsql.ddl import nodes
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError


def require_role(catalog: Catalog, name: str) -> Role:
    """Return the role of a name. Raises SqlError 42704."""
    role = catalog.roles.get(name)
    if role is None:
        raise SqlError("42704", f'role "{name}" does not exist')
    return role


def role_of(spec: Any, context: UtilityContext) -> Role:
    """Return the role that a RoleSpec means. Raises SqlError 42704, also for PUBLIC."""
    match nodes.enum_name(spec, "roletype"):
        case "ROLESPEC_CURRENT_ROLE" | "ROLESPEC_CURRENT_USER":
            return context.user
        case "ROLESPEC_SESSION_USER":
            return context.session_user
        case "ROLESPEC_PUBLIC":
            return require_role(context.catalog, "public")
        case _:
            return require_role(context.catalog, spec.rolename)


def roles_of(wrapped: Iterable[Any], context: UtilityContext) -> list[Role]:
    """Return the roles of a list of RoleSpec nodes in their wrappers."""
    return [role_of(nodes.inner(spec), context) for spec in wrapped]


def grantee_oid(spec: Any, context: UtilityContext) -> int:
    """Return the OID of the role that a RoleSpec means, PUBLIC included."""
    if nodes.enum_name(spec, "roletype") == "ROLESPEC_PUBLIC":
        return PUBLIC
    return role_of(spec, context).oid


def grantees(wrapped: Iterable[Any], context: UtilityContext) -> tuple[int, ...]:
    """Return the OIDs of the roles a GRANT or REVOKE is about."""
    return tuple(grantee_oid(nodes.inner(spec), context) for spec in wrapped)


def role_name(catalog: Catalog, oid: int) -> str:
    """Return a role's name, its OID where it is gone."""
    role = catalog.memberships.role(oid)
    return role.name if role else str(oid)
