"""GRANT and REVOKE on objects: tables, columns, sequences, schemas, the database, functions, types.

The order of the checks, the warnings and the errors are PostgreSQL's (aclchk.c): who holds no grant option
at all gets an error only if it has no privilege either; else a warning, and nothing is granted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from dsql.access import acl as algebra
from dsql.access.authority import Authority
from dsql.access.privileges import Kind, Privilege, invalid_privilege, permission_denied
from dsql.catalog.schema import PUBLIC, Acl, AclItem, Column, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.naming import no_column
from dsql.ddl.privilege_lists import Columns, PrivilegeList, read_privileges
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import grantees, role_of
from dsql.ddl.securables import (
    KINDS,
    Securable,
    SystemObject,
    find_securables,
    kind_of,
    securables_in_schemas,
)
from dsql.errors import SqlError


def grant(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a GrantStmt."""
    if statement.HasField("grantor") and role_of(statement.grantor, context) != context.user:
        raise SqlError("0A000", "grantor must be current user")
    kind = KINDS[nodes.enum_name(statement, "objtype")]
    in_schemas = nodes.enum_name(statement, "targtype") == "ACL_TARGET_ALL_IN_SCHEMA"
    find = securables_in_schemas if in_schemas else find_securables
    found = find(kind, statement.objects, context)
    given = given_grant(statement, context)
    listed = read_privileges(statement, kind)
    result = UtilityResult("GRANT" if given.grants else "REVOKE")
    granting = Granting(context, given, result)
    writer = CatalogWriter(context.transaction)
    with result.told():
        for securable in {(each.oid, each.name): each for each in found}.values():
            if isinstance(securable, SystemObject):
                granting.fail_on(securable, listed)
            else:
                writer.put_securable(granting.on(securable, kind, listed), context.catalog)
    return result


def given_grant(statement: Any, context: UtilityContext) -> GivenGrant:
    """Read what a GrantStmt says beside objects and privileges. Raises SqlError 42704."""
    return GivenGrant(
        statement.is_grant,
        statement.grant_option,
        nodes.enum_name(statement, "behavior") == "DROP_CASCADE",
        grantees(statement.grantees, context),
    )


@dataclass(frozen=True, slots=True)
class GivenGrant:
    """A GRANT or REVOKE without its objects and privileges, and how it changes an ACL.

    `option`: WITH GRANT OPTION, or GRANT OPTION FOR. `grantees` are OIDs.
    """

    grants: bool
    option: bool
    cascade: bool
    grantees: tuple[int, ...]

    def change(
        self, acl: Acl, privileges: int, grantor: int, owner: int, inherited: algebra.Inherited
    ) -> Acl:
        """Return `acl` after the statement, for privileges that the grantor may grant.

        Raises SqlError 0LP01, 2BP01.
        """
        for grantee in self.grantees:
            if self.grants and self.option and grantee == PUBLIC:
                raise SqlError("0LP01", "grant options can only be granted to roles")
            if self.grants:
                item = AclItem(grantee, grantor, privileges, privileges if self.option else 0)
                acl = algebra.grant(acl, item, owner, inherited)
            else:
                item = AclItem(grantee, grantor, 0 if self.option else privileges, privileges)
                acl = algebra.revoke(acl, item, owner, inherited, cascade=self.cascade)
        return acl


