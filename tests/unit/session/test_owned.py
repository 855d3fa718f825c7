"""REASSIGN OWNED and DROP OWNED leave a role that can be dropped."""

from __future__ import annotations

import pytest
from memory_server import Peer, Server, errors, notices, tags


@pytest.fixture
def admin(postgres: Server) -> Peer:
    """An admin with the rights of alice and bob; alice owns a schema with a table, and has grants."""
    peer = postgres.connect()
    for statement in (
        "create role alice; create role bob; create role carol",
        "grant alice, bob to admin",
        "create schema authorization alice",
        "create table plain (id int primary key, b int)",
        "grant select on plain to alice with grant option",
        "grant update (b) on plain to alice",
        "set role alice",
        "create table alice.t (id int primary key)",
        "grant select on alice.t to bob",
        "grant select on plain to bob",
        "alter default privileges grant select on tables to carol",
        "reset role",
    ):
        answers = peer.query(statement)
        assert not errors(answers), (statement, errors(answers))
    return peer


def owners(peer: Peer) -> dict[str, tuple[str, str | None]]:
    rows = peer.rows(
        "select relname, relowner::regrole, relacl from pg_class where relname in ('t', 'plain')"
        " union all select 'schema ' || nspname, nspowner::regrole, nspacl from pg_namespace"
        " where nspname = 'alice'"
    )
    return {
        (name or b"").decode(): ((owner or b"").decode(), acl.decode() if acl else None)
        for name, owner, acl in rows
    }


def test_what_is_reassigned_has_its_new_owner_in_its_acl(admin: Peer):
    assert tags(admin.query("reassign owned by alice to bob")) == ["REASSIGN OWNED"]
    found = owners(admin)
    assert found["t"] == ("bob", "{bob=arwdDxt/bob}")
    assert found["schema alice"] == ("bob", None)
    assert found["plain"][0] == "admin"


def test_after_both_nothing_depends_on_the_role(admin: Peer):
    admin.query("reassign owned by alice to bob")
    assert tags(admin.query("drop owned by alice")) == ["DROP OWNED"]
    assert owners(admin)["plain"] == ("admin", "{admin=arwdDxt/admin}")
    columns = "select count(attacl) from pg_attribute where attrelid = 'plain'::regclass"
    assert admin.rows(columns) == [[b"0"]]
    assert admin.rows("select count(*) from pg_default_acl") == [[b"0"]]
    assert tags(admin.query("drop role alice")) == ["DROP ROLE"]


def test_dropping_what_is_owned_takes_schema_and_tables(admin: Peer):
    assert tags(admin.query("drop owned by alice")) == ["DROP OWNED"]
    assert list(owners(admin)) == ["plain"]


def test_others_tables_in_an_owned_schema_go_by_cascade_only(admin: Peer):
    admin.query("grant create on schema alice to bob")
    assert tags(admin.query("alter table alice.t owner to bob")) == ["ALTER TABLE"]
    refused = errors(admin.query("drop owned by alice"))[0]
    assert refused["C"] == "2BP01"
    assert refused["D"] == "table alice.t depends on schema alice"
    answers = admin.query("drop owned by alice cascade")
    assert [fields["M"] for fields in notices(answers)] == ["drop cascades to table alice.t"]
    assert tags(answers) == ["DROP OWNED"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("drop owned by carol", "permission denied to drop objects"),
        ("reassign owned by carol to bob", "permission denied to reassign objects"),
        ("reassign owned by bob to carol", "permission denied to reassign objects"),
    ],
)
def test_the_privileges_of_every_role_are_needed(admin: Peer, statement: str, message: str):
    assert admin.fails(statement) == ("42501", message)


def test_what_admin_owns_stays(admin: Peer):
    reason = "because they are required by the database system"
    assert admin.fails("drop owned by admin") == (
        "2BP01", f"cannot drop objects owned by role admin {reason}",
    )  # fmt: skip
    assert admin.fails("reassign owned by current_user to bob") == (
        "2BP01", f"cannot reassign ownership of objects owned by role admin {reason}",
    )  # fmt: skip


def test_dsql_has_neither(peer: Peer):
    assert peer.fails("drop owned by x") == ("0A000", "unsupported statement: DropOwned")
    assert peer.fails("reassign owned by x to y") == (
        "0A000", "unsupported statement: ReassignOwned",
    )  # fmt: skip
