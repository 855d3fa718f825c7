from __future__ import annotations

import pytest

from dsql.errors import SqlError
from dsql.sql.gate import parse_statement
from dsql.sql.refusals import check_statement

CACHE = "please define CACHE greater than or equal to 65536 or equal to 1"


def refusal(text: str, profile: str = "dsql", **options: bool) -> str | None:
    parsed = parse_statement(text)
    try:
        check_statement(parsed, profile, **options)
    except SqlError as error:
        return error.message
    return None


REFUSED = [
    ("truncate t", "unsupported statement: Truncate"),
    ("vacuum", "unsupported VACUUM statement"),
    ("merge into a using b on true when matched then delete", "unsupported statement type: MERGE"),
    ("lock table t", "unsupported statement: Lock"),
    ("listen a", "unsupported statement: Listen"),
    ("explain execute foo", "unsupported statement: Execute"),
    ("declare c cursor for select 1", "unsupported statement: DeclareCursor"),
    ("create database x", "unsupported statement: Createdb"),
    ("create extension x", "unsupported statement: CreateExtension"),
    ("create table t as select 1", "unsupported statement: CreateTableAs"),
    ("select 1 into t", "unsupported statement: CreateTableAs"),
    ("create type t as (a int)", "unsupported statement: CompositeType"),
    ("create type t as enum ('a')", "CREATE TYPE not supported"),
    ("create type t as range (subtype = int4)", "unsupported statement: CreateRange"),
    ("alter system set a = 1", "unsupported statement: AlterSystem"),
    ("drop type x", "unsupported object in DROP statement"),
    ("alter type x rename to y", "unsupported object in RENAME statement"),
    ("create procedure p() language sql as 'x'", "PROCEDURE is not supported"),
    (
        "create function f() returns int language plpgsql as 'x'",
        "CREATE FUNCTION with language plpgsql not supported",
    ),
    ("savepoint a", "unsupported transaction statement: SAVEPOINT"),
    ("release a", "unsupported transaction statement: RELEASE"),
    ("rollback to a", "unsupported transaction statement: ROLLBACK TO"),
    ("commit and chain", "unsupported transaction statement: COMMIT AND CHAIN"),
    ("rollback and chain", "unsupported transaction statement: ROLLBACK AND CHAIN"),
    ("begin isolation level serializable", "Unsupported isolation level: SERIALIZABLE"),
    (
        "create temp table t (a int)",
        "TEMPORARY or TEMP table not supported for CREATE TABLE",
    ),
    ("create unlogged table t (a int)", "UNLOGGED table not supported for CREATE TABLE"),
    ("create table t (a serial)", 'type "serial" does not exist'),
    ('create table t (a text collate "C")', "COLLATE clause not supported"),
    (
        "create table t (a int generated always as identity)",
        "datatype integer not supported, identity column type must be bigint",
    ),
    (
        "create table t (a bigint generated always as identity)",
        f"identity column is not supported without an explicit cache size. {CACHE}",
    ),
    (
        "create sequence s cache 2",
        f"CREATE SEQUENCE is not supported without an explicit cache size. {CACHE}",
    ),
    (
        "alter table t add column a int not null",
        "ALTER TABLE ADD COLUMN with constraint not supported",
    ),
    (
        "alter table t alter a set not null",
        "unsupported ALTER TABLE ALTER COLUMN ... SET NOT NULL statement",
    ),
    (
        "alter table t alter a type text",
        "unsupported ALTER TABLE ALTER COLUMN ... SET DATA TYPE statement",
    ),
    (
        "alter table t validate constraint x",
        "unsupported ALTER TABLE VALIDATE CONSTRAINT statement",
    ),
    ("alter table t add check (a > 0)", "unsupported ALTER TABLE ADD CONSTRAINT statement"),
    ("create index i on t (a)", "unsupported mode. please use CREATE INDEX ASYNC."),
    (
        "create index concurrently i on t using btree (a)",
        "CONCURRENTLY not supported for CREATE INDEX",
    ),
    ("create index i on t using btree (a)", "USING not supported for CREATE INDEX"),
    (
        "create index async i on t (a asc)",
        "specifying sort order not supported for index keys",
    ),
    ("create index async i on t (a text_pattern_ops)", "opclass not supported for index keys"),
    (
        "create index async i on t (a) include ((b + 1))",
        "expressions are not supported in included columns",
    ),
    (
        "create index async i on t (a, b, c, d, e, f, g, h, i)",
        "more than 8 column keys in an index are not supported",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_dsql_profile_refuses_in_the_words_of_dsql(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "select 1 for update",
        "begin isolation level repeatable read read only",
        "reset all",
        "deallocate all",
        "create table t (a bigint generated always as identity (cache 65536) primary key)",
        "create sequence s cache 1",
        "create index async on t (lower(a)) include (b) where b > 1",
        "alter table async t validate constraint c",
        "alter table t add constraint c check (a > 0) not valid",
        "alter table t add constraint u unique using index i",
        "copy t from stdin",
        "analyze t",
        "call sys.wait_for_job('x')",
        "aws iam grant r to 'arn'",
    ],
)
def test_dsql_profile_takes_what_dsql_takes(text: str) -> None:
    assert refusal(text) is None


def test_synchronous_index_passes_where_the_setting_allows_it() -> None:
    assert refusal("create index i on t (a)", synchronous_index=True) is None


@pytest.mark.parametrize("text", [text for text, _ in REFUSED])
def test_postgres_profile_lifts_the_refusals(text: str) -> None:
    assert refusal(text, "postgres") is None


REFUSED_IN_BOTH = [
    ("prepare transaction 'a'", "unsupported transaction statement: PREPARE TRANSACTION"),
    ("commit prepared 'a'", "unsupported transaction statement: COMMIT PREPARED"),
    ("rollback prepared 'a'", "unsupported transaction statement: ROLLBACK PREPARED"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED_IN_BOTH)
@pytest.mark.parametrize("profile", ["dsql", "postgres"])
def test_what_the_engine_lacks_is_refused_in_both_profiles(
    text: str, message: str, profile: str
) -> None:
    assert refusal(text, profile) == message


@pytest.mark.parametrize("level", ["read uncommitted", "read committed", "serializable"])
def test_only_the_postgres_profile_has_other_levels(level: str) -> None:
    for text in ("begin", "start transaction", "set transaction"):
        assert refusal(f"{text} isolation level {level}", "postgres") is None
        expected = f"Unsupported isolation level: {level.upper()}"
        assert refusal(f"{text} isolation level {level}") == expected
