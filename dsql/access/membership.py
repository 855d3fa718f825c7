"""Which roles a role is in, and what that gives it: their privileges, SET ROLE, administration.

Memberships form a graph without cycles. INHERIT and SET count along paths on which every membership has
them; ADMIN counts on the last step, whatever path leads there (PostgreSQL 16's acl.c, roles_is_member_of).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dsql.catalog.schema import Membership, Role

_Follows = Callable[[Membership], bool]


class Memberships:
    """The roles of one catalog by OID. What was looked up once is kept: a catalog never changes."""

    def __init__(self, roles: Iterable[Role]) -> None:
        self._roles = {role.oid: role for role in roles}
        self._inherited: dict[int, tuple[int, ...]] = {}

    def role(self, oid: int) -> Role | None:
        """Return the role with this OID."""
        return self._roles.get(oid)

    def inherited(self, role: int) -> tuple[int, ...]:
        """Return the roles whose privileges a role has: itself, then the nearest first."""
        found = self._inherited.get(role)
        if found is None:
            found = self._inherited[role] = self._reach(role, lambda step: step.inherit)
        return found

    def relied_on(self, role: int) -> tuple[int, ...]:
        """Return the roles whose memberships give `role` the privileges of others; () if it has none."""
        return tuple(
            reached
            for reached in self.inherited(role)
            if any(step.inherit for step in self._steps(reached))
        )

    def containing(self, role: int) -> tuple[int, ...]:
        """Return the roles that a role is a member of in whatever way, itself first."""
        return self._reach(role, lambda _step: True)

    def settable(self, role: int) -> tuple[int, ...]:
        """Return the roles that a role may SET ROLE to, itself first."""
        return self._reach(role, lambda step: step.set)

    def administers(self, member: int, role: int) -> bool:
        """Return whether a role has ADMIN OPTION on another one. None has it on itself."""
        return member != role and self._administrator(self.containing(member), role) is not None

    def best_administrator(self, member: int, role: int) -> int | None:
        """Return the nearest role with ADMIN OPTION on `role` among those whose privileges `member` has."""
        return None if member == role else self._administrator(self.inherited(member), role)

    def _administrator(self, candidates: Iterable[int], role: int) -> int | None:
        for candidate in candidates:
            if any(step.role == role and step.admin for step in self._steps(candidate)):
                return candidate
        return None

    def members(self, role: int) -> list[Role]:
        """Return the direct members of a role."""
        return [
            member
            for member in self._roles.values()
            if any(step.role == role for step in member.memberships)
        ]

    def _steps(self, role: int) -> tuple[Membership, ...]:
        found = self._roles.get(role)
        return found.memberships if found else ()

    def _reach(self, start: int, follows: _Follows) -> tuple[int, ...]:
        """Return `start` and what its memberships lead to, breadth first."""
        reached = {start: None}
        queue = [start]
        for role in queue:
            for step in self._steps(role):
                if follows(step) and step.role not in reached:
                    reached[step.role] = None
                    queue.append(step.role)
        return tuple(reached)
