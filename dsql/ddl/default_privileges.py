"""ALTER DEFAULT PRIVILEGES: what objects that are yet to be created will be granted."""

from __future__ import annotations

from typing import Any

from dsql.access.acl import in_order, same
from dsql.access.default_acls import LETTERS
from dsql.access.privileges import Kind
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Acl, DefaultAcl
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.grant import GivenGrant, given_grant
from dsql.ddl.naming import require_schema
from dsql.ddl.privilege_lists import read_privileges
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import roles_of
from dsql.ddl.securables import KINDS
from dsql.errors import SqlError


def alter_default_privileges(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run an AlterDefaultPrivilegesStmt."""
    action = statement.action
    options = {
        nodes.inner(wrapped).defname: nodes.inner(wrapped).arg.list.items
        for wrapped in statement.options
    }
    kind = KINDS[nodes.enum_name(action, "objtype")]
    given = given_grant(action, context)
    listed = read_privileges(action, kind, defaults=True)
    mask = kind.every if listed.every else listed.mask
    roles = roles_of(options["roles"], context) if "roles" in options else [context.user]
    authority = context.authority
    change = _Change(context, kind, mask, given)
    for role in roles:
        if not authority.owns(role.oid):
            raise SqlError("42501", "permission denied to change default privileges")
        if "schemas" not in options:
            change.of(role.oid, 0)
            continue
        for name in nodes.strings(options["schemas"]):
            schema = require_schema(context, name)
            if kind is Kind.SCHEMA:
                message = "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS"
                raise SqlError("0LP01", message)
            change.of(role.oid, schema.oid)
    return UtilityResult("ALTER DEFAULT PRIVILEGES")


class _Change:
    """One statement as it is applied to entry after entry."""

    def __init__(self, context: UtilityContext, kind: Kind, mask: int, given: GivenGrant) -> None:
        self._catalog = context.catalog
        self._writer = CatalogWriter(context.transaction)
        self._kind, self._mask, self._given = kind, mask, given
        self._done: set[tuple[int, int]] = set()

    def of(self, role: int, schema_oid: int) -> None:
        """Change what a role's new objects get in a schema, 0: in whatever schema."""
        if (role, schema_oid) in self._done:
            return
        self._done.add((role, schema_oid))
        letter = LETTERS[self._kind]
        before = self._catalog.default_acls.get((role, schema_oid, letter))
        default: Acl = () if schema_oid else self._kind.default_acl(role)
        inherited = self._catalog.memberships.inherited
        acl = self._given.change(
            before.acl if before else default, self._mask, role, role, inherited
        )
        write_default(self._writer, self._catalog, (role, schema_oid, letter), acl, default)


def write_default(
    writer: CatalogWriter, catalog: Catalog, key: tuple[int, int, str], acl: Acl, default: Acl
) -> None:
    """Write an entry (role, schema, kind), or remove one that says nothing beyond the default."""
    before = catalog.default_acls.get(key)
    if same(acl, default):
        if before is not None:
            writer.drop_default_acl(before)
    else:
        oid = before.oid if before is not None else writer.allocate_oid()
        writer.put_default_acl(DefaultAcl(oid, *key, in_order(acl)))
