"""Whether a role may use the tables of a statement."""

from __future__ import annotations

from collections.abc import Iterable

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Role, Table
from dsql.errors import SqlError

_LETTERS = {"select": "r", "insert": "a", "update": "w", "delete": "d", "truncate": "D"}
_PUBLIC = ""


def check_privileges(required: Iterable[tuple[int, str]], catalog: Catalog, user: Role) -> None:
    """Raise SqlError 42501 for the first (table OID, action) that `user` lacks."""
    for oid, action in required:
        table = catalog.tables_by_oid.get(oid)
        if table is not None and not has_privilege(table, action, catalog, user):
            kind = {"v": "view", "S": "sequence"}.get(table.kind, "table")
            raise SqlError("42501", f"permission denied for {kind} {table.name}")


def has_privilege(table: Table, action: str, catalog: Catalog, user: Role) -> bool:
    """Return whether the role, by itself or through a role it is in, may do this to the table."""
    roles = _inherited(catalog, user)
    if table.owner_oid in {role.oid for role in roles}:
        return True
    names = {role.name for role in roles} | {_PUBLIC}
    return any(_grants(item, names, _LETTERS[action]) for item in table.acl)


def _grants(item: str, names: set[str], letter: str) -> bool:
    """Read an aclitem such as `reader=r/admin`; no name before the = is PUBLIC."""
    grantee, _, rest = item.rpartition("=")
    return grantee.strip('"') in names and letter in rest.partition("/")[0]


def _inherited(catalog: Catalog, user: Role) -> list[Role]:
    by_oid = {role.oid: role for role in catalog.roles.values()}
    found, queue = {user.oid: user}, [user]
    while queue:
        role = queue.pop()
        for oid in role.member_of if role.inherit else ():
            if oid in by_oid and oid not in found:
                found[oid] = by_oid[oid]
                queue.append(by_oid[oid])
    return list(found.values())
