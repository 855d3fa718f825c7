"""The client kit beside a server that conflicts, dies in a transaction, and dies in its COMMIT."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from running_cluster import RunningCluster

from dsql.client import asyncpg as kit_asyncpg
from dsql.client import psycopg as kit_psycopg
from dsql.client import sqlalchemy as kit_sqlalchemy
from dsql.client.auth_token import Credentials
from dsql.client.endpoint import Endpoint
from dsql.client.retry import OutcomeUnknownError
from dsql.rpc.process import condition_of

Step = str | Callable[[], None]  # of a transaction: a statement, or something that happens
PATIENT_SECONDS = 20.0


@pytest.fixture
def endpoint(cluster: RunningCluster) -> Endpoint:
    variables = cluster.variables
    key = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    return Endpoint(
        variables["PGHOST"],
        address=variables["PGHOSTADDR"],
        port=int(variables["PGPORT"]),
        certificate_authority=variables["PGSSLROOTCERT"],
        credentials=lambda: key,
    )


class Asyncpg:
    async def open(self, endpoint: Endpoint) -> None:
        self.pool = await kit_asyncpg.create_pool(endpoint)

    async def transact(self, steps: Sequence[Step], **options: Any) -> None:
        async def work(connection: Any) -> None:
            for step in steps:
                await connection.execute(step) if isinstance(step, str) else step()

        await self.pool.run_in_transaction(work, **options)

    async def close(self) -> None:
        await self.pool.close()


class Psycopg:
    async def open(self, endpoint: Endpoint) -> None:
        self.pool = await asyncio.to_thread(kit_psycopg.create_pool, endpoint)

    async def transact(self, steps: Sequence[Step], **options: Any) -> None:
        def work(connection: Any) -> None:
            for step in steps:
                connection.execute(step) if isinstance(step, str) else step()

        await asyncio.to_thread(kit_psycopg.run_in_transaction, self.pool, work, **options)

    async def close(self) -> None:
        await asyncio.to_thread(self.pool.close)


class PsycopgAsync:
    async def open(self, endpoint: Endpoint) -> None:
        self.pool = await kit_psycopg.create_async_pool(endpoint)

    async def transact(self, steps: Sequence[Step], **options: Any) -> None:
        async def work(connection: Any) -> None:
            for step in steps:
                await connection.execute(step) if isinstance(step, str) else step()

        await kit_psycopg.run_in_transaction_async(self.pool, work, **options)

    async def close(self) -> None:
        await self.pool.close()


class SQLAlchemy:
    async def open(self, endpoint: Endpoint) -> None:
        self.engine = kit_sqlalchemy.create_engine(endpoint)

    async def transact(self, steps: Sequence[Step], **options: Any) -> None:
        def work(connection: Any) -> None:
            for step in steps:
                connection.execute(sqlalchemy.text(step)) if isinstance(step, str) else step()

        await asyncio.to_thread(kit_sqlalchemy.run_in_transaction, self.engine, work, **options)

    async def close(self) -> None:
        self.engine.dispose()


class SQLAlchemyAsync:
    async def open(self, endpoint: Endpoint) -> None:
        self.engine = kit_sqlalchemy.create_async_engine(endpoint)

    async def transact(self, steps: Sequence[Step], **options: Any) -> None:
        async def work(connection: Any) -> None:
            for step in steps:
                if isinstance(step, str):
                    await connection.execute(sqlalchemy.text(step))
                else:
                    step()

        await kit_sqlalchemy.run_in_transaction_async(self.engine, work, **options)

    async def close(self) -> None:
        await self.engine.dispose()


SIDES = (Asyncpg, Psycopg, PsycopgAsync, SQLAlchemy, SQLAlchemyAsync)


@pytest.fixture(params=SIDES, ids=lambda side: side.__name__)
async def side(request: pytest.FixtureRequest, endpoint: Endpoint) -> AsyncIterator[Any]:
    opened = request.param()
    await opened.open(endpoint)
    yield opened
    await opened.close()


@pytest.fixture
def table(endpoint: Endpoint) -> str:
    """A table of the test's own with one row, (1, 0)."""
    name = f"kit_{uuid.uuid4().hex}"
    with kit_psycopg.connect(endpoint, autocommit=True) as connection:
        connection.execute(f"create table {name} (id int primary key, v int)")
        connection.execute(f"insert into {name} values (1, 0)")
    return name


