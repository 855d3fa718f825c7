"""What is dropped takes along what depends on it, or stays."""

from __future__ import annotations

import pytest
from memory_server import Peer, Server, errors, notices


@pytest.fixture
def admin(postgres: Server) -> Peer:
    peer = postgres.connect()
    for statement in (
        "create table t (a int primary key, b int, c int generated always as (b * 2) stored, d int,"
        " constraint positive check (d > 0), unique (b, d))",
        "create index expression on t ((d + 1)) where b > 0",
        "create index including on t (a) include (d)",
    ):
        assert not errors(peer.query(statement))
    return peer


def names(peer: Peer, text: str) -> list[str]:
    return sorted((row[0] or b"").decode() for row in peer.rows(text))


INDEXES = "select indexrelid::regclass from pg_index where indrelid = 't'::regclass"
CONSTRAINTS = "select conname from pg_constraint where conrelid = 't'::regclass"


def test_a_column_takes_its_indexes_and_constraints_along(admin: Peer):
    assert not notices(admin.query("alter table t drop column d"))
    assert names(admin, INDEXES) == ["t_pkey"]
    assert names(admin, CONSTRAINTS) == ["t_pkey"]


def test_a_column_that_another_is_computed_from_stays_without_cascade(admin: Peer):
    (error,) = errors(admin.query("alter table t drop column b"))
    assert (error["C"], error["M"]) == (
        "2BP01",
        "cannot drop column b of table t because other objects depend on it",
    )
    assert error["D"] == "column c of table t depends on column b of table t"
    assert error["H"] == "Use DROP ... CASCADE to drop the dependent objects too."
    (notice,) = notices(admin.query("alter table t drop column b cascade"))
    assert notice["M"] == "drop cascades to column c of table t"
    assert names(admin, INDEXES) == ["including", "t_pkey"]


def test_each_command_of_an_alter_sees_what_the_one_before_has_left(admin: Peer):
    assert not errors(admin.query("alter table t drop column c, drop column b, drop column d"))
    assert names(admin, INDEXES) == ["t_pkey"]


def test_a_constraint_takes_its_index_along_but_not_the_other_way_round(admin: Peer):
    assert admin.fails("drop index t_b_d_key") == (
        "2BP01",
        "cannot drop index t_b_d_key because constraint t_b_d_key on table t requires it",
    )
    assert not errors(admin.query("alter table t drop constraint t_b_d_key"))
    assert names(admin, INDEXES) == ["expression", "including", "t_pkey"]


def test_a_primary_key_can_do_without_a_column_that_it_included(postgres: Server):
    peer = postgres.connect()
    peer.query("create table k (a int, b int, primary key (a) include (b))")
    assert not errors(peer.query("alter table k drop column b"))
    assert peer.rows("select pg_get_constraintdef(oid) from pg_constraint") == [
        [b"PRIMARY KEY (a)"]
    ]
