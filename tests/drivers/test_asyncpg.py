"""asyncpg, alone and through buildpg and the client kit's pool."""

from __future__ import annotations

import asyncio
import datetime
import io
import uuid
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from buildpg import V, Values, render
from running_cluster import RunningCluster

from dsql.client.endpoint import Endpoint


async def connect(cluster: RunningCluster) -> Any:
    variables = cluster.variables
    return await asyncpg.connect(
        host=variables["PGHOSTADDR"],
        port=int(variables["PGPORT"]),
        user="admin",
        database="postgres",
        password=cluster.token(),
        ssl=Endpoint.from_environment(variables).tls_context(),
    )


async def test_values_travel_in_binary_both_ways(cluster: RunningCluster) -> None:
    connection = await connect(cluster)
    values = [
        ("int4", 7),
        ("int8", -(2**63)),
        ("numeric", Decimal("-0.00012")),
        ("text", "☃"),
        ("bool", False),
        ("float8", 1e300),
        ("uuid", uuid.uuid4()),
        ("date", datetime.date(1, 1, 1)),
        ("timestamptz", datetime.datetime.now(datetime.UTC)),
        ("interval", datetime.timedelta(days=40, seconds=1)),
        ("bytea", bytes(range(256))),
        ("int4[]", [1, None, 3]),
        ("text[]", ["a", 'b"c', None]),
        ("jsonb", '{"a": [1, null]}'),
    ]
    for type_name, value in values:
        assert await connection.fetchval(f"select $1::{type_name}", value) == value, type_name
    await connection.close()


async def test_transactions_prepared_statements_and_cursors_of_rows(
    cluster: RunningCluster,
) -> None:
    connection = await connect(cluster)
    await connection.execute("create table apg_rows (id int primary key, v text)")
    async with connection.transaction():
        await connection.executemany(
            "insert into apg_rows values ($1, $2)", [(n, f"v{n}") for n in range(200)]
        )
    statement = await connection.prepare("select v from apg_rows where id = $1")
    assert [parameter.name for parameter in statement.get_parameters()] == ["int4"]
    assert await statement.fetchval(7) == "v7"
    async with connection.transaction():
        cursor = connection.cursor("select id from apg_rows order by id", prefetch=20)
        assert [row["id"] async for row in cursor] == list(range(200))
    await connection.close()


async def test_copy_records(cluster: RunningCluster) -> None:
    connection = await connect(cluster)
    await connection.execute("create table apg_copy (id int primary key, v text)")
    records = [(n, None if n % 3 == 0 else str(n)) for n in range(300)]
    await connection.copy_records_to_table("apg_copy", records=records)
    assert await connection.fetchval("select count(v) from apg_copy") == 200
    await connection.close()


async def test_asyncpgs_own_pool_works_in_the_postgres_profile(
    postgres_cluster: RunningCluster,
) -> None:
    variables = postgres_cluster.variables
    pool = await asyncpg.create_pool(
        host=variables["PGHOSTADDR"],
        port=int(variables["PGPORT"]),
        user="admin",
        database="postgres",
        password=postgres_cluster.token,
        ssl=Endpoint.from_environment(variables).tls_context(),
        min_size=1,
        max_size=2,
    )
    async with pool:
        numbers = await asyncio.gather(*(pool.fetchval("select $1::int", n) for n in range(20)))
        assert numbers == list(range(20))


async def test_copy_in_and_out_of_a_query(cluster: RunningCluster) -> None:
    connection = await connect(cluster)
    await connection.execute("create table apg_copy_csv (id int primary key, v text)")
    source = io.BytesIO(b'1,one\n2,"two, too"\n3,\n')
    await connection.copy_to_table("apg_copy_csv", source=source, format="csv")
    target = io.BytesIO()
    await connection.copy_from_query(
        "select id, v from apg_copy_csv where id < $1 order by id", 3, output=target
    )
    assert target.getvalue() == b"1\tone\n2\ttwo, too\n"
    await connection.close()


async def test_a_record_and_its_array_travel_in_binary(cluster: RunningCluster) -> None:
    connection = await connect(cluster)
    assert await connection.fetchval("select row(1, 'a'::text, null::int)") == (1, "a", None)
    found = await connection.fetchval("select array_agg(x) from (values (1, 'a'::text)) x(n, t)")
    assert found == [(1, "a")]
    await connection.close()


async def test_errors_are_the_classes_asyncpg_knows(cluster: RunningCluster) -> None:
    connection = await connect(cluster)
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.execute("select * from nowhere")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await connection.execute("select * frm x")
    with pytest.raises(asyncpg.FeatureNotSupportedError):
        await connection.execute("savepoint a")
    await connection.close()


async def test_buildpg_renders_queries_for_it(cluster: RunningCluster) -> None:
    connection = await connect(cluster)
    await connection.execute("create table apg_build (id int primary key, v text)")
    query, arguments = render(
        "insert into apg_build (:values__names) values :values", values=Values(id=1, v="x")
    )
    await connection.execute(query, *arguments)
    query, arguments = render("select v from apg_build where :where", where=V("id") == 1)
    assert await connection.fetchval(query, *arguments) == "x"
    await connection.close()
