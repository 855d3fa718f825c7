"""psycopg 3 against a running cluster: sync, async, pipeline, binary, COPY, errors."""

from __future__ import annotations

import datetime
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from running_cluster import RunningCluster

from storage.applier import GRACE_SECONDS

VALUES: list[tuple[str, Any]] = [
    ("bool", True),
    ("int2", -32_768),
    ("int4", 2_147_483_647),
    ("int8", -9_223_372_036_854_775_808),
    ("float4", 1.5),
    ("float8", -0.1),
    ("numeric", Decimal("12345678901234567890.123456789")),
    ("text", "naïve ☃ 'quoted'"),
    ("varchar", ""),
    ("bytea", b"\x00\xff\\"),
    ("date", datetime.date(2024, 2, 29)),
    ("time", datetime.time(23, 59, 59, 999_999)),
    ("timestamp", datetime.datetime(1999, 12, 31, 23, 59, 59, 1)),
    ("timestamptz", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
    ("interval", datetime.timedelta(days=-3, microseconds=7)),
    ("uuid", uuid.UUID("0123456789abcdef0123456789abcdef")),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster whose sessions move to another query processor wherever they may."""
    options = ("--park-seconds", "0")
    running = RunningCluster(tmp_path_factory.mktemp("psycopg"), options=options).start()
    yield running
    assert running.host()["wakes"] > 100
    running.stop()


def test_a_transaction_reads_one_snapshot_however_often_it_moves(cluster: RunningCluster) -> None:
    """Also while others write for longer than storage keeps what nobody shows that he reads."""
    before = cluster.host()["moves"]
    with (
        psycopg.connect(**cluster.dsn(), autocommit=True) as writer,
        psycopg.connect(**cluster.dsn(), autocommit=True) as reader,
    ):
        writer.execute("create table kept_by_readers (id int primary key, n int)")
        writer.execute("insert into kept_by_readers values (1, 0)")
        until = time.monotonic() + GRACE_SECONDS + 2
        with reader.transaction():
            reader.execute("insert into kept_by_readers values (2, 0)")
            while time.monotonic() < until:
                found = reader.execute("select id, n from kept_by_readers order by id").fetchall()
                assert found == [(1, 0), (2, 0)]
                writer.execute("update kept_by_readers set n = n + 1 where id = 1")
        found = reader.execute("select min(n), max(n) from kept_by_readers").fetchone()
        assert found is not None
        assert found[0] == 0 < found[1]
    assert cluster.host()["moves"] > before + 10


@pytest.fixture
def connection(cluster: RunningCluster) -> Any:
    with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("type_name", "value"), VALUES)
def test_a_value_comes_back_as_it_was_sent(
    connection: Any, type_name: str, value: Any, binary: bool
) -> None:
    cursor = connection.cursor(binary=binary)
    sign = "%b" if binary else "%t"
    assert cursor.execute(f"select {sign}::{type_name}", [value]).fetchone() == (value,)
    assert cursor.execute(f"select {sign}::{type_name}", [None]).fetchone() == (None,)


def test_rows_survive_a_commit_and_not_a_rollback(cluster: RunningCluster, connection: Any) -> None:
    connection.execute("create table pg3_commit (id int primary key, v text)")
    with psycopg.connect(**cluster.dsn()) as other:
        other.execute("insert into pg3_commit values (1, 'kept')")
        other.commit()
        other.execute("insert into pg3_commit values (2, 'lost')")
        other.rollback()
    assert connection.execute("select * from pg3_commit").fetchall() == [(1, "kept")]


def test_executemany_and_returning(connection: Any) -> None:
    connection.execute("create table pg3_many (id int primary key, v int)")
    cursor = connection.cursor()
    rows = [(number, number * number) for number in range(100)]
    cursor.executemany("insert into pg3_many values (%s, %s) returning id", rows, returning=True)
    assert cursor.fetchone() == (0,)
    assert connection.execute("select sum(v) from pg3_many").fetchone() == (328_350,)


def test_pipeline_mode_keeps_order_and_stops_at_an_error(connection: Any) -> None:
    connection.execute("create table pg3_pipeline (id int primary key)")
    with connection.pipeline():
        for number in range(50):
            connection.execute("insert into pg3_pipeline values (%s)", [number])
    assert connection.execute("select count(*) from pg3_pipeline").fetchone() == (50,)
    with pytest.raises(psycopg.errors.UniqueViolation), connection.pipeline():
        connection.execute("insert into pg3_pipeline values (1000)")
        connection.execute("insert into pg3_pipeline values (1)")
        connection.execute("insert into pg3_pipeline values (1001)")
    assert connection.execute("select count(*) from pg3_pipeline").fetchone() == (50,)


def test_prepared_statements_are_used_again(connection: Any) -> None:
    for number in range(10):
        row = connection.execute("select %s::int + 1", [number], prepare=True).fetchone()
        assert row == (number + 1,)


def test_copy_in_and_out(connection: Any) -> None:
    connection.execute("create table pg3_copy (id int primary key, v text, n numeric)")
    with connection.cursor() as cursor:
        with cursor.copy("copy pg3_copy from stdin") as copy:
            for number in range(500):
                copy.write_row((number, f"row\t{number}" if number % 2 else None, Decimal(number)))
        with cursor.copy("copy pg3_copy (id, v) to stdout") as copy:
            copy.set_types(["int4", "text"])
            rows = list(copy.rows())
    assert len(rows) == 500
    assert rows[1] == (1, "row\t1")
    assert rows[2] == (2, None)


def test_binary_copy(connection: Any) -> None:
    connection.execute("create table pg3_copy_binary (id int primary key, at timestamptz)")
    moment = datetime.datetime(2026, 5, 4, 3, 2, 1, tzinfo=datetime.UTC)
    with connection.cursor() as cursor:
        with cursor.copy("copy pg3_copy_binary from stdin (format binary)") as copy:
            copy.set_types(["int4", "timestamptz"])
            copy.write_row((1, moment))
        with cursor.copy("copy pg3_copy_binary to stdout (format binary)") as copy:
            copy.set_types(["int4", "timestamptz"])
            assert list(copy.rows()) == [(1, moment)]


def test_errors_carry_sqlstate_position_and_hint(connection: Any) -> None:
    with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        connection.execute("select nothing from pg_catalog.pg_class")
    assert caught.value.diag.statement_position == "8"
    with pytest.raises(psycopg.errors.SyntaxError):
        connection.execute("selec 1")
    with pytest.raises(psycopg.errors.UndefinedFunction) as caught_function:
        connection.execute("select 1 + 'a'::text")
    assert caught_function.value.diag.message_hint


def test_a_failed_block_refuses_everything_until_rollback(cluster: RunningCluster) -> None:
    with psycopg.connect(**cluster.dsn()) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1 / 0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("select 1")
        connection.rollback()
        assert connection.execute("select 1").fetchone() == (1,)


def test_the_second_of_two_writers_fails_and_succeeds_when_it_tries_again(
    cluster: RunningCluster, connection: Any
) -> None:
    connection.execute("create table pg3_conflict (id int primary key, v int)")
    connection.execute("insert into pg3_conflict values (1, 0)")
    update = "update pg3_conflict set v = v + 1 where id = 1"
    with psycopg.connect(**cluster.dsn()) as one, psycopg.connect(**cluster.dsn()) as two:
        one.execute(update)
        two.execute(update)
        one.commit()
        with pytest.raises(psycopg.errors.SerializationFailure) as caught:
            two.commit()
        assert caught.value.diag.message_primary == (
            "change conflicts with another transaction (OC000)"
        )
        two.rollback()
        two.execute(update)
        two.commit()
    assert connection.execute("select v from pg3_conflict").fetchone() == (2,)


def test_a_running_statement_can_be_cancelled(connection: Any) -> None:
    import threading

    timer = threading.Timer(0.3, connection.cancel_safe)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("select count(*) from generate_series(1, 1000000000)")
    timer.join()
    assert connection.execute("select 1").fetchone() == (1,)


async def test_async_connections_work_the_same(cluster: RunningCluster) -> None:
    connection = await psycopg.AsyncConnection.connect(**cluster.dsn(), autocommit=True)
    async with connection:
        await connection.execute("create table pg3_async (id int primary key)")
        async with connection.pipeline():
            for number in range(10):
                await connection.execute("insert into pg3_async values (%s)", [number])
        cursor = await connection.execute("select array_agg(id order by id) from pg3_async")
        assert await cursor.fetchone() == (list(range(10)),)


def test_a_named_cursor_is_refused_as_on_dsql(cluster: RunningCluster) -> None:
    with psycopg.connect(**cluster.dsn()) as connection:
        with (
            pytest.raises(psycopg.errors.FeatureNotSupported) as caught,
            connection.cursor("named") as cursor,
        ):
            cursor.execute("select 1")
        assert caught.value.diag.message_primary == "unsupported statement: DeclareCursor"
        connection.rollback()


def test_a_named_cursor_fetches_in_parts_in_the_postgres_profile(
    postgres_cluster: RunningCluster,
) -> None:
    dsn = postgres_cluster.dsn()
    with psycopg.connect(**dsn) as connection, connection.cursor("named") as cursor:
        cursor.itersize = 10
        cursor.execute("select n from generate_series(1, 95) n")
        assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
        assert [row[0] for row in cursor] == list(range(4, 96))


def test_savepoints_nest_in_the_postgres_profile(postgres_cluster: RunningCluster) -> None:
    with psycopg.connect(**postgres_cluster.dsn()) as connection:
        connection.execute("create table pg3_nested (id int primary key)")
        connection.commit()
        with connection.transaction():
            connection.execute("insert into pg3_nested values (1)")
            with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
                connection.execute("insert into pg3_nested values (2), (1)")
        assert connection.execute("select * from pg3_nested").fetchall() == [(1,)]


def test_the_connection_tells_about_itself(cluster: RunningCluster, connection: Any) -> None:
    info = connection.info
    assert info.host == cluster.variables["PGHOST"]
    assert (info.user, info.dbname, info.encoding) == ("admin", "postgres", "utf-8")
    assert info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert info.timezone.utcoffset(None) == datetime.timedelta(0)
    assert info.backend_pid > 0


def test_a_type_is_looked_up_by_name(connection: Any) -> None:
    found = psycopg.types.TypeInfo.fetch(connection, "timestamptz")
    assert found is not None
    assert (found.oid, found.array_oid) == (1184, 1185)
    assert psycopg.types.TypeInfo.fetch(connection, "hstore") is None


def test_server_side_parameters_report_what_drivers_read(connection: Any) -> None:
    info = connection.info
    assert info.server_version // 10_000 == 16
    assert info.parameter_status("server_encoding") == "UTF8"
    assert info.parameter_status("standard_conforming_strings") == "on"
    assert info.parameter_status("TimeZone") == "UTC"


def test_serializable_transactions_meet_where_one_reads_what_the_other_writes(
    postgres_cluster: RunningCluster,
) -> None:
    dsn = postgres_cluster.dsn()
    with psycopg.connect(**dsn) as first, psycopg.connect(**dsn) as second:
        first.execute("create table pg3_doctors (id int primary key, on_call bool)")
        first.execute("insert into pg3_doctors values (1, true), (2, true)")
        first.commit()
        for number, connection in enumerate((first, second), 1):
            connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            count = connection.execute("select count(*) from pg3_doctors where on_call").fetchone()
            assert count == (2,)
            connection.execute(f"update pg3_doctors set on_call = false where id = {number}")
        first.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            second.commit()
        found = second.execute("select id from pg3_doctors where on_call").fetchall()
        assert found == [(2,)]


def test_a_snapshot_is_shared_between_connections(postgres_cluster: RunningCluster) -> None:
    dsn = postgres_cluster.dsn()
    with psycopg.connect(**dsn) as first, psycopg.connect(**dsn) as second:
        first.execute("create table pg3_shared (id int primary key)")
        first.commit()
        first.isolation_level = second.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        name = first.execute("select pg_export_snapshot()").fetchone()
        assert name is not None
        with psycopg.connect(**dsn, autocommit=True) as writer:
            writer.execute("insert into pg3_shared values (1)")
        second.execute(f"set transaction snapshot '{name[0]}'")
        assert second.execute("select * from pg3_shared").fetchall() == []
        second.rollback()
        assert second.execute("select * from pg3_shared").fetchall() == [(1,)]
