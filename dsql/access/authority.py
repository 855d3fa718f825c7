"""What one role may do, by a catalog's ACLs and memberships."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsql.access.acl import rights
from dsql.access.privileges import RELATION_KINDS, Kind, must_own, permission_denied
from dsql.catalog.schema import PUBLIC

if TYPE_CHECKING:
    from dsql.catalog.catalog import Catalog
    from dsql.catalog.schema import Acl, Table

__all__ = ["Authority", "must_own", "permission_denied"]


class Authority:
    """The rights of a role, by itself and through the roles whose privileges it has.

    Nobody is a superuser: owners and ACLs decide for everyone, admin included.
    """

    __slots__ = ("_catalog", "_is_alone", "_memberships", "_roles", "role")

    def __init__(self, catalog: Catalog, role_oid: int, *, is_alone: bool = False) -> None:
        """`is_alone`: without what the role has through others."""
        self.role = role_oid
        self._catalog = catalog
        self._is_alone = is_alone
        self._memberships = catalog.memberships
        self._roles = (role_oid,) if is_alone else self._memberships.inherited(role_oid)

    def of(self, role_oid: int) -> Authority:
        """Return the rights of another role under the same catalog."""
        return Authority(self._catalog, role_oid, is_alone=self._is_alone)

    def alone(self) -> Authority:
        """Return the rights that the role has by itself."""
        return Authority(self._catalog, self.role, is_alone=True)

    def of_everybody(self) -> Authority:
        """Return the rights that PUBLIC has, and so every role."""
        return Authority(self._catalog, PUBLIC, is_alone=True)

    @property
    def relied_on(self) -> tuple[int, ...]:
        """The roles whose memberships give the role more than it has by itself."""
        return () if self._is_alone else self._memberships.relied_on(self.role)

    def owns(self, owner_oid: int) -> bool:
        """Return whether the role has its owner's rights on an object."""
        return owner_oid in self._roles

    def holds(
        self,
        kind: Kind,
        owner_oid: int,
        acl: Acl | None,
        privilege: int,
        *,
        grant_option: bool = False,
    ) -> bool:
        """Return whether the role has all privileges of a mask on an object, or the grant options."""
        return not privilege & ~self.masks(kind, owner_oid, acl)[grant_option]

    def masks(self, kind: Kind, owner_oid: int, acl: Acl | None) -> tuple[int, int]:
        """Return (privileges, grant options) that the role has on an object."""
        if acl is None:
            acl = kind.default_acl(owner_oid)
        return rights(acl, owner_oid, self._roles)

    def holds_on_relation(self, relation: Table, privilege: int) -> bool:
        """Return whether the role has a privilege on a whole table, view or sequence."""
        return not privilege & ~self._on_table(relation)[0]

    def holds_on_column(
        self, table: Table, column_number: int, privilege: int, *, grant_option: bool = False
    ) -> bool:
        """Return whether the role has a privilege on a column, granted on it or on the whole table."""
        of_table = self._on_table(table)[grant_option]
        of_column = self._on_column(table, column_number)[grant_option]
        return not privilege & ~(of_table | of_column)

    def holds_on_any_column(
        self, table: Table, privilege: int, *, grant_option: bool = False
    ) -> bool:
        """Return whether the role has a privilege on the table or on at least one column of it."""
        return not privilege & ~self._on_table(table)[grant_option] or any(
            not privilege & ~self._on_column(table, column.number)[grant_option]
            for column in table.live_columns
        )

    def _on_table(self, table: Table) -> tuple[int, int]:
        return self.masks(RELATION_KINDS[table.kind], table.owner_oid, table.acl)

    def _on_column(self, table: Table, number: int) -> tuple[int, int]:
        return self.masks(Kind.COLUMN, table.owner_oid, table.column_acl(number))

    def may_set(self, role_oid: int) -> bool:
        """Return whether SET ROLE to a role is allowed."""
        return role_oid in self._memberships.settable(self.role)

    def administers(self, role_oid: int) -> bool:
        """Return whether the role has ADMIN OPTION on another one."""
        return self._memberships.administers(self.role, role_oid)

    def is_member(self, role_oid: int) -> bool:
        """Return whether the role is a member of another one in whatever way, or the same."""
        return role_oid in self._memberships.containing(self.role)
