"""GRANT role TO role and REVOKE role FROM role, with PostgreSQL 16's ADMIN, INHERIT and SET options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from dsql.access import role_grants
from dsql.access.role_grants import Grants, Options
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Membership, Role
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import require_role, role_name, role_of, roles_of
from dsql.errors import SqlError


def grant_role(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a GrantRoleStmt."""
    result = UtilityResult("GRANT ROLE" if statement.is_grant else "REVOKE ROLE")
    options = _options(statement.opt)
    grantor = role_of(statement.grantor, context) if statement.HasField("grantor") else None
    members = roles_of(statement.grantee_roles, context)
    changes = MembershipChanges(context, result)
    cascade = nodes.enum_name(statement, "behavior") == "DROP_CASCADE"
    with result.told():
        for wrapped in statement.granted_roles:
            named = nodes.inner(wrapped)
            if named.cols or not named.priv_name:
                raise SqlError("0LP01", "column names cannot be included in GRANT/REVOKE ROLE")
            role = require_role(context.catalog, named.priv_name)
            changes.check_administration(role, grants=statement.is_grant)
            by = changes.grantor_for(role, grantor, grants=statement.is_grant)
            if statement.is_grant:
                changes.add(role, members, by, options)
            else:
                changes.remove(role, members, by, options, cascade=cascade)
    changes.write()
    return result


def _options(wrapped: Iterable[Any]) -> Options:
    said: dict[str, bool] = {}
    for node in wrapped:
        element = nodes.inner(node)
        if element.defname not in ("admin", "inherit", "set"):
            raise SqlError("42601", f'unrecognized role option "{element.defname}"')
        said[element.defname] = bool(nodes.option_value(element))
    return Options(**said)


class MembershipChanges:
    """The memberships that one statement changes, member by member, and who may do so.

    A member's row holds its memberships; `write` writes the rows that have changed.
    """

    def __init__(self, context: UtilityContext, result: UtilityResult) -> None:
        self._catalog: Catalog = context.catalog
        self._writer = CatalogWriter(context.transaction)
        self._user = context.user
        self._authority = context.authority
        self._result = result
        self._roles: dict[int, Role] = {role.oid: role for role in context.catalog.roles.values()}
        self._changed: set[int] = set()

    def put(self, role: Role) -> None:
        """Take a new or changed role into account."""
        self._roles[role.oid] = role
        self._changed.add(role.oid)

    def write(self) -> None:
        """Write what has changed."""
        for oid in sorted(self._changed):
            self._writer.put_role(self._roles[oid])

    def check_administration(self, role: Role, *, grants: bool) -> None:
        """Raise SqlError 42501 without ADMIN OPTION on a role."""
        if not self._authority.administers(role.oid):
            verb = "grant" if grants else "revoke"
            raise SqlError(
                "42501",
                f'permission denied to {verb} role "{role.name}"',
                detail=f'Only roles with the ADMIN option on role "{role.name}" may {verb} this role.',
            )

    def grantor_for(self, role: Role, said: Role | None, *, grants: bool) -> int:
        """Return the OID of the role that grants or has granted, for what GRANTED BY says.

        Raises SqlError 42501.
        """
        memberships = self._catalog.memberships
        if said is None:
            best = memberships.best_administrator(self._user.oid, role.oid)
            if best is None:  # it has the option only through a role whose privileges it lacks
                raise SqlError("XX000", "no possible grantors")
            return best
        if not self._authority.owns(said.oid):
            verb, how = ("grant", "as") if grants else ("revoke", "granted by")
            end = "grant privileges as this" if grants else "revoke privileges granted by this"
            raise SqlError(
                "42501",
                f'permission denied to {verb} privileges {how} role "{said.name}"',
                detail=f'Only roles with privileges of role "{said.name}" may {end} role.',
            )
        if grants and memberships.best_administrator(said.oid, role.oid) != said.oid:
            raise SqlError(
                "42501",
                f'permission denied to grant privileges as role "{said.name}"',
                detail=f'The grantor must have the ADMIN option on role "{role.name}".',
            )
        return said.oid

    def add(self, role: Role, members: Iterable[Role], grantor: int, options: Options) -> None:
        """Make roles members of one. Raises SqlError 0LP01 for a circle."""
        for member in members:
            if self._contains(role.oid, member.oid):
                raise SqlError("0LP01", f'role "{role.name}" is a member of role "{member.name}"')
            before = self._grants(role.oid)
            after = role_grants.grant(
                before, role.oid, member.oid, grantor, options, inherits=member.inherit
            )
            if after is before:
                name = role_name(self._catalog, grantor)
                text = f'role "{member.name}" has already been granted membership in role "{role.name}"'
                self._result.notice("00000", f'{text} by role "{name}"')
            self._store(role.oid, before, after)

    def remove(
        self,
        role: Role,
        members: Iterable[Role],
        grantor: int,
        options: Options,
        *,
        cascade: bool,
    ) -> None:
        """Take roles out of one, or options away from them. Raises SqlError 2BP01."""
        for member in members:
            before = self._grants(role.oid)
            after = role_grants.revoke(before, member.oid, grantor, options, cascade=cascade)
            if after is None:
                name = role_name(self._catalog, grantor)
                text = f'role "{member.name}" has not been granted membership in role "{role.name}"'
                self._result.notice("01000", f'{text} by role "{name}"', severity="WARNING")
            else:
                self._store(role.oid, before, after)

    def forget_granted_by(self, grantor: int) -> None:
        """Take the memberships away that a role granted, none that depend on them: for DROP OWNED."""
        for member in list(self._roles.values()):
            rest = tuple(step for step in member.memberships if step.grantor != grantor)
            if rest != member.memberships:
                self.put(replace(member, memberships=rest))

    def forget(self, role: int) -> None:
        """Take a role that is dropped out of all others."""
        for member in list(self._roles.values()):
            rest = tuple(step for step in member.memberships if step.role != role)
            if rest != member.memberships and member.oid != role:
                self.put(replace(member, memberships=rest))
        del self._roles[role]
        self._changed.discard(role)

    def _contains(self, start: int, wanted: int) -> bool:
        """Return whether `start` is a member of `wanted`, or the same."""
        queue, seen = [start], {start}
        for oid in queue:
            for step in self._roles[oid].memberships if oid in self._roles else ():
                if step.role not in seen:
                    seen.add(step.role)
                    queue.append(step.role)
        return wanted in seen

    def _grants(self, role: int) -> Grants:
        return {
            (member.oid, step.grantor): step
            for member in self._roles.values()
            for step in member.memberships
            if step.role == role
        }

    def _store(self, role: int, before: Grants, after: Grants) -> None:
        for oid in {key[0] for key in (*before, *after) if before.get(key) != after.get(key)}:
            member = self._roles[oid]
            others = [step for step in member.memberships if step.role != role]
            mine: list[Membership] = [step for key, step in after.items() if key[0] == oid]
            self.put(replace(member, memberships=(*others, *mine)))
