from __future__ import annotations

import pytest

from dsql.access.authority import Authority
from dsql.access.privileges import Kind, Privilege
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import PUBLIC, AclItem, Column, Membership, Role, Table
from dsql.types import oids

OWNER, READER, MEMBER, STRANGER = 20, 21, 22, 23
ROLES = [
    Role(OWNER, "owner"),
    Role(READER, "reader"),
    Role(MEMBER, "member", memberships=(Membership(READER, OWNER),)),
    Role(STRANGER, "stranger"),
]
TABLE = Table(
    30, "public", "t", OWNER,
    (
        Column("a", 1, oids.INT4, acl=(AclItem(STRANGER, OWNER, Privilege.UPDATE),)),
        Column("b", 2, oids.INT4),
    ),
    acl=(AclItem(READER, OWNER, Privilege.SELECT, Privilege.SELECT),),
)  # fmt: skip


def authority(role: int) -> Authority:
    return Authority(Catalog(1, [], [TABLE], ROLES), role)


def test_without_an_acl_a_kind_has_its_default():
    assert authority(OWNER).holds(Kind.TABLE, OWNER, None, Privilege.DELETE)
    assert not authority(READER).holds(Kind.TABLE, OWNER, None, Privilege.DELETE)
    assert authority(STRANGER).holds(Kind.FUNCTION, OWNER, None, Privilege.EXECUTE)
    assert not authority(STRANGER).holds(Kind.SCHEMA, OWNER, None, Privilege.USAGE)


def test_an_owner_may_lose_privileges_but_no_grant_options():
    assert not authority(OWNER).holds(Kind.TABLE, OWNER, (), Privilege.SELECT)
    assert authority(OWNER).holds(Kind.TABLE, OWNER, (), Privilege.SELECT, grant_option=True)


def test_a_member_has_what_its_role_has():
    for role, expected in ((READER, True), (MEMBER, True), (STRANGER, False)):
        one = authority(role)
        assert one.holds(Kind.TABLE, OWNER, TABLE.acl, Privilege.SELECT) is expected
        assert (
            one.holds(Kind.TABLE, OWNER, TABLE.acl, Privilege.SELECT, grant_option=True) is expected
        )


def test_everyone_has_what_public_has():
    acl = (AclItem(PUBLIC, OWNER, Privilege.SELECT),)
    assert authority(STRANGER).holds(Kind.TABLE, OWNER, acl, Privilege.SELECT)


def test_all_of_several_privileges_must_be_held():
    both = Privilege.SELECT | Privilege.INSERT
    assert not authority(READER).holds(Kind.TABLE, OWNER, TABLE.acl, both)


@pytest.mark.parametrize(
    ("role", "column", "privilege", "expected"),
    [
        (STRANGER, 1, Privilege.UPDATE, True),
        (STRANGER, 2, Privilege.UPDATE, False),
        (STRANGER, 1, Privilege.SELECT, False),
        (READER, 2, Privilege.SELECT, True),
    ],
)
def test_a_column_may_be_used_through_itself_or_its_table(role, column, privilege, expected):
    assert authority(role).holds_on_column(TABLE, column, privilege) is expected


def test_one_column_is_enough_for_any():
    assert authority(STRANGER).holds_on_any_column(TABLE, Privilege.UPDATE)
    assert not authority(STRANGER).holds_on_any_column(TABLE, Privilege.INSERT)
    assert authority(MEMBER).holds_on_any_column(TABLE, Privilege.SELECT)
