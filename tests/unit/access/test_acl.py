"""Grants form chains from the owner; whatever is revoked takes along what hung on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.access import acl as algebra
from dsql.access.privileges import EVERY, Kind, Privilege
from dsql.catalog.schema import PUBLIC, Acl, AclItem
from dsql.errors import SqlError

OWNER = 10
ROLES = (10, 11, 12, 13)
SELECT, UPDATE = Privilege.SELECT.value, Privilege.UPDATE.value


def alone(role: int) -> tuple[int, ...]:
    return (role,)


def grant(acl: Acl, grantor: int, grantee: int, privileges: int, option: bool = False) -> Acl:
    item = AclItem(grantee, grantor, privileges, privileges if option else 0)
    return algebra.grant(acl, item, OWNER, alone)


def revoke(acl: Acl, grantor: int, grantee: int, privileges: int, *, cascade: bool = True) -> Acl:
    item = AclItem(grantee, grantor, privileges, privileges)
    return algebra.revoke(acl, item, OWNER, alone, cascade=cascade)


def option_of(acl: Acl, role: int) -> int:
    return algebra.rights(acl, OWNER, (role,))[1]


statements = st.tuples(
    st.sampled_from(("grant", "option", "revoke")),
    st.sampled_from(ROLES),
    st.sampled_from((*ROLES, PUBLIC)),
    st.integers(1, 127),
)


def run(acl: Acl, statement: tuple[str, int, int, int]) -> Acl:
    """Run one as the server does: nobody grants what it has no option for, nor options to PUBLIC."""
    verb, grantor, grantee, privileges = statement
    privileges &= option_of(acl, grantor)
    if not privileges or (verb == "option" and grantee == PUBLIC):
        return acl
    if verb == "revoke":
        return revoke(acl, grantor, grantee, privileges)
    try:
        return grant(acl, grantor, grantee, privileges, verb == "option")
    except SqlError:
        return acl  # it would come back to its own grantor


acls = st.lists(statements, max_size=25).map(
    lambda history: _after(Kind.TABLE.default_acl(OWNER), history)
)


def _after(acl: Acl, history: list[tuple[str, int, int, int]]) -> Acl:
    for statement in history:
        acl = run(acl, statement)
    return acl


@given(acls)
def test_every_grant_hangs_on_a_chain_of_options_from_the_owner(acl):
    for bit in (1 << number for number in range(7)):
        reached = {OWNER}
        for _ in ROLES:
            reached |= {i.grantee for i in acl if i.grantor in reached and i.grantable & bit}
        assert all(item.grantor in reached for item in acl if item.privileges & bit)


@given(acls)
def test_one_item_for_each_pair_and_none_that_is_empty(acl):
    assert len({(item.grantee, item.grantor) for item in acl}) == len(acl)
    assert all(item.privileges and not item.grantable & ~item.privileges for item in acl)


@given(acls, st.sampled_from(ROLES[1:]), st.integers(1, 127))
def test_revoking_what_was_just_granted_is_as_if_nothing_had_been(acl, grantee, privileges):
    new = privileges & ~algebra.rights(acl, OWNER, (grantee,))[0]
    if new:
        assert algebra.same(revoke(grant(acl, OWNER, grantee, new), OWNER, grantee, new), acl)


@given(acls, statements)
def test_restrict_refuses_exactly_where_cascade_would_take_more_along(acl, statement):
    _, grantor, grantee, privileges = statement
    before = {
        (i.grantee, i.grantor): i for i in acl if (i.grantee, i.grantor) != (grantee, grantor)
    }
    after = revoke(acl, grantor, grantee, privileges)
    others = {
        (i.grantee, i.grantor): i for i in after if (i.grantee, i.grantor) != (grantee, grantor)
    }
    if others == before:
        assert revoke(acl, grantor, grantee, privileges, cascade=False) == after
    else:
        with pytest.raises(SqlError, match="dependent privileges exist") as raised:
            revoke(acl, grantor, grantee, privileges, cascade=False)
        assert raised.value.sqlstate == "2BP01"


@given(acls)
def test_a_role_that_was_taken_out_stands_nowhere(acl):
    rest = algebra.without_role(acl, 12, OWNER, alone)
    assert not [item for item in rest if 12 in (item.grantee, item.grantor)]


@given(acls)
def test_a_new_owner_stands_where_the_old_one_stood(acl):
    moved = algebra.change_owner(acl, OWNER, 13)
    assert not [item for item in moved if OWNER in (item.grantee, item.grantor)]
    assert algebra.rights(moved, 13, (11,))[0] == algebra.rights(acl, OWNER, (11,))[0]


def test_an_option_does_not_come_back_to_its_grantor():
    acl = grant((), OWNER, 11, SELECT, True)
    acl = grant(acl, 11, 12, SELECT, True)
    with pytest.raises(SqlError, match="cannot be granted back to your own grantor"):
        grant(acl, 12, 11, SELECT, True)


def test_a_second_chain_keeps_what_was_granted_on():
    acl = grant((), OWNER, 11, SELECT, True)
    acl = grant(acl, OWNER, 12, SELECT, True)
    acl = grant(acl, 12, 11, SELECT, True)
    acl = grant(acl, 11, 13, SELECT)
    kept = revoke(acl, OWNER, 11, SELECT, cascade=False)
    assert algebra.rights(kept, OWNER, (13,))[0] == SELECT


def test_an_inherited_option_keeps_what_was_granted_on():
    def inherited(role: int) -> tuple[int, ...]:
        return (11, 12) if role == 11 else (role,)

    acl = grant((), OWNER, 11, SELECT, True)
    acl = grant(acl, OWNER, 12, SELECT, True)
    acl = grant(acl, 11, 13, SELECT)
    item = AclItem(11, OWNER, SELECT, SELECT)
    kept = algebra.revoke(acl, item, OWNER, inherited, cascade=False)
    assert AclItem(13, 11, SELECT) in kept


def test_the_grantor_is_the_nearest_role_with_all_the_options():
    acl = grant((), OWNER, 12, SELECT, True)
    acl = grant(acl, OWNER, 13, SELECT | UPDATE, True)
    both = algebra.best_grantor(acl, OWNER, 11, SELECT | UPDATE, lambda _role: (11, 12, 13))
    some = algebra.best_grantor(acl, OWNER, 11, SELECT | UPDATE, lambda _role: (11, 12))
    none = algebra.best_grantor(acl, OWNER, 11, SELECT, alone)
    assert (both, some, none) == ((13, SELECT | UPDATE), (12, SELECT), (11, 0))


def test_the_owner_grants_as_itself_even_without_an_item():
    assert algebra.best_grantor((), OWNER, OWNER, EVERY, alone) == (OWNER, EVERY)
    assert algebra.best_grantor((), OWNER, 11, SELECT, lambda _role: (11, OWNER)) == (OWNER, SELECT)
