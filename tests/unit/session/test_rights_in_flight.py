"""Grants act from every session's next transaction on, and fail writers that relied on what there was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from memory_server import ARN, Peer, Server, errors, tags

from dsql.transaction.interface import CommitOutcome, WriteSet

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


def test_a_writer_fails_that_has_acted_for_a_role_and_gone_back(server: Server, admin: Peer):
    writer = server.connect(user="writer")
    writer.query("begin; set local role writers; insert into t values (1); reset role")
    admin.query("revoke set option for writers from writer")
    assert commit(writer) == OUTDATED


def test_acting_for_a_role_without_using_its_rights_does_not_matter(server: Server, admin: Peer):
    writer = server.connect(user="direct")
    writer.query("begin; set local role writers; reset role; insert into t values (1)")
    admin.query("revoke set option for writers from direct")
    assert commit(writer) == ("", "")


@pytest.mark.parametrize(
    "change",
    [
        "revoke usage on schema s from direct",
        "alter schema s owner to writers",
        "alter schema s rename to x",
    ],
)
def test_a_writer_fails_whose_schema_was_changed(server: Server, admin: Peer, change: str):
    for statement in (
        "grant writers to admin",
        "create schema s",
        "grant usage on schema s to direct",
        "create table s.t (id int primary key)",
        "grant insert on s.t to direct",
    ):
        assert not errors(admin.query(statement))
    writer = server.connect(user="direct")
    elsewhere = begin_writing(server, "writer")
    writer.query("begin; insert into s.t values (1)")
    assert not errors(admin.query(change))
    assert commit(writer) == OUTDATED
    assert commit(elsewhere) == ("", "")


@pytest.mark.parametrize(
    ("right", "statement"),
    [
        ("create on schema public", "create table x (id int)"),
        ("create on database postgres", "create schema x"),
    ],
)
def test_what_was_made_under_a_right_that_was_revoked_is_not_committed(
    postgres: Server, right: str, statement: str
):
    admin = postgres.connect()
    admin.query(f"create role maker login; aws iam grant maker to '{ARN}'")
    assert not errors(admin.query(f"grant {right} to maker"))
    maker = postgres.connect(user="maker")
    assert not errors(maker.query(f"begin; {statement}"))
    assert not errors(admin.query(f"revoke {right} from maker"))
    assert commit(maker) == OUTDATED


@pytest.mark.parametrize("right", ["direct", "public"])
def test_what_a_dropped_role_has_written_is_not_committed(server: Server, admin: Peer, right: str):
    admin.query("create table open (id int primary key)")
    admin.query(f"grant insert on open to {right}")
    writer = server.connect(user="direct")
    writer.query("begin; insert into open values (1)")
    for statement in (
        f"aws iam revoke direct from '{ARN}'",
        f"revoke insert on open from {right}" if right == "direct" else "select 1",
        "revoke insert, select on t from direct",
        "drop role direct",
    ):
        assert not errors(admin.query(statement)), statement
    assert commit(writer) == OUTDATED


@pytest.mark.parametrize(("user", "keys"), [("admin", 1), ("direct", 1), ("writer", 2)])
def test_a_writer_checks_no_more_keys_than_its_right_needs(
    server: Server, admin: Peer, user: str, keys: int
):
    writes: list[WriteSet] = []
    commit_write_set = server.store.commit

    def commit(encoded: bytes, transaction_id: bytes, premises: bytes = b"") -> CommitOutcome:
        writes.append(msgspec.msgpack.decode(encoded, type=WriteSet))
        return commit_write_set(encoded, transaction_id, premises)

    server.store.commit = commit
    assert not errors(server.connect(user=user).query("insert into t values (1)"))
    assert [len(write.checks) for write in writes] == [keys]


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


@pytest.mark.one_process
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
