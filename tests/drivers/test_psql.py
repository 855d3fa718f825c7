"""psql, as people type it."""

from __future__ import annotations

import shutil

import pytest
from running_cluster import RunningCluster

pytestmark = pytest.mark.skipif(not shutil.which("psql"), reason="psql is not installed")

SETUP = """
create table psql_orders (
    id bigint primary key,
    status varchar(10) not null default 'new',
    total numeric(10,2) check (total > 0),
    unique (status, total)
);
create domain psql_count as int check (value > 0);
create sequence psql_numbers cache 1;
create table psql_lines (
    id bigint generated always as identity (cache 1) primary key,
    orders bigint references psql_orders on delete cascade,
    pieces psql_count
);
create view psql_pieces as select orders, sum(pieces) as pieces from psql_lines group by orders;
create function psql_double(n int) returns int language sql immutable return n * 2;
comment on view psql_pieces is 'by order';
"""

ABSENT = r"\dm,\dE,\dx,\db,\dd,\ddp,\des,\dF,\dL,\dO,\dP"
ABSENT += r",\dRp,\dRs,\drds,\dX,\dy,\dconfig,\dA,\df *,\dS"


@pytest.fixture(scope="session")
def orders(cluster: RunningCluster) -> RunningCluster:
    done = cluster.psql("-v", "ON_ERROR_STOP=1", script=SETUP)
    assert done.returncode == 0, done.stderr
    return cluster


def test_a_table_is_described(orders: RunningCluster) -> None:
    text = orders.psql("-c", r"\d psql_orders").stdout
    assert 'Table "public.psql_orders"' in text
    for line in (
        "id     | bigint                |           | not null |",
        "status | character varying(10) |           | not null | 'new'::character varying",
        "total  | numeric(10,2)         |           |          |",
        '"psql_orders_pkey" PRIMARY KEY, btree_index (id) INCLUDE (status, total)',
        '"psql_orders_status_total_key" UNIQUE CONSTRAINT, btree_index (status, total)',
        '"psql_orders_total_check" CHECK (total > 0::numeric)',
    ):
        assert line in text, text


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (r"\d", "public | psql_orders"),
        (r"\dt", "psql_orders | table | admin"),
        (r"\di", "psql_orders_pkey"),
        (r"\dn", "public | admin"),
        (r"\du", "admin"),
        (r"\l", "postgres"),
        (r"\d psql_orders", "Referenced by: TABLE"),
        (r"\d psql_lines", "FOREIGN KEY (orders) REFERENCES psql_orders(id) ON DELETE CASCADE"),
        (r"\d psql_lines", "id | bigint | | not null | generated always as identity"),
        (r"\d psql_lines_id_seq", "Sequence for identity column: public.psql_lines.id"),
        (r"\ds", "psql_numbers | sequence | admin"),
        (r"\dv", "psql_pieces | view | admin"),
        (r"\d+ psql_pieces", "GROUP BY psql_lines.orders;"),
        (r"\sv psql_pieces", "CREATE OR REPLACE VIEW public.psql_pieces AS"),
        (r"\df psql_*", "public | psql_double | integer | n integer | func"),
        (
            r"\sf psql_double",
            "CREATE OR REPLACE FUNCTION public.psql_double(n integer) RETURNS integer",
        ),
        (r"\dD", "public | psql_count | integer"),
        (r"\d psql_orders_pkey", 'primary key, btree_index, for table "public.psql_orders"'),
        (r"\d+ psql_orders", "Access method: btree-table"),
        (r"\df num_nulls", "pg_catalog | num_nulls | integer"),
        (r"\dp", "public | psql_orders | table"),
        (r"\z psql_orders", "public | psql_orders | table"),
        (r"\dT+ int4", "pg_catalog | integer | int4 | 4"),
        (r"\da count", "pg_catalog | count | bigint"),
        (r"\do ||", "pg_catalog | ||"),
        (r"\dS pg_class", '"pg_catalog.pg_class"'),
        (r"\dC int8", "bigint | integer"),
        (r"\dn+", "public | admin"),
        (r"\encoding", "UTF8"),
        (r"\conninfo", 'connected to database "postgres" as user "admin"'),
    ],
)
def test_backslash_commands_answer(orders: RunningCluster, command: str, expected: str) -> None:
    done = orders.psql("-c", command)
    assert done.stderr == ""
    squeezed = " ".join(done.stdout.split())
    assert expected in squeezed, done.stdout


@pytest.mark.parametrize("command", ABSENT.split(","))
def test_commands_about_what_there_is_not_do_not_fail(orders: RunningCluster, command: str) -> None:
    done = orders.psql("-c", command)
    assert done.returncode == 0
    assert done.stderr == "" or done.stderr.startswith("Did not find any"), done.stderr


