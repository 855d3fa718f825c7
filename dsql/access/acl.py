"""The algebra of access control lists: granting, revoking with what depends on it, choosing the grantor.

An ACL has at most one item for each (grantee, grantor). Grant options form chains that begin at the owner,
who has all of them without an item; revoking one revokes what was granted by it (CASCADE) or is refused
(RESTRICT). `inherited(role)` are the roles whose privileges a role has, itself first
(`dsql.access.membership`). The rules are those of PostgreSQL's acl.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from dsql.access.privileges import EVERY
from dsql.catalog.schema import PUBLIC, Acl, AclItem
from dsql.errors import SqlError

Inherited = Callable[[int], Sequence[int]]


def rights(acl: Iterable[AclItem], owner: int, roles: Sequence[int]) -> tuple[int, int]:
    """Return the masks (privileges, grant options) that somebody has who has those of `roles`."""
    holders = {PUBLIC, *roles}
    privileges = 0
    grantable = EVERY if owner in holders else 0
    for item in acl:
        if item.grantee in holders:
            privileges |= item.privileges
            grantable |= item.grantable
    return privileges, grantable


def grant(acl: Acl, item: AclItem, owner: int, inherited: Inherited) -> Acl:
    """Return `acl` with an item added to what its grantor gave its grantee before.

    Raises SqlError 0LP01 for a grant option that would come back to its own grantor.
    """
    if item.grantable:
        _refuse_circle(acl, item, owner, inherited)
    return _add(acl, item)


def revoke(acl: Acl, item: AclItem, owner: int, inherited: Inherited, *, cascade: bool) -> Acl:
    """Return `acl` without the privileges and the grant options of an item, nor what depends on them.

    Raises SqlError 2BP01 if something does and `cascade` is false.
    """
    before = _find(acl, item)
    after = replace(
        before,
        privileges=before.privileges & ~item.privileges,
        grantable=before.grantable & ~item.grantable,
    )
    acl = _store(acl, after)
    lost = before.grantable & ~after.grantable
    if not lost or item.grantee == owner:  # an owner never truly loses a grant option
        return acl
    return _revoke_dependent(acl, item.grantee, lost, owner, inherited, cascade)


def _revoke_dependent(
    acl: Acl, grantee: int, lost: int, owner: int, inherited: Inherited, cascade: bool
) -> Acl:
    """Revoke what a grantee granted by virtue of options that it has lost, unless it has them otherwise."""
    lost &= ~rights(acl, owner, inherited(grantee))[1]
    while True:
        dependent = next((i for i in acl if i.grantor == grantee and i.privileges & lost), None)
        if dependent is None:
            return acl
        if not cascade:
            raise dependent_privileges()
        taken = replace(dependent, privileges=lost, grantable=lost)
        acl = revoke(acl, taken, owner, inherited, cascade=True)


def dependent_privileges() -> SqlError:
    """Return the error of a REVOKE ... RESTRICT of what others depend on."""
    return SqlError("2BP01", "dependent privileges exist", hint="Use CASCADE to revoke them too.")


def _refuse_circle(acl: Acl, item: AclItem, owner: int, inherited: Inherited) -> None:
    """The grantor must have its option even if the grantee had none: else each would hold up the other."""
    if item.grantor == owner:
        return
    while True:
        held = next((i for i in acl if i.grantee == item.grantee and i.grantable), None)
        if held is None:
            break
        acl = revoke(acl, held, owner, inherited, cascade=True)
    if item.grantable & ~rights(acl, owner, inherited(item.grantor))[1]:
        raise SqlError("0LP01", "grant options cannot be granted back to your own grantor")


def best_grantor(
    acl: Acl, owner: int, role: int, privileges: int, inherited: Inherited
) -> tuple[int, int]:
    """Return (grantor, its grant options among `privileges`) for a GRANT or REVOKE by `role`.

    That is the owner if the role is it, else of the roles whose privileges it has the first with all
    options, else the one with most of them; without any the role itself.
    """
    if role == owner:
        return role, privileges
    best, options = role, 0
    for candidate in inherited(role):
        found = _own_options(acl, owner, candidate) & privileges
        if found == privileges:
            return candidate, found
        if found.bit_count() > options.bit_count():
            best, options = candidate, found
    return best, options


def _own_options(acl: Acl, owner: int, role: int) -> int:
    if role == owner:
        return EVERY
    options = 0
    for item in acl:
        if item.grantee == role:
            options |= item.grantable
    return options


def change_owner(acl: Acl, old: int, new: int) -> Acl:
    """Return `acl` with the old owner replaced by the new one wherever it stands."""
    moved = (
        replace(
            item,
            grantee=new if item.grantee == old else item.grantee,
            grantor=new if item.grantor == old else item.grantor,
        )
        for item in acl
    )
    return merge((), moved)


def merge(first: Acl, second: Iterable[AclItem]) -> Acl:
    """Return what either list grants."""
    for item in second:
        first = _add(first, item)
    return first


def without_role(acl: Acl, role: int, owner: int, inherited: Inherited) -> Acl:
    """Return `acl` without what a role was granted, and without what it granted itself."""
    while True:
        own = next((i for i in acl if role in (i.grantee, i.grantor) and role != owner), None)
        if own is None:
            return acl
        everything = replace(own, privileges=EVERY, grantable=EVERY)
        acl = revoke(acl, everything, owner, inherited, cascade=True)


def in_order(acl: Acl) -> Acl:
    """Return `acl` in the order of its OIDs, as PostgreSQL keeps default privileges."""
    return tuple(sorted(acl, key=lambda item: (item.grantee, item.grantor)))


def same(first: Acl, second: Acl) -> bool:
    """Return whether two lists hold the same items in whatever order."""
    return set(first) == set(second)


def _find(acl: Acl, item: AclItem) -> AclItem:
    for other in acl:
        if other.grantee == item.grantee and other.grantor == item.grantor:
            return other
    return AclItem(item.grantee, item.grantor, 0)


def _add(acl: Acl, item: AclItem) -> Acl:
    before = _find(acl, item)
    return _store(
        acl,
        replace(
            before,
            privileges=before.privileges | item.privileges,
            grantable=before.grantable | item.grantable,
        ),
    )


def _store(acl: Acl, item: AclItem) -> Acl:
    """Put an item in the place of the one before; an item without privileges goes."""
    stays = bool(item.privileges or item.grantable)
    place = (item.grantee, item.grantor)
    if any((other.grantee, other.grantor) == place for other in acl):
        return tuple(
            item if (other.grantee, other.grantor) == place else other
            for other in acl
            if stays or (other.grantee, other.grantor) != place
        )
    return (*acl, item) if stays else acl
