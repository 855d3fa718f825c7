"""psycopg 3, blocking and asyncio: connections, transactions, and pools where psycopg_pool is installed.

with create_pool(Endpoint.from_environment()) as pool:
    run_in_transaction(pool, lambda connection: connection.execute("..."))
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from dsql.client.endpoint import LIFETIME_SECONDS_MAX, Endpoint
from dsql.client.retry import (
    DEFAULT_POLICY,
    Attempts,
    Progress,
    RetryPolicy,
    retry,
    retry_async,
)

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

Result = TypeVar("Result")
_DIRECT_TLS_SINCE = 170_000  # libpq's version


def connect(endpoint: Endpoint, **options: Any) -> psycopg.Connection[Any]:
    """Return one connection; `options` are psycopg's. Raises psycopg.OperationalError."""
    return psycopg.connect(**_parameters(endpoint) | options)


async def connect_async(endpoint: Endpoint, **options: Any) -> psycopg.AsyncConnection[Any]:
    """Do as `connect` for asyncio."""
    parameters = await asyncio.to_thread(_parameters, endpoint)
    return await psycopg.AsyncConnection.connect(**parameters | options)


def create_pool(
    endpoint: Endpoint, *, min_size: int = 0, max_size: int = 10, **options: Any
) -> ConnectionPool[Any]:
    """Return an open pool; `options` are psycopg_pool's (3.3 or newer), `kwargs` among them psycopg's.

    A connection is asked whether it answers before it is given out, and retires within the hour;
    psycopg_pool spreads when.
    """
    from psycopg_pool import ConnectionPool

    given: dict[str, Any] = options.pop("kwargs", {})
    options.setdefault("check", ConnectionPool.check_connection)
    options.setdefault("max_lifetime", LIFETIME_SECONDS_MAX)
    return ConnectionPool(
        kwargs=lambda: _parameters(endpoint) | given,
        min_size=min_size,
        max_size=max_size,
        open=True,
        **options,
    )


async def create_async_pool(
    endpoint: Endpoint, *, min_size: int = 0, max_size: int = 10, **options: Any
) -> AsyncConnectionPool[Any]:
    """Do as `create_pool` for asyncio."""
    from psycopg_pool import AsyncConnectionPool

    given: dict[str, Any] = options.pop("kwargs", {})
    options.setdefault("check", AsyncConnectionPool.check_connection)
    options.setdefault("max_lifetime", LIFETIME_SECONDS_MAX)

    async def parameters() -> dict[str, Any]:
        found: dict[str, Any] = await asyncio.to_thread(_parameters, endpoint)
        return found | given

    pool = AsyncConnectionPool(
        kwargs=parameters, min_size=min_size, max_size=max_size, open=False, **options
    )
    await pool.open()
    return pool


def run_in_transaction(
    pool: ConnectionPool[Any],
    work: Callable[[psycopg.Connection[Any]], Result],
    policy: RetryPolicy = DEFAULT_POLICY,
    *,
    idempotent: bool = False,
) -> Result:
    """Run `work(connection)` in a transaction and return its result, again as `retry` says.

    Raises what `work` raises, the last conflict, or OutcomeUnknownError. `idempotent`: `work` looks by
    itself whether it has been done, and is run again after a loss during COMMIT as well.
    """

    def attempt(progress: Progress, attempts: Attempts) -> Result:
        with pool.connection(timeout=attempts.remaining_seconds()) as connection:
            try:
                with connection.transaction():
                    result = work(connection)
                    progress.committing = not connection.closed
            finally:
                progress.lost = connection.closed
        return result

    return retry(attempt, policy, idempotent=idempotent)


async def run_in_transaction_async(
    pool: AsyncConnectionPool[Any],
    work: Callable[[psycopg.AsyncConnection[Any]], Awaitable[Result]],
    policy: RetryPolicy = DEFAULT_POLICY,
    *,
    idempotent: bool = False,
) -> Result:
    """Do as `run_in_transaction` for asyncio."""

    async def attempt(progress: Progress, attempts: Attempts) -> Result:
        async with pool.connection(timeout=attempts.remaining_seconds()) as connection:
            try:
                async with connection.transaction():
                    result = await work(connection)
                    progress.committing = not connection.closed
            finally:
                progress.lost = connection.closed
        return result

    return await retry_async(attempt, policy, idempotent=idempotent)


def _parameters(endpoint: Endpoint) -> dict[str, Any]:
    direct = psycopg.pq.version() >= _DIRECT_TLS_SINCE
    return endpoint.libpq_parameters() | ({"sslnegotiation": "direct"} if direct else {})