def test_information_schema_tells_tables_columns_and_constraints(orders: RunningCluster) -> None:
    script = """
        select table_name, table_type from information_schema.tables where table_schema = 'public'
            and table_name = 'psql_orders';
        select column_name, data_type, is_nullable, column_default, character_maximum_length,
            numeric_precision, numeric_scale from information_schema.columns
            where table_name = 'psql_orders' order by ordinal_position;
        select constraint_name, constraint_type from information_schema.table_constraints
            where table_name = 'psql_orders' and constraint_name not like '%not_null' order by 1;
        select k.column_name from information_schema.key_column_usage k
            where k.constraint_name = 'psql_orders_status_total_key' order by k.ordinal_position;
    """
    done = orders.psql("-At", script=script)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "psql_orders|BASE TABLE",
        "id|bigint|NO|||64|0",
        "status|character varying|NO|'new'::character varying|10||",
        "total|numeric|YES|||10|2",
        "psql_orders_pkey|PRIMARY KEY",
        "psql_orders_status_total_key|UNIQUE",
        "psql_orders_total_check|CHECK",
        "status",
        "total",
    ]


def test_names_of_objects_are_read_and_shown(orders: RunningCluster) -> None:
    script = """
        select 'psql_orders'::regclass, 'psql_orders'::regclass::oid = c.oid, c.oid::regclass::text
            from pg_class c where relname = 'psql_orders';
        select conrelid::regclass, conname from pg_constraint
            where conrelid = 'public.psql_orders'::regclass and contype = 'p';
        select to_regclass('nothing') is null, 'int'::regtype, 'admin'::regrole;
        select 'nothing'::regclass;
    """
    done = orders.psql("-At", script=script)
    assert done.stdout.splitlines() == [
        "psql_orders|t|psql_orders",
        "psql_orders|psql_orders_pkey",
        "t|integer|admin",
    ]
    assert 'relation "nothing" does not exist' in done.stderr


def test_several_statements_in_one_query_are_one_transaction(orders: RunningCluster) -> None:
    done = orders.psql(
        "-c",
        "insert into psql_orders values (1, 'a', 1); insert into psql_orders values (1, 'b', 1)",
    )
    assert 'duplicate key value violates unique constraint "psql_orders_pkey"' in done.stderr
    assert "DETAIL:  Key (id)=(1) already exists." in done.stderr
    assert orders.psql("-At", "-c", "select count(*) from psql_orders").stdout == "0\n"


def test_an_error_points_at_its_place(orders: RunningCluster) -> None:
    error = orders.psql("-c", "select nothing from psql_orders").stderr
    assert 'ERROR:  column "nothing" does not exist' in error
    assert "LINE 1: select nothing from psql_orders\n               ^" in error


def test_session_identity(orders: RunningCluster) -> None:
    script = "select version(); show server_version; select current_database(), current_schema();"
    done = orders.psql("-At", script=script)
    assert done.stdout.splitlines() == ["PostgreSQL 16", "16.15", "postgres|public"]


def test_backslash_copy_both_ways(orders: RunningCluster) -> None:
    orders.psql("-c", "create table psql_copy (id int primary key, v text)")
    script = '\\copy psql_copy from stdin (format csv)\n1,one\n2,"two, too"\n\\.\n'
    assert orders.psql(script=script).stderr == ""
    done = orders.psql("-c", r"\copy psql_copy to stdout (format csv, header)")
    assert done.stdout == 'id,v\n1,one\n2,"two, too"\n'


def test_grants_are_shown(cluster: RunningCluster) -> None:
    for statement in (
        "create role psql_reader",
        "create table psql_grants (a int primary key, b int)",
        "grant select on psql_grants to psql_reader with grant option",
        "grant update (b) on psql_grants to public",
        "alter default privileges grant select on tables to psql_reader",
    ):
        done = cluster.psql("-v", "ON_ERROR_STOP=1", "-c", statement)
        assert done.returncode == 0, done.stderr
    shown = {
        command: cluster.psql("-At", "-c", command).stdout.splitlines()
        for command in (r"\dp psql_grants", r"\ddp", r"\du psql_reader", r"\dn+ public")
    }
    assert shown == {
        r"\dp psql_grants": [
            "public|psql_grants|table|admin=arwdDxt/admin",
            "psql_reader=r*/admin|b:",
            "  =w/admin|",
        ],
        r"\ddp": ["admin||table|admin=arwdDxt/admin", "psql_reader=r/admin"],
        r"\du psql_reader": ["psql_reader|Cannot login|{}"],
        r"\dn+ public": ["public|admin|admin=UC/admin", "=U/admin|standard public schema"],
    }
    cluster.psql("-c", "alter default privileges revoke select on tables from psql_reader")
