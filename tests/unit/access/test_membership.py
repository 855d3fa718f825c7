from __future__ import annotations

from dsql.access.membership import Memberships
from dsql.catalog.schema import Membership, Role


def roles(**memberships: list[Membership]) -> Memberships:
    """Roles a to e with OIDs 1 to 5."""
    return Memberships(
        Role(number, name, memberships=tuple(memberships.get(name, ())))
        for number, name in enumerate("abcde", 1)
    )


def test_privileges_come_along_paths_that_all_inherit():
    graph = roles(
        a=[Membership(2, 9), Membership(3, 9, inherit=False)],
        b=[Membership(4, 9)],
        c=[Membership(5, 9)],
    )
    assert graph.inherited(1) == (1, 2, 4)
    assert graph.containing(1) == (1, 2, 3, 4, 5)


def test_the_roles_whose_memberships_matter_are_those_with_steps_that_inherit():
    graph = roles(
        a=[Membership(2, 9)],
        b=[Membership(3, 9), Membership(4, 9, inherit=False)],
        c=[Membership(5, 9, inherit=False)],
    )
    assert graph.relied_on(1) == (1, 2)
    assert graph.relied_on(3) == ()


def test_set_role_goes_along_paths_that_all_allow_it():
    graph = roles(a=[Membership(2, 9, set=False), Membership(3, 9)], b=[Membership(4, 9)])
    assert graph.settable(1) == (1, 3)


def test_the_admin_option_counts_on_the_last_step_of_any_path():
    graph = roles(
        a=[Membership(2, 9, inherit=False, set=False)],
        b=[Membership(3, 9, admin=True, inherit=False, set=False)],
        c=[Membership(4, 9)],
    )
    assert graph.administers(1, 3)
    assert not graph.administers(1, 4)
    assert graph.best_administrator(1, 3) is None
    assert graph.best_administrator(2, 3) == 2


def test_nobody_administers_itself():
    assert not roles(a=[Membership(2, 9, admin=True)]).administers(2, 2)


def test_the_nearest_administrator_grants():
    graph = roles(
        a=[Membership(2, 9), Membership(3, 9)],
        b=[Membership(4, 9)],
        c=[Membership(5, 9, admin=True)],
        d=[Membership(5, 9, admin=True)],
    )
    assert graph.best_administrator(1, 5) == 3


def test_a_membership_in_a_role_that_is_gone_leads_nowhere_further():
    assert roles(a=[Membership(99, 9)]).inherited(1) == (1, 99)


def test_members_are_the_direct_ones():
    graph = roles(a=[Membership(3, 9)], b=[Membership(3, 9), Membership(1, 9)])
    assert [role.name for role in graph.members(3)] == ["a", "b"]