class Granting:
    """One statement as it is applied to object after object, by the user of `context`.

    `result` is told what could not be granted or revoked.
    """

    def __init__(self, context: UtilityContext, given: GivenGrant, result: UtilityResult) -> None:
        self._catalog = context.catalog
        self._inherited = context.catalog.memberships.inherited
        self._role = context.user.oid
        self._given = given
        self._result = result

    def on(self, securable: Securable, kind: Kind, listed: PrivilegeList) -> Securable:
        """Return an object with its ACL after the statement. Raises SqlError 42501, 0LP01, 2BP01."""
        if isinstance(securable, Table):
            return self._on_table(securable, kind, listed)
        kind = kind_of(securable)
        mask = kind.every if listed.every else listed.mask
        acl = self._changed(kind, securable.name, securable, mask, listed.every)
        return replace(securable, acl=acl)

    def fail_on(self, system: SystemObject, listed: PrivilegeList) -> None:
        """Say that nothing was granted or revoked on an object of the system's. Raises SqlError 42501."""
        mask = system.kind.every if listed.every else listed.mask
        if mask:
            self._changed(system.kind, system.name, system, mask, listed.every)
        names = [name for _, some in listed.columns for name in some]
        for name in names:
            if name not in system.columns:
                raise no_column(system.name, name)
        if mask & Kind.COLUMN.every and not self._given.grants:
            names += system.columns
        for name in sorted(set(names), key=system.columns.index):
            shown = f'column "{name}" of relation "{system.name}"'
            if not self._has_any(system.kind, system, self._role):
                raise SqlError("42501", f"permission denied for {shown}")
            self._warn(Kind.COLUMN.every, 0, False, shown)

    def _changed(
        self,
        kind: Kind,
        name: str,
        securable: Securable | SystemObject,
        mask: int,
        every: bool,
    ) -> Acl:
        owner, acl = securable.owner_oid, securable.acl
        if acl is None:
            acl = kind.default_acl(owner)
        grantor, options = algebra.best_grantor(acl, owner, self._role, mask, self._inherited)
        if not options and not self._has_any(kind, securable, grantor):
            raise permission_denied(kind, name)
        self._warn(mask, options, every, f'"{name}"')
        return self._given.change(acl, mask & options, grantor, owner, self._inherited)

    def _has_any(self, kind: Kind, securable: Securable | SystemObject, role: int) -> bool:
        masks = Authority(self._catalog, role).masks(kind, securable.owner_oid, securable.acl)
        return bool((masks[0] | masks[1]) & kind.every)

    def _warn(self, mask: int, options: int, every: bool, shown: str) -> None:
        """Say what could not be granted or revoked; ALL PRIVILEGES means all there are to grant."""
        possible = mask & options
        if possible == mask or (possible and every):
            return
        amount = "not all" if possible else "no"
        verb = "were granted" if self._given.grants else "could be revoked"
        sqlstate = "01007" if self._given.grants else "01006"
        message = f"{amount} privileges {verb} for {shown}"
        self._result.notice(sqlstate, message, severity="WARNING")

    # ------------------------------------------------------------ tables

    def _on_table(self, table: Table, kind: Kind, listed: PrivilegeList) -> Table:
        """Tables, views and sequences. What is revoked on a table is revoked on its columns too."""
        before = table
        own = Kind.SEQUENCE if table.kind == "S" else Kind.TABLE
        mask = own.every if listed.every else self._fitting(table, own, kind, listed.mask)
        of_columns = dict(self._column_masks(table, listed.columns))
        on_all = 0 if self._given.grants else mask & Kind.COLUMN.every
        if on_all:
            for column in (*table.system_columns, *table.live_columns):
                of_columns[column.number] = of_columns.get(column.number, 0) | on_all
        if mask:
            table = replace(table, acl=self._changed(own, table.name, table, mask, listed.every))
        return table.with_columns(
            self._on_column(before, column, of_columns[column.number])
            for column in (*table.system_columns, *table.columns)
            if column.number in of_columns
        )

    def _fitting(self, table: Table, own: Kind, kind: Kind, mask: int) -> int:
        """Return the privileges without those that only tables, or only sequences, have."""
        extra = mask & ~own.every
        if not extra or kind is not Kind.TABLE:
            return mask
        if own is Kind.TABLE:
            raise invalid_privilege(Privilege.USAGE, "table")
        message = f'sequence "{table.name}" only supports USAGE, SELECT, and UPDATE privileges'
        self._result.notice("0LP01", message, severity="WARNING")
        return mask & own.every

    def _column_masks(self, table: Table, listed: tuple[Columns, ...]) -> Iterator[tuple[int, int]]:
        """Yield (column number, privileges), each column once."""
        masks: dict[int, int] = {}
        for privilege, names in listed:
            mask = Kind.COLUMN.every if privilege is None else privilege
            if mask & ~Kind.COLUMN.every:
                raise invalid_privilege(mask, "column")
            if table.kind == "S" and mask & ~Privilege.SELECT:
                message = f'sequence "{table.name}" only supports SELECT column privileges'
                self._result.notice("0LP01", message, severity="WARNING")
                mask &= Privilege.SELECT
            for name in names:
                columns = (*table.system_columns, *table.live_columns)
                number = next((each.number for each in columns if each.name == name), 0)
                if not number:
                    raise no_column(table.name, name)
                masks[number] = masks.get(number, 0) | mask
        yield from masks.items()

    def _on_column(self, table: Table, column: Column, mask: int) -> Column:
        """Options on the table count for its columns as well, and so do privileges that columns have."""
        owner = table.owner_oid
        own = column.acl or ()
        of_table = Kind.TABLE.default_acl(owner) if table.acl is None else table.acl
        grantor, options = algebra.best_grantor(
            (*of_table, *own), owner, self._role, mask, self._inherited
        )
        if not options and not self._has_any_on_column(table, column, grantor):
            raise SqlError(
                "42501", f'permission denied for column "{column.name}" of relation "{table.name}"'
            )
        shown = f'column "{column.name}" of relation "{table.name}"'
        self._warn(mask, options, mask == Kind.COLUMN.every, shown)
        acl = self._given.change(own, mask & options, grantor, owner, self._inherited)
        return replace(column, acl=acl or None)

    def _has_any_on_column(self, table: Table, column: Column, role: int) -> bool:
        authority, owner = Authority(self._catalog, role), table.owner_oid
        on_column = authority.masks(Kind.COLUMN, owner, column.acl)
        on_table = authority.masks(Kind.TABLE, owner, table.acl)
        return bool((on_column[0] | on_column[1] | on_table[0] | on_table[1]) & Kind.COLUMN.every)
