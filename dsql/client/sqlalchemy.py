"""SQLAlchemy 2 on psycopg, and for asyncio on asyncpg: engines, and transactions that are run again.

    engine = create_engine(Endpoint.from_environment())
    run_in_transaction(engine, lambda connection: connection.execute(text("...")))

Every checkout asks whether the connection answers (`pool_pre_ping`) and is old (before the server's hour).
Also given the dialects of the PyPI package aurora-dsql-sqlalchemy (`url="auroradsql+psycopg://"`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine as create_stock_async_engine

from dsql.client.endpoint import Endpoint, lifetime_seconds
from dsql.client.retry import (
    DEFAULT_POLICY,
    Attempts,
    Progress,
    RetryPolicy,
    retry,
    retry_async,
)

Result = TypeVar("Result")
_RETIRE_AT = "dsql_retire_at"


def create_engine(endpoint: Endpoint, url: str = "postgresql+psycopg://", **options: Any) -> Engine:
    """Return an engine on psycopg; `options` are SQLAlchemy's."""
    from dsql.client.psycopg import connect

    # The dialect looks for hstore within a savepoint, which there may be none of.
    defaults = {"pool_pre_ping": True, "use_native_hstore": False}
    engine = sqlalchemy.create_engine(url, creator=lambda: connect(endpoint), **defaults | options)
    _limit_age(engine)
    return engine


def create_async_engine(
    endpoint: Endpoint, url: str = "postgresql+asyncpg://", **options: Any
) -> AsyncEngine:
    """Return an engine on asyncpg; `options` are SQLAlchemy's."""
    from dsql.client.asyncpg import connect

    async def make(**given: Any) -> Any:
        return await connect(endpoint, **given)

    engine = create_stock_async_engine(url, async_creator=make, **{"pool_pre_ping": True} | options)
    _limit_age(engine.sync_engine)
    return engine


def _limit_age(engine: Engine) -> None:
    """Have connections retire before the server ends them, each at a moment of its own."""

    def begin(connection: Any, record: Any) -> None:
        del connection
        record.info[_RETIRE_AT] = time.monotonic() + lifetime_seconds()

    def check(connection: Any, record: Any, proxy: Any) -> None:
        del connection, proxy
        if time.monotonic() >= record.info[_RETIRE_AT]:
            raise DisconnectionError("the connection retires")

    event.listen(engine, "connect", begin)
    event.listen(engine, "checkout", check)


def run_in_transaction(
    engine: Engine,
    work: Callable[[Connection], Result],
    policy: RetryPolicy = DEFAULT_POLICY,
    *,
    idempotent: bool = False,
) -> Result:
    """Run `work(connection)` in a transaction and return its result, again as `retry` says.

    For the ORM, `work` makes its Session with `Session(bind=connection)`. Raises what `work` raises, the
    last conflict, or OutcomeUnknownError. `idempotent`: `work` looks by itself whether it has been done,
    and is run again after a loss during COMMIT as well.
    """

    def attempt(progress: Progress, attempts: Attempts) -> Result:
        del attempts
        with engine.connect() as connection:
            try:
                with connection.begin():
                    result = work(connection)
                    progress.committing = not connection.invalidated
            finally:
                progress.lost = connection.invalidated
        return result

    return retry(attempt, policy, idempotent=idempotent)


async def run_in_transaction_async(
    engine: AsyncEngine,
    work: Callable[[AsyncConnection], Awaitable[Result]],
    policy: RetryPolicy = DEFAULT_POLICY,
    *,
    idempotent: bool = False,
) -> Result:
    """Do as `run_in_transaction` for asyncio."""

    async def attempt(progress: Progress, attempts: Attempts) -> Result:
        del attempts
        async with engine.connect() as connection:
            try:
                async with connection.begin():
                    result = await work(connection)
                    progress.committing = not connection.invalidated
            finally:
                progress.lost = connection.invalidated
        return result

    return await retry_async(attempt, policy, idempotent=idempotent)
