"""Who a session acts for: roles by OID, and what their names are under the catalog of the moment.

A session keeps the OIDs of the role that logged in and of the role that SET ROLE chose. A renamed role
stays itself, a role that takes a dropped one's name is another one, and a session whose role was dropped
ends with the first statement that sees a catalog without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsql.access.authority import Authority
from dsql.access.requirements import usage_of
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Role, Schema
from dsql.errors import FatalError, SqlError

if TYPE_CHECKING:
    from dsql.session.settings import Settings


@dataclass(frozen=True, slots=True)
class Standpoint:
    """What names and rights mean to a session's statements under one catalog and one state of its settings.

    `role` is the one whose rights count. `search_path` has the schemas that exist and that it may use;
    the session's temporary one, if there is one, is the first unless the setting says otherwise.
    """

    catalog: Catalog
    role: Role
    session_role: Role
    authority: Authority
    search_path: tuple[str, ...]


def find_standpoint(catalog: Catalog, settings: Settings) -> Standpoint:
    """Return a session's standpoint. Raises FatalError 57P01 if one of its roles was dropped."""
    role = _living_role(catalog, settings.current_role)
    session_role = _living_role(catalog, settings.session_role)
    authority = Authority(catalog, role.oid)
    names = (role.name if name == "$user" else name for name in settings.search_path)
    schemas = map(catalog.schemas.get, names)
    path = tuple(schema.name for schema in schemas if schema and _may_use(schema, authority))
    own = catalog.temporary
    if own is not None and own.name not in path:
        path = (own.name, *path)
    return Standpoint(catalog, role, session_role, authority, path)


def _may_use(schema: Schema, authority: Authority) -> bool:
    return usage_of(schema).is_met(authority)


def _living_role(catalog: Catalog, oid: int) -> Role:
    role = catalog.memberships.role(oid)
    if role is None:
        raise FatalError("57P01", "terminating connection because its role was dropped")
    return role


def settable_role(find_catalog: Callable[[], Catalog], session_role: int, name: str) -> int:
    """Return the OID that SET ROLE name makes the current one, 0 for "none".

    Raises SqlError 22023 for no role, 42501 for one that the session's role may not set.
    """
    if name == "none":
        return 0
    catalog = find_catalog()
    role = _named_role(catalog, name)
    if not Authority(catalog, session_role).may_set(role.oid):
        raise SqlError("42501", f'permission denied to set role "{name}"')
    return role.oid


def check_session_authorization(catalog: Catalog, session_role: int, name: str) -> None:
    """Raise SqlError 22023 for no role, 42501 for another one than the session's."""
    if _named_role(catalog, name).oid != session_role:
        raise SqlError("42501", f'permission denied to set session authorization "{name}"')


def _named_role(catalog: Catalog, name: str) -> Role:
    role = catalog.roles.get(name)
    if role is None:
        raise SqlError("22023", f'role "{name}" does not exist')
    return role
