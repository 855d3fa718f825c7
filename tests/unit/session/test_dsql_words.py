"""What only sessions of the dsql profile say and offer, in Aurora DSQL's words."""

from __future__ import annotations

import re

import pytest

CALLS = [
    ("pg_try_advisory_lock(1)", "0A000", "function pg_try_advisory_lock not supported"),
    ("pg_backend_pid()", "0A000", "function pg_backend_pid not supported"),
    ("pg_relation_size('t')", "0A000", "function pg_relation_size not supported"),
    ("pg_terminate_backend(1)", "0A000", "function pg_terminate_backend not supported"),
    ("lo_create(0)", "0A000", "function lo_create not supported"),
    ("line(point(1, 2), point(3, 4))", "0A000", "datatype line not supported"),
    ("circle(point(1, 2), 3)", "0A000", "datatype circle not supported"),
    ("'(1,2)'::point", "0A000", "datatype point not supported"),
    (
        "to_tsvector('english', 'a')",
        "42704",
        'text search configuration "english" does not exist',
    ),
    ("to_tsquery('a')", "42704", 'text search configuration "english" does not exist'),
    (
        "websearch_to_tsquery('french', 'a')",
        "42704",
        'text search configuration "french" does not exist',
    ),
    ("sys.wait_for_job('x')", "42809", "sys.wait_for_job(text) is a procedure"),
    ("dsql_major_version()", "42883", "function dsql_major_version() does not exist"),
]


@pytest.mark.parametrize(("call", "sqlstate", "message"), CALLS)
def test_calls_are_refused_in_the_words_of_dsql(peer, call, sqlstate, message):
    assert peer.fails(f"SELECT {call}") == (sqlstate, message)


def test_the_sys_schema_has_functions_of_its_own(server, peer):
    assert peer.rows("SELECT * FROM sys.dsql_major_version()") == [[b"1"]]
    (identity,) = peer.rows("SELECT sys.current_session_id()")
    assert re.fullmatch(rb"[a-z2-7]{26}", identity[0])
    assert peer.rows("SELECT sys.current_session_id()") == [identity]
    assert server.connect().rows("SELECT sys.current_session_id()") != [identity]
    assert peer.rows(
        "SELECT pronamespace::regnamespace FROM pg_proc WHERE proname = 'current_session_id'"
    ) == [[b"sys"]]


def test_a_wide_table_is_refused_for_its_key_if_it_has_one(peer):
    columns = ", ".join(f"c{at} int" for at in range(256))
    peer.query(f"CREATE TABLE widest ({columns})")
    assert peer.fails(f"CREATE TABLE wider ({columns}, d int)") == (
        "54011",
        "tables can have at most 255 columns",
    )
    assert peer.fails(f"CREATE TABLE wider ({columns}, d int primary key)") == (
        "54011",
        "cannot use more than 256 columns in an index",
    )


def test_a_call_takes_no_subquery(peer):
    assert peer.fails("CALL sys.wait_for_job((SELECT 'x'))") == (
        "0A000",
        "cannot use subquery in CALL argument",
    )


def test_a_role_keeps_no_setting_that_its_sessions_could_not_make(peer):
    peer.query("CREATE ROLE someone LOGIN")
    for name in ("role", "statement_timeout"):
        assert peer.fails(f"ALTER ROLE someone SET {name} = '1'") == (
            "0A000",
            f'setting configuration parameter "{name}" not supported',
        )
    peer.query("ALTER ROLE someone SET search_path = 'a'; ")
    peer.query("ALTER ROLE someone RESET role")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("PREPARE p AS SELECT 1", "Prepare"),
        ("EXECUTE p", "Execute"),
        ("EXPLAIN EXECUTE p", "Execute"),
        ("DEALLOCATE p", "Deallocate"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DeclareCursor"),
        ("FETCH c", "Fetch"),
        ("DISCARD ALL", "Discard"),
    ],
)
def test_statements_about_the_session_are_refused(peer, text, node):
    assert peer.fails(text) == ("0A000", f"unsupported statement: {node}")


def test_nobody_is_seen_at_work(peer):
    for view in ("pg_stat_activity", "pg_stat_user_tables"):
        assert peer.rows(f"SELECT count(*) FROM {view}") == [[b"0"]]
