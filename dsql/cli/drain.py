"""`dsql relay drain`, `dsql agent drain`, `dsql agent reseed`: have a role end without harm to anybody.

A relay takes no new connections, lets logins in progress and TLS 1.2 sessions (the only ones that need it
to the end) go on for a while, and ends. Meanwhile the other relays of the port serve new connections.

An agent gives its parked sessions back to query processors and ends. The next agent adopts all that there
is. New sessions wait for it.

A seed that is replaced leaves; the next one forks new query processors, and the sessions move to those as
they are.

A supervisor starts each again, with the code of that moment.
"""

from __future__ import annotations

import asyncio

from dsql.cli.errors import CommandError
from dsql.control.layout import Layout
from dsql.control.running import relay_names
from dsql.errors import FatalError
from placement.client import DrainClient


def drain_agent(layout: Layout, name: str, seconds: float) -> int:
    """Ask the agent to end within so many seconds. Raises CommandError."""
    asyncio.run(_ask(layout, name, seconds))
    print(f"{name} gives its sessions away, and ends in {seconds:.0f} s at the latest")
    return 0


def reseed(layout: Layout, name: str) -> int:
    """Have the agent's seed and its query processors replaced. Raises CommandError."""
    asyncio.run(_ask(layout, name, None))
    print("the seed leaves; sessions move to query processors of the next one")
    return 0


def drain_relay(layout: Layout, name: str, seconds: float) -> int:
    """Ask a relay to end within so many seconds. Raises CommandError."""
    known = relay_names(layout)
    if name not in known:
        raise CommandError(f"no relay is called {name}; there are: {', '.join(known) or 'none'}")
    asyncio.run(_ask(layout, name, seconds))
    print(f"{name} takes no more connections, and ends in {seconds:.0f} s at the latest")
    return 0


async def _ask(layout: Layout, name: str, seconds: float | None) -> None:
    """Ask a role to end within so many seconds, or an agent for another seed."""
    client = DrainClient(layout.socket(name))
    try:
        await (client.reseed() if seconds is None else client.drain(seconds))
    except FatalError as error:
        raise CommandError(f"{name} does not answer") from error
    finally:
        await client.close()
