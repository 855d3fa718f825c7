"""asyncpg with buildpg's `_b` methods: connections, and a pool that keeps to the rules of an endpoint.

    async with await create_pool(Endpoint.from_environment()) as pool:
        rows = await pool.fetch_b("select * from t where :where", where=V("a") == 1)
        await pool.run_in_transaction(move_money)

A returned connection is reset with RESET ALL: the other parts of asyncpg's reset do not exist there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from buildpg.asyncpg import BuildPgConnection, BuildPgPool

from dsql.client.endpoint import CONNECT_SECONDS_MAX, Endpoint, lifetime_seconds
from dsql.client.retry import DEFAULT_POLICY, Attempts, Progress, RetryPolicy, retry_async

Result = TypeVar("Result")

IDLE_SECONDS_MAX = 300.0
QUERIES_MAX = 50_000  # asyncpg's own default
# A connection that was used just now is well; one that was not may have been lost without a word.
CHECK_AFTER_SECONDS = 5.0
CHECK_SECONDS_MAX = 5.0


class _StaleError(Exception):
    """A pooled connection is too old, or does not answer."""


class Connection(BuildPgConnection):  # type: ignore[misc]
    """A connection that knows when to retire, and when it was used last (on the monotonic clock)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.used_at = time.monotonic()
        self.retire_at = self.used_at + lifetime_seconds()

    def get_reset_query(self) -> str:
        """Return what a connection runs when it goes back to the pool."""
        return "RESET ALL;"


class Pool(BuildPgPool):  # type: ignore[misc]
    """A pool of such connections. Whoever takes one gets one that answers and is young enough."""

    async def run_in_transaction(
        self,
        work: Callable[[Connection], Awaitable[Result]],
        policy: RetryPolicy = DEFAULT_POLICY,
        *,
        idempotent: bool = False,
    ) -> Result:
        """Run `work(connection)` in a transaction and return its result, again as `retry` says.

        Raises what `work` raises, the last conflict, or OutcomeUnknownError. `idempotent`: `work` looks by
        itself whether it has been done, and is run again after a loss during COMMIT as well.
        """

        async def attempt(progress: Progress, attempts: Attempts) -> Result:
            async with self.acquire(timeout=attempts.remaining_seconds()) as connection:
                held: Connection = connection._con  # which can be asked when it is lost, too
                try:
                    async with connection.transaction():
                        result = await work(connection)
                        progress.committing = not held.is_closed()
                finally:
                    progress.lost = held.is_closed()
            return result

        return await retry_async(attempt, policy, idempotent=idempotent)

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:
        """Take a connection back."""
        if connection._con is not None:
            connection._con.used_at = time.monotonic()
        await super().release(connection, timeout=timeout)

    async def _acquire(self, timeout: float | None) -> Any:
        # All ways to take a connection lead through here. The pool makes a closed one anew.
        for _ in range(self.get_max_size()):
            try:
                return await super()._acquire(timeout)
            except _StaleError:
                continue
        return await super()._acquire(timeout)


async def connect(endpoint: Endpoint, **options: Any) -> Connection:
    """Return one connection; `options` are asyncpg's. Raises what asyncpg does, OSError, TimeoutError."""
    connection: Connection = await asyncpg.connect(**_parameters(endpoint) | options)
    return connection


async def create_pool(
    endpoint: Endpoint, *, min_size: int = 0, max_size: int = 10, **options: Any
) -> Pool:
    """Return an open pool; `options` are asyncpg's."""
    pool = Pool(
        **{
            "max_queries": QUERIES_MAX,
            "max_inactive_connection_lifetime": IDLE_SECONDS_MAX,
            "init": None,
            "loop": None,
            "record_class": asyncpg.Record,
        }
        | _parameters(endpoint)
        | options,
        min_size=min_size,
        max_size=max_size,
        setup=_check,
    )
    await pool
    return pool


async def _check(connection: Any) -> None:
    """Raise _StaleError for a connection that must not be given out."""
    held: Connection = connection._con
    now = time.monotonic()
    if now >= held.retire_at:
        raise _StaleError
    if now - held.used_at < CHECK_AFTER_SECONDS:
        return
    try:
        await connection.execute("SELECT 1", timeout=CHECK_SECONDS_MAX)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        connection.terminate()  # to say goodbye would wait for an answer, too
        raise _StaleError from error


def _parameters(endpoint: Endpoint) -> dict[str, Any]:
    async def password() -> str:
        return await asyncio.to_thread(endpoint.token)

    return {
        "host": endpoint.address or endpoint.host,
        "port": endpoint.port,
        "user": endpoint.user,
        "database": endpoint.database,
        "password": password,
        "ssl": endpoint.tls_context(),
        "direct_tls": True,
        "timeout": CONNECT_SECONDS_MAX,
        "connection_class": Connection,
    }
