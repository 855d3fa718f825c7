"""The first real connection to a server that has just started."""

from __future__ import annotations

import asyncio

from dsql.cli.errors import CommandError
from dsql.health.connection import Door, ServerError, Session


async def probe(door: Door, timeout_seconds: float) -> None:
    """Connect as admin and leave again. Raises CommandError with the server's own words."""
    try:
        session = await asyncio.wait_for(Session.open(door, "dsql up"), timeout_seconds)
    except TimeoutError:
        raise CommandError(f"no answer from {door.endpoint} within {timeout_seconds:g} s") from None
    except ServerError as error:
        raise CommandError(f"the first connection failed: {error.message}") from None
    except (OSError, asyncio.IncompleteReadError) as error:
        raise CommandError(f"cannot connect to {door.endpoint}: {error}") from error
    session.close()
