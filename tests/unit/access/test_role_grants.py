"""Memberships of one role form chains of ADMIN OPTION that begin at its creator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.access import role_grants
from dsql.access.role_grants import Grants, Options
from dsql.catalog.schema import ADMIN_OID, BOOTSTRAP_OID, Membership
from dsql.errors import SqlError

ROLE = 50
MEMBERS = (ADMIN_OID, 51, 52, 53)
CREATION: Grants = {
    (ADMIN_OID, BOOTSTRAP_OID): Membership(
        ROLE, BOOTSTRAP_OID, admin=True, inherit=False, set=False
    )
}
yes_or_no = st.sampled_from((None, True, False))
options = st.builds(Options, yes_or_no, yes_or_no, yes_or_no)
statements = st.tuples(
    st.booleans(), st.sampled_from(MEMBERS), st.sampled_from(MEMBERS), options, st.booleans()
)


def administers(grants: Grants, member: int) -> bool:
    return any(step.admin for key, step in grants.items() if key[0] == member)


def run(grants: Grants, statement: tuple[bool, int, int, Options, bool]) -> Grants:
    """Run a statement as the server does: nobody grants without ADMIN OPTION."""
    grants_it, member, grantor, said, inherits = statement
    if not administers(grants, grantor):
        return grants
    if not grants_it:
        taken = Options(
            *(None if one is None else False for one in (said.admin, said.inherit, said.set))
        )
        return role_grants.revoke(grants, member, grantor, taken, cascade=True) or grants
    try:
        return role_grants.grant(grants, ROLE, member, grantor, said, inherits=inherits)
    except SqlError:
        return grants  # the option would come back to its own grantor


histories = st.lists(statements, max_size=20)


def after(history: list[tuple[bool, int, int, Options, bool]]) -> Grants:
    grants = CREATION
    for statement in history:
        grants = run(grants, statement)
    return grants


@given(histories)
def test_every_grant_hangs_on_a_chain_from_its_creation(history):
    grants = after(history)
    reached = {BOOTSTRAP_OID}
    for _ in MEMBERS:
        reached |= {member for (member, by), step in grants.items() if by in reached and step.admin}
    assert {by for _, by in grants} <= reached


@given(histories)
def test_nothing_takes_a_creators_option_away(history):
    assert CREATION.items() <= after(history).items()


@given(histories, st.sampled_from(MEMBERS[1:]), options)
def test_a_new_membership_is_gone_when_it_is_revoked(history, member, said):
    grants = after(history)
    if (member, ADMIN_OID) not in grants:
        more = role_grants.grant(grants, ROLE, member, ADMIN_OID, said, inherits=True)
        assert role_grants.revoke(more, member, ADMIN_OID, Options(), cascade=False) == grants


@given(histories)
def test_restrict_refuses_exactly_where_cascade_would_take_more_along(history):
    grants = after(history)
    for key in grants:
        rest = role_grants.revoke(grants, *key, Options(), cascade=True)
        if rest is None or set(grants) - set(rest) <= {key}:
            assert role_grants.revoke(grants, *key, Options(), cascade=False) == rest
        else:
            with pytest.raises(SqlError, match="dependent privileges exist"):
                role_grants.revoke(grants, *key, Options(), cascade=False)


def test_granting_again_without_options_says_nothing_new():
    grants = role_grants.grant(CREATION, ROLE, 51, ADMIN_OID, Options(admin=True), inherits=False)
    assert grants[51, ADMIN_OID] == Membership(ROLE, ADMIN_OID, admin=True, inherit=False, set=True)
    assert role_grants.grant(grants, ROLE, 51, ADMIN_OID, Options(), inherits=True) is grants


def test_what_depends_on_an_option_is_refused_or_goes_along():
    grants = role_grants.grant(CREATION, ROLE, 51, ADMIN_OID, Options(admin=True), inherits=True)
    grants = role_grants.grant(grants, ROLE, 52, 51, Options(), inherits=True)
    with pytest.raises(SqlError, match="dependent privileges exist"):
        role_grants.grant(grants, ROLE, 51, ADMIN_OID, Options(admin=False), inherits=True)
    with pytest.raises(SqlError, match="dependent privileges exist"):
        role_grants.revoke(grants, 51, ADMIN_OID, Options(admin=False), cascade=False)
    rest = role_grants.revoke(grants, 51, ADMIN_OID, Options(admin=False), cascade=True)
    assert rest == {
        **CREATION,
        (51, ADMIN_OID): Membership(ROLE, ADMIN_OID, admin=False, inherit=True, set=True),
    }