def value_of(endpoint: Endpoint, table: str) -> int:
    with kit_psycopg.connect(endpoint) as connection:
        (value,) = connection.execute(f"select v from {table}").fetchone() or (None,)
    return int(value)


def add_one(table: str) -> str:
    return f"update {table} set v = v + 1 where id = 1"


def query_processors(cluster: RunningCluster) -> list[int]:
    name = f"dsql: {cluster.variables['DSQL_CLUSTER'][:8]}\n"
    found = []
    for pid in cluster.processes():
        try:
            if Path(f"/proc/{pid}/comm").read_text() == name:
                found.append(pid)
        except FileNotFoundError:
            continue
    assert found
    return found


def signal_all(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        os.kill(process, number)


class Once:
    """A step that does its harm in the first attempt only, and counts the attempts."""

    def __init__(self, harm: Callable[[], None]) -> None:
        self.harm = harm
        self.attempts = 0

    def __call__(self) -> None:
        self.attempts += 1
        if self.attempts == 1:
            self.harm()


def kill_when_commit_is_there(cluster: RunningCluster) -> None:
    """Stop the query processors, and kill them when something has come that they will never read."""
    processes = query_processors(cluster)
    signal_all(processes, signal.SIGSTOP)
    wait_until(lambda: all(condition_of(process).state == "T" for process in processes))

    def kill() -> None:
        wait_until(lambda: has_unread_input(cluster.port))
        signal_all(processes, signal.SIGKILL)

    threading.Thread(target=kill).start()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def has_unread_input(port: int) -> bool:
    """Tell whether a connection at a port has bytes that nobody has read: proc(5), /proc/net/tcp."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues = line.split()[:5]
        if local.endswith(f":{port:04X}") and state == "01" and int(queues.partition(":")[2], 16):
            return True
    return False


async def test_transactions_that_conflict_all_pass_in_the_end(side, endpoint, table: str) -> None:
    await asyncio.gather(*(side.transact([add_one(table)]) for _ in range(8)))
    assert value_of(endpoint, table) == 8


async def test_a_server_that_dies_in_a_transaction_costs_an_attempt(
    side, endpoint, table: str, cluster: RunningCluster
) -> None:
    death = Once(lambda: signal_all(query_processors(cluster), signal.SIGKILL))
    await side.transact([add_one(table), death, f"select v from {table}"])
    assert death.attempts == 2
    assert value_of(endpoint, table) == 1


async def test_a_server_that_dies_in_a_commit_leaves_the_outcome_unknown(
    side, endpoint, table: str, cluster: RunningCluster
) -> None:
    death = Once(lambda: kill_when_commit_is_there(cluster))
    with pytest.raises(OutcomeUnknownError) as raised:
        await side.transact([add_one(table), death])
    assert raised.value.__cause__ is not None
    assert death.attempts == 1
    death = Once(lambda: kill_when_commit_is_there(cluster))
    await side.transact([add_one(table), death], idempotent=True)
    assert death.attempts == 2
    assert value_of(endpoint, table) == 1


async def test_a_pool_replaces_what_is_too_old_or_lost_in_silence(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await kit_asyncpg.create_pool(endpoint, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection:
            old = connection._con
            old.retire_at = 0.0
        async with pool.acquire() as connection:
            silent = connection._con
        assert old.is_closed()
        assert not silent.is_closed()
        silent.used_at -= kit_asyncpg.CHECK_AFTER_SECONDS
        monkeypatch.setattr(kit_asyncpg, "CHECK_SECONDS_MAX", 0.0)
        async with pool.acquire() as connection:
            assert connection._con is not silent
        assert silent.is_closed()


def test_a_certificate_of_somebody_else_is_refused(endpoint: Endpoint) -> None:
    stranger = Endpoint(
        f"x{endpoint.host}",
        address=endpoint.address,
        port=endpoint.port,
        certificate_authority=endpoint.certificate_authority,
        credentials=endpoint.credentials,
    )
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        kit_psycopg.connect(stranger)
