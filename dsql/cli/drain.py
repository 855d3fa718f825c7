"""`dsql relay drain`: have a relay end without harm to anybody.

It takes no new connections, lets logins in progress and TLS 1.2 sessions (the only ones that need it to
the end) go on for a while, and ends; a supervisor starts it again, with the code of that moment. Meanwhile
the other relays of the port serve new connections.
"""

from __future__ import annotations

import asyncio

from dsql.cli.errors import CommandError
from dsql.control.layout import Layout
from dsql.control.running import relay_names
from dsql.errors import FatalError
from placement.client import RelayClient


def drain(layout: Layout, name: str, seconds: float) -> int:
    """Ask a relay to end within so many seconds. Raises CommandError."""
    known = relay_names(layout)
    if name not in known:
        raise CommandError(f"no relay is called {name}; there are: {', '.join(known) or 'none'}")
    asyncio.run(_ask(layout, name, seconds))
    print(f"{name} takes no more connections, and ends in {seconds:.0f} s at the latest")
    return 0


async def _ask(layout: Layout, name: str, seconds: float) -> None:
    client = RelayClient(layout.socket(name))
    try:
        await client.drain(seconds)
    except FatalError as error:
        raise CommandError(f"{name} does not answer") from error
    finally:
        await client.close()
