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
"""


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
        (r"\conninfo", 'connected to database "postgres" as user "admin"'),
    ],
)
def test_backslash_commands_answer(orders: RunningCluster, command: str, expected: str) -> None:
    done = orders.psql("-c", command)
    assert done.stderr == ""
    squeezed = "\n".join(" ".join(line.split()) for line in done.stdout.splitlines())
    assert expected in squeezed, done.stdout


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
