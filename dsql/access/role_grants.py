"""The algebra of GRANT role TO member: one role's grants, by (member, grantor).

Whoever holds ADMIN OPTION may grant a role on. Chains of that begin at the grant by which its creator got
the option, without INHERIT and SET, from nobody who could take it back (BOOTSTRAP_OID; PostgreSQL 16 has
its bootstrap superuser there). What the creator is granted later, be it by itself, is another grant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from dsql.access.acl import dependent_privileges
from dsql.catalog.schema import Membership
from dsql.errors import SqlError

Grants = Mapping[tuple[int, int], Membership]


@dataclass(frozen=True, slots=True)
class Options:
    """WITH ADMIN | INHERIT | SET as written; None: not said."""

    admin: bool | None = None
    inherit: bool | None = None
    set: bool | None = None

    def on_top_of(self, before: Membership) -> Membership:
        """Return a membership with what is said here."""
        return replace(
            before,
            admin=before.admin if self.admin is None else self.admin,
            inherit=before.inherit if self.inherit is None else self.inherit,
            set=before.set if self.set is None else self.set,
        )


def grant(
    grants: Grants, role: int, member: int, grantor: int, options: Options, *, inherits: bool
) -> Grants:
    """Return the grants of `role` with a new or changed one; the same value if it changes nothing.

    `inherits` is the member's own INHERIT attribute, the default of the option. Raises SqlError 0LP01, and
    2BP01 if WITH ADMIN FALSE takes an option away on which other grants depend.
    """
    if options.admin:
        _refuse_circle(grants, member, grantor)
    key = (member, grantor)
    before = grants.get(key)
    if before is None:
        after = options.on_top_of(
            Membership(role, grantor, admin=False, inherit=inherits, set=True)
        )
    else:
        after = options.on_top_of(before)
    if after == before:
        return grants
    changed = {**grants, key: after}
    if before is not None and before.admin and not after.admin:
        _take_dependent(changed, member, cascade=False)
    return changed


def _refuse_circle(grants: Grants, member: int, grantor: int) -> None:
    rest = dict(grants)
    for key in [key for key in rest if key[0] == member]:
        _take(rest, key, cascade=True)
    if not _administers(rest, grantor):
        raise SqlError("0LP01", "ADMIN option cannot be granted back to your own grantor")


def revoke(
    grants: Grants, member: int, grantor: int, options: Options, *, cascade: bool
) -> Grants | None:
    """Return the grants without one, or without the options of it that are said; None if there is none.

    Grants that depended on its ADMIN OPTION go along. Raises SqlError 2BP01 if there are such and `cascade`
    is false.
    """
    key = (member, grantor)
    before = grants.get(key)
    if before is None:
        return None
    rest = dict(grants)
    if options == Options():
        _take(rest, key, cascade)
    else:
        rest[key] = options.on_top_of(before)
        if options.admin is False and before.admin:
            _take_dependent(rest, member, cascade)
    return rest


def _take(grants: dict[tuple[int, int], Membership], key: tuple[int, int], cascade: bool) -> None:
    taken = grants.pop(key, None)
    if taken is not None and taken.admin:
        _take_dependent(grants, key[0], cascade)


def _take_dependent(
    grants: dict[tuple[int, int], Membership], administrator: int, cascade: bool
) -> None:
    """Take what somebody granted who has no ADMIN OPTION any more."""
    if _administers(grants, administrator):
        return
    for key in [key for key in grants if key[1] == administrator]:
        if not cascade:
            raise dependent_privileges()
        _take(grants, key, cascade)


def _administers(grants: Grants, member: int) -> bool:
    return any(granted.admin for key, granted in grants.items() if key[0] == member)
