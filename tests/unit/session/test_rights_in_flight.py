"""Grants act from every session's next transaction on, and fail writers that relied on what there was."""

from __future__ import annotations

from typing import Any

import pytest
from memory_server import ARN, Peer, Server, errors, tags

OUTDATED = ("40001", "schema has been updated by another transaction (OC001)")


@pytest.fixture
def admin(server: Server) -> Peer:
    """Writer is in the role writers, which may insert into t; direct may by itself."""
    peer = server.connect()
    for statement in (
        "create role writers",
        "create role writer login",
        "create role direct login",
        f"aws iam grant writer to '{ARN}'",
        f"aws iam grant direct to '{ARN}'",
        "create table t (id int primary key)",
        "grant insert, select on t to writers",
        "grant insert, select on t to direct",
        "grant writers to writer",
        "grant writers to direct",
    ):
        answers = peer.query(statement)
        assert not errors(answers), (statement, errors(answers))
    return peer


def commit(peer: Peer) -> tuple[str, str]:
    found = errors(peer.query("commit"))
    return (found[0]["C"], found[0]["M"]) if found else ("", "")


def begin_writing(server: Server, user: str) -> Peer:
    peer = server.connect(user=user)
    assert tags(peer.query("begin; insert into t values (1)")) == ["BEGIN", "INSERT 0 1"]
    return peer


@pytest.mark.parametrize(
    "change",
    [
        "revoke writers from writer",
        "revoke inherit option for writers from writer",
        "revoke insert on t from writers",
        "alter role writer noinherit",
    ],
)
def test_a_writer_fails_whose_right_was_changed(server: Server, admin: Peer, change: str):
    writer = begin_writing(server, "writer")
    assert not errors(admin.query(change))
    assert commit(writer) == OUTDATED


def test_a_writer_with_a_right_of_its_own_does_not_care_about_memberships(
    server: Server, admin: Peer
):
    direct = begin_writing(server, "direct")
    admin.query("revoke writers from direct")
    assert commit(direct) == ("", "")


def test_other_roles_may_change_meanwhile(server: Server, admin: Peer):
    writer = begin_writing(server, "writer")
    admin.query("create role another")
    admin.query("grant another to direct")
    admin.query("alter role another login")
    assert commit(writer) == ("", "")


def test_a_reader_commits_whatever_was_changed(server: Server, admin: Peer):
    writer = server.connect(user="writer")
    writer.query("begin; select * from t")
    admin.query("revoke writers from writer")
    assert commit(writer) == ("", "")


def test_a_writer_fails_whose_role_it_may_not_set_any_more(server: Server, admin: Peer):
    writer = server.connect(user="writer")
    writer.query("begin")
    writer.query("set local role writers")
    writer.query("insert into t values (1)")
    admin.query("revoke set option for writers from writer")
    assert commit(writer) == OUTDATED


def test_the_next_transaction_of_a_live_session_has_the_new_rights(server: Server, admin: Peer):
    writer = server.connect(user="writer")
    assert tags(writer.query("insert into t values (1)")) == ["INSERT 0 1"]
    admin.query("revoke writers from writer")
    assert writer.fails("insert into t values (2)") == ("42501", "permission denied for table t")
    admin.query("grant insert (id) on t to writer")
    assert tags(writer.query("insert into t values (2)")) == ["INSERT 0 1"]


def test_granting_is_ddl(server: Server, admin: Peer):
    admin.query("begin")
    assert not errors(admin.query("grant delete on t to writer"))
    assert admin.fails("revoke delete on t from writer") == (
        "0A000", "multiple ddl statements not supported in a transaction",
    )  # fmt: skip
    admin.query("rollback")
    admin.query("begin; insert into t values (9)")
    assert admin.fails("grant delete on t to writer") == (
        "0A000", "ddl and dml are not supported in the same transaction",
    )  # fmt: skip
    admin.query("rollback")
    assert admin.fails("grant connect on database postgres to writer") == (
        "0A000", "unsupported object type in GRANT",
    )  # fmt: skip


def test_two_grants_at_once_meet_at_commit(server: Server, admin: Peer):
    other = server.connect()
    admin.query("begin; grant delete on t to writer")
    other.query("begin; grant update on t to direct")
    assert commit(admin) == ("", "")
    assert commit(other) == OUTDATED


def test_what_is_granted_during_a_rewrite_stays(postgres: Server):
    admin, other = postgres.connect(), postgres.connect()
    admin.query("create role r; create table t (id int not null, b int)")
    environment = postgres.environments[0]
    run_job = environment.run_job

    def grant_and_run(job: Any, pause: Any) -> None:
        assert (
            tags(other.query("grant select on t to r; grant update (b) on t to r")) == ["GRANT"] * 2
        )
        run_job(job, pause)

    environment.run_job = grant_and_run
    assert tags(admin.query("alter table t add primary key (id)")) == ["ALTER TABLE"]
    assert admin.rows("select relacl from pg_class where relname = 't'") == [
        [b"{admin=arwdDxt/admin,r=r/admin}"]
    ]
    assert admin.rows("select has_column_privilege('r', 't', 'b', 'update')") == [[b"t"]]
