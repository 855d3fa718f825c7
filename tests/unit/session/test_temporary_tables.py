"""Temporary tables: a session's own, from their creation to its end, and nobody else's concern."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from memory_server import ARN, Peer, Server, errors, notices, tags


@pytest.fixture
def peer(postgres: Server) -> Peer:
    return postgres.connect()


def run(peer: Peer, *texts: str) -> None:
    for text in texts:
        assert not errors(peer.query(text)), text


def values(peer: Peer, text: str) -> list[str]:
    return [",".join((value or b"-").decode() for value in row) for row in peer.rows(text)]


def test_a_temporary_table_has_all_that_a_table_has(peer: Peer) -> None:
    run(
        peer,
        "create temp table t (id int primary key, a text unique, b int default 5 check (b < 9),"
        " c int generated always as (b + 1) stored)",
        "insert into t (id, a) values (1, 'x'), (2, 'y'), (3, 'z')",
        "update t set b = 6 where id = 2",
        "delete from t where id = 3",
        "create index on t (b)",
    )
    assert values(peer, "select * from t order by b desc") == ["2,y,6,7", "1,x,5,6"]
    assert values(peer, "select id from t where b = 6") == ["2"]
    assert peer.fails("insert into t values (4, 'x')")[0] == "23505"
    assert peer.fails("insert into t values (4, 'u', 10)")[0] == "23514"


def test_another_session_sees_nothing_of_it(postgres: Server, peer: Peer) -> None:
    other = postgres.connect()
    run(peer, "create temp table t (a int)", "insert into t values (1)")
    run(other, "create temp table t (b text)")
    assert values(other, "select * from t") == []
    assert values(other, "select nspname from pg_namespace where nspname like 'pg_temp%'") == [
        "pg_temp_1"
    ]
    run(other, "drop table t")
    assert other.fails("select * from t")[0] == "42P01"
    assert values(peer, "select * from t") == ["1"]


def test_the_journal_never_hears_of_it(postgres: Server, peer: Peer) -> None:
    run(peer, "create table t (a int primary key)")
    before = postgres.store.now
    run(
        peer,
        "create temp table u (a int primary key)",
        "create index on u (a)",
        "insert into u values (1)",
        "begin; insert into u values (2); truncate u; insert into u values (3); commit",
        "alter table u add column b int",
        "drop table u",
    )
    assert postgres.store.now == before


@pytest.mark.one_process
def test_it_goes_with_its_session(postgres: Server) -> None:
    environment = postgres.environment()
    for _ in range(2):
        peer = postgres.start(environment)
        peer.until_ready()
        run(peer, "create temp table t (a int)", "insert into t values (1)")
        assert len(environment.local.sizes) == 1
        peer.socket.close()
        postgres.lives[-1].result(60)
        assert environment.local.sizes == []


def test_it_hides_a_table_of_its_name_until_it_is_dropped(peer: Peer) -> None:
    run(peer, "create table t (a int)", "insert into t values (1)", "select * from t")
    run(peer, "create temp table t (a int)")
    assert values(peer, "select * from t") == []
    assert values(peer, "select * from public.t") == ["1"]
    assert values(peer, "select 't'::regclass, 'public.t'::regclass") == ["t,public.t"]
    run(peer, "drop table t")
    assert values(peer, "select * from t") == ["1"]


def test_it_hides_even_a_table_of_the_system(peer: Peer) -> None:
    run(peer, "create temp table pg_class (a int)")
    assert values(peer, "select * from pg_class") == []


def test_rollback_and_savepoints_take_back_what_was_made_and_written(peer: Peer) -> None:
    run(peer, "begin; create temp table t (a int); insert into t values (1); rollback")
    assert peer.fails("select * from t")[0] == "42P01"
    run(peer, "create temp table t (a int)", "insert into t values (1)")
    run(
        peer,
        "begin; insert into t values (2); savepoint s; truncate t; create temp table u (a int)",
    )
    assert values(peer, "select count(*) from t") == ["0"]
    run(peer, "rollback to s")
    assert values(peer, "select * from t order by a") == ["1", "2"]
    assert peer.fails("select * from u")[0] == "42P01"
    run(peer, "rollback")
    assert values(peer, "select * from t") == ["1"]


def test_on_commit_delete_rows_keeps_the_table_only(peer: Peer) -> None:
    run(peer, "create temp table t (a int primary key, b int unique) on commit delete rows")
    for _ in range(2):
        run(peer, "begin; insert into t values (1, 2)")
        assert values(peer, "select * from t where b = 2") == ["1,2"]
        run(peer, "commit")
        assert values(peer, "select * from t") == []


def test_on_commit_drop_keeps_nothing(peer: Peer) -> None:
    run(peer, "create temp table u (a int)")
    run(peer, "begin; create temp table t (a int) on commit drop; insert into t values (1)")
    run(peer, "insert into u select * from t; commit")
    assert peer.fails("select * from t")[0] == "42P01"
    assert values(peer, "select * from u") == ["1"]
    run(peer, "create temp table t (b int)")


def test_what_a_transaction_writes_to_both_halves_comes_or_goes_together(
    postgres: Server, peer: Peer
) -> None:
    run(peer, "create table s (a int primary key, b int)", "insert into s values (1, 1)")
    run(peer, "create temp table t (a int)")
    run(peer, "begin; update s set b = 2; insert into t values (2); commit")
    assert values(peer, "select b, t.a from s, t") == ["2,2"]
    other = postgres.connect()
    run(
        peer,
        "begin isolation level repeatable read; select random(); select b from s; update s set b = 3",
    )
    run(peer, "insert into t values (3)")
    run(other, "update s set b = 9")
    assert peer.fails("commit")[0] == "40001"
    assert values(peer, "select b, t.a from s, t") == ["9,2"]


def test_ddl_on_it_is_no_schema_change_for_anybody(postgres: Server, peer: Peer) -> None:
    other = postgres.connect()
    run(other, "create table s (a int primary key)", "begin; insert into s values (1)")
    run(peer, "create temp table t (a int)", "alter table t add column b int", "drop table t")
    run(other, "commit")


def test_keys_are_added_in_the_transaction(peer: Peer) -> None:
    run(peer, "create temp table t (a int, b int)", "insert into t values (1, 1), (2, 1)")
    assert peer.fails("create unique index u on t (b)") == (
        "23505",
        'could not create unique index "u"',
    )
    assert peer.fails("alter table t add primary key (b)")[0] == "23505"
    run(peer, "begin; insert into t values (3, 4); alter table t add primary key (a); rollback")
    run(peer, "alter table t add primary key (a)", "alter table t add unique (a, b)")
    assert values(peer, "select * from t where a = 2") == ["2,1"]
    assert peer.fails("insert into t values (2, 2)")[0] == "23505"
    indexes = "select indexrelid::regclass, indisvalid from pg_index where indrelid = 't'::regclass"
    assert values(peer, indexes) == ["t_pkey,t", "t_a_b_key,t"]


def test_the_catalogs_say_that_it_is_temporary(peer: Peer) -> None:
    assert values(peer, "select pg_my_temp_schema()") == ["0"]
    run(peer, "create temporary table t (a int primary key)", "create unlogged table u (a int)")
    assert values(
        peer,
        "select relname, relpersistence, relnamespace::regnamespace from pg_class"
        " where relname in ('t', 't_pkey', 'u') order by 1",
    ) == ["t,t,pg_temp_1", "t_pkey,t,pg_temp_1", "u,p,public"]
    assert values(
        peer,
        "select table_schema, table_type from information_schema.tables where table_name = 't'",
    ) == ["pg_temp_1,LOCAL TEMPORARY"]
    assert values(
        peer,
        "select current_schema, current_schemas(true), current_schemas(false),"
        " pg_my_temp_schema()::regnamespace, pg_is_other_temp_schema(pg_my_temp_schema())",
    ) == ["public,{pg_temp_1,pg_catalog,public},{public},pg_temp_1,f"]


def test_a_place_that_does_not_suit_is_refused(peer: Peer) -> None:
    assert peer.fails("create temp table public.t (a int)") == (
        "42P16",
        "cannot create temporary relation in non-temporary schema",
    )
    assert peer.fails("create table t (a int) on commit drop") == (
        "42P16",
        "ON COMMIT can only be used on temporary tables",
    )
    run(peer, "create table pg_temp.t (a int)", "create table s (a int)")
    assert values(peer, "select relpersistence from pg_class where relname = 't'") == ["t"]
    for table, schema in (("t", "public"), ("s", "pg_temp")):
        assert peer.fails(f"alter table {table} set schema {schema}")[0] in ("0A000", "42501")
    assert peer.fails("drop schema pg_temp")[0] == "42501"


def test_discard_drops_it(peer: Peer) -> None:
    for text in ("discard temp", "discard all"):
        run(peer, "create temp table t (a int)")
        assert tags(peer.query(text)) == [text.upper()]
        assert peer.fails("select * from t")[0] == "42P01"


def test_who_may_not_make_any_is_told(postgres: Server, peer: Peer) -> None:
    run(peer, "create role r login", "revoke temporary on database postgres from public")
    run(peer, f"aws iam grant r to '{ARN}'")
    other = postgres.connect(user="r")
    assert other.fails("create temp table t (a int)") == (
        "42501",
        'permission denied to create temporary tables in database "postgres"',
    )
    run(peer, "grant temporary on database postgres to r")
    run(other, "create temp table t (a int)", "insert into t values (1)", "create index on t (a)")


def test_a_read_only_transaction_may_write_to_it(peer: Peer) -> None:
    run(peer, "create temp table t (a int)", "create table s (a int)")
    run(peer, "begin read only; insert into t values (1); commit")
    assert peer.fails("begin read only; insert into s select * from t")[0] == "25006"
    run(peer, "rollback")
    assert values(peer, "select * from t") == ["1"]


@pytest.fixture
def moving() -> Iterator[Server]:
    server = Server("postgres", moves=True)
    yield server
    server.stop()


def test_a_session_that_has_some_stays_where_it_is(moving: Server) -> None:
    peer = moving.connect()
    run(peer, "create temp table t (a int)", "insert into t values (1)")
    assert not moving.wait_until_silent()
    assert values(peer, "select * from t") == ["1"]
    run(peer, "drop table t")
    assert moving.wait_until_silent()
    assert peer.fails("select * from t")[0] == "42P01"


@pytest.mark.parametrize(
    "script",
    [
        ["create temp table t (a serial)", "insert into t default values", "drop table t"],
        ["begin; create sequence q; select nextval('q'); rollback"],
    ],
)
def test_a_session_moves_whose_last_value_is_of_a_sequence_that_is_gone(
    moving: Server, script: list[str]
) -> None:
    peer = moving.connect()
    run(peer, *script)
    assert moving.wait_until_silent()
    assert peer.fails("select lastval()")[0] == "55000"


def test_a_full_store_fails_the_transaction_and_not_the_session(peer: Peer) -> None:
    run(peer, "create temp table t (a int primary key, b text)", "set temp_file_limit = '1MB'")
    assert peer.fails(
        "insert into t select n, repeat('x', 1000) from generate_series(1, 2000) n"
    ) == (
        "53400",
        "temporary file size exceeds temp_file_limit (1024kB)",
    )
    assert values(peer, "select count(*) from t") == ["0"]
    run(peer, "insert into t values (1, 'x')")


def test_if_not_exists_skips_one_of_the_session_only(peer: Peer) -> None:
    run(peer, "create table t (a int)")
    assert not notices(peer.query("create temp table if not exists t (b int)"))
    (notice,) = notices(peer.query("create temp table if not exists t (b int)"))
    assert notice["M"] == 'relation "t" already exists, skipping'


def test_the_dsql_profile_refuses_it(server: Server) -> None:
    peer = server.connect()
    assert peer.fails("create temp table t (a bigint)") == (
        "0A000",
        "TEMPORARY or TEMP table not supported for CREATE TABLE",
    )
    assert peer.fails("create table pg_temp.t (a bigint)")[0] == "3F000"


def test_its_columns_count_by_themselves_and_never_take_a_value_back(
    postgres: Server, peer: Peer
) -> None:
    before = postgres.store.now
    run(peer, "create temp table t (id serial, n int generated always as identity, a int)")
    run(peer, "begin; insert into t (a) values (1), (2); rollback")
    run(peer, "insert into t (a) values (3)")
    assert values(peer, "select id, n, currval('t_id_seq') from t") == ["3,3,3"]
    assert values(peer, "select setval('t_id_seq', 10)") == ["10"]
    run(peer, "alter sequence t_n_seq restart with 20 cache 5", "insert into t (a) values (4)")
    assert values(peer, "select id, n from t order by id") == ["3,3", "11,20"]
    run(peer, "create temp sequence s increment 5")
    assert values(peer, "select nextval('s'), nextval('s')") == ["1,6"]
    assert values(peer, "select last_value from s") == ["6"]
    assert postgres.store.now == before


def test_a_view_of_it_is_temporary_as_well(postgres: Server, peer: Peer) -> None:
    run(peer, "create temp table t (a int)", "insert into t values (1)")
    (notice,) = notices(peer.query("create view v as select a + 1 as b from t"))
    assert notice["M"] == 'view "v" will be a temporary view'
    assert values(peer, "select * from v") == ["2"]
    assert postgres.connect().fails("select * from v")[0] == "42P01"
    assert peer.fails("create view public.w as select * from t")[0] == "42P16"
    assert peer.fails("drop table t")[0] == "2BP01"
    run(peer, "create temp view w as select 3 as c")
    assert values(peer, "select relname from pg_class where relpersistence = 't' order by 1") == [
        "t",
        "v",
        "w",
    ]
    run(peer, "discard temp")
    assert values(peer, "select count(*) from pg_class where relpersistence = 't'") == ["0"]


def test_on_commit_drop_takes_along_what_depends_on_it(peer: Peer) -> None:
    for _ in range(2):
        run(
            peer,
            "begin; create temp table t (id serial) on commit drop; insert into t default values",
        )
        run(peer, "create view v as select * from t; commit")
        assert values(peer, "select count(*) from pg_class where relpersistence = 't'") == ["0"]


def test_a_query_fills_one(peer: Peer) -> None:
    run(peer, "create temp table t as select g as a from generate_series(1, 3) g")
    run(peer, "select a * 2 as b into temp u from t", "create unlogged table w as select 1 as c")
    assert values(peer, "select sum(a), sum(b) from t, u") == ["18,36"]
    run(peer, "begin; create temp table v on commit drop as select 1 as c; commit")
    assert values(
        peer,
        "select relname, relpersistence from pg_class where relname in ('t', 'u', 'v', 'w') order by 1",
    ) == ["t,t", "u,t", "w,p"]
    (notice,) = notices(peer.query("create temp table if not exists t as select 1"))
    assert notice["M"] == 'relation "t" already exists, skipping'


def test_its_rows_are_looked_at_and_replaced_at_once(postgres: Server, peer: Peer) -> None:
    before = postgres.store.now
    run(peer, "create temp table t (a int, b int)", "insert into t values (1, 1), (2, null)")
    run(
        peer,
        "begin; alter table t alter a type text using a || 'x'; insert into t values ('3x', 3)",
    )
    assert values(peer, "select a from t order by a") == ["1x", "2x", "3x"]
    run(peer, "rollback", "alter table t add column c int not null default 7 check (c > 6)")
    assert values(peer, "select * from t order by a") == ["1,1,7", "2,-,7"]
    assert peer.fails("alter table t add check (b < 1)")[0] == "23514"
    assert peer.fails("alter table t alter b set not null")[0] == "23502"
    run(peer, "alter table t add check (b < 2)", "alter table t add primary key (a)")
    assert values(peer, "select convalidated from pg_constraint where contype = 'c'") == ["t", "t"]
    assert postgres.store.now == before


def test_foreign_keys_stay_among_temporary_tables(peer: Peer) -> None:
    run(peer, "create temp table t (a int primary key)", "create table s (a int primary key)")
    run(peer, "create temp table u (a int references t on delete cascade)")
    run(
        peer,
        "insert into t values (1), (2)",
        "insert into u values (1), (2)",
        "delete from t where a = 1",
    )
    assert values(peer, "select a from u") == ["2"]
    assert peer.fails("insert into u values (3)")[0] == "23503"
    for text in ("create table v (a int references t)", "create temp table v (a int references s)"):
        assert peer.fails(text)[0] == "42P16"
