"""Whether a role may use the tables of a statement."""

from __future__ import annotations

from collections.abc import Iterable

from dsql.access.authority import Authority
from dsql.access.privileges import RELATION_KINDS, Privilege, permission_denied
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Role


def check_privileges(required: Iterable[tuple[int, str]], catalog: Catalog, user: Role) -> None:
    """Raise SqlError 42501 for the first (table OID, action) that `user` lacks."""
    authority = Authority(catalog, user.oid)
    for oid, action in required:
        table = catalog.tables_by_oid.get(oid)
        if table is None:
            continue
        kind, privilege = RELATION_KINDS[table.kind], Privilege[action.upper()]
        if not authority.holds(kind, table.owner_oid, table.acl, privilege):
            raise permission_denied(kind, table.name)
