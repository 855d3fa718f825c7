"""An asyncpg pool (with buildpg's `_b` methods) that keeps to the rules of an Aurora DSQL endpoint.

    async with await create_pool(endpoint, region, credentials, certificate_authority="ca.pem") as pool:
        rows = await pool.fetch_b("select * from t where :where", where=V("a") == 1)
        await pool.run_transaction(move_money)

Each new connection makes its own token, so none is ever stale. Connections retire before the server's
hour is over, at a random moment so that they do not all come back together. A returned connection is
reset with RESET ALL, because the other parts of asyncpg's reset do not exist there. TLS is direct, and the
certificate is always verified against the endpoint's name, also where `address` says where to dial.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asyncpg import Record
from buildpg.asyncpg import BuildPgConnection, BuildPgPool

from dsql.client.auth_token import ADMIN_USER, Credentials, generate_auth_token
from dsql.client.retry import DEFAULT_BACKOFF, Backoff, retry_on_conflict_async

Result = TypeVar("Result")

CONNECTION_LIFETIME_SECONDS = (
    3_000.0  # the server's hour, less the time that one may stay idle or in use
)
LIFETIME_JITTER = 0.1
IDLE_SECONDS_MAX = 300.0
QUERIES_MAX = 50_000  # asyncpg's own default
TOKEN_EXPIRES_SECONDS = 60


class EndpointContext(ssl.SSLContext):
    """A TLS context that asks for, and verifies, one endpoint's name wherever the socket leads."""

    endpoint = ""

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Wrap with the endpoint as the server's name."""
        options["server_hostname"] = self.endpoint
        return super().wrap_bio(*arguments, **options)


def endpoint_context(endpoint: str, certificate_authority: str | None = None) -> EndpointContext:
    """Return a verifying context; without a file of authorities it trusts the system's."""
    context = EndpointContext(ssl.PROTOCOL_TLS_CLIENT)
    context.endpoint = endpoint
    if certificate_authority is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(certificate_authority)
    context.set_alpn_protocols(["postgresql"])
    return context


class Connection(BuildPgConnection):  # type: ignore[misc]
    """A connection that knows when to retire (on the monotonic clock)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        jitter = 1 + LIFETIME_JITTER * random.uniform(-1, 1)
        self.retire_at = time.monotonic() + CONNECTION_LIFETIME_SECONDS * jitter

    def get_reset_query(self) -> str:
        """Return what a connection runs when it goes back to the pool."""
        return "RESET ALL;"


class Pool(BuildPgPool):  # type: ignore[misc]
    """A pool of such connections."""

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:
        """Take a connection back, or close it if its time has come."""
        if connection._con is not None and connection.retire_at <= time.monotonic():
            await connection.close(timeout=timeout)
        await super().release(connection, timeout=timeout)

    async def run_transaction(
        self,
        work: Callable[[Connection], Awaitable[Result]],
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> Result:
        """Run `work(connection)` in a transaction and return its result, again after each conflict."""

        async def attempt() -> Result:
            async with self.acquire() as connection, connection.transaction():
                return await work(connection)

        return await retry_on_conflict_async(attempt, backoff)


async def create_pool(
    endpoint: str,
    region: str,
    credentials: Credentials,
    *,
    user: str = ADMIN_USER,
    address: str = "",
    port: int = 5432,
    certificate_authority: str | None = None,
    min_size: int = 0,
    max_size: int = 10,
) -> Pool:
    """Return an open pool for one cluster.

    `address` is where to dial if the endpoint's name does not resolve, such as 127.0.0.1;
    `certificate_authority` is the path of a PEM file.
    """

    def make_token() -> str:
        return generate_auth_token(user, endpoint, region, credentials, TOKEN_EXPIRES_SECONDS)

    pool: Pool = await Pool(
        None,
        connection_class=Connection,
        min_size=min_size,
        max_size=max_size,
        max_queries=QUERIES_MAX,
        setup=None,
        init=None,
        loop=None,
        record_class=Record,
        max_inactive_connection_lifetime=IDLE_SECONDS_MAX,
        host=address or endpoint,
        port=port,
        user=user,
        database="postgres",
        password=make_token,
        ssl=endpoint_context(endpoint, certificate_authority),
        direct_tls=True,
    )
    return pool
