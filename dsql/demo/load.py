"""The shop's clients: they buy and look around at a pace, and count what became of it."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from dsql.demo.shop import Query, buy, look_around
from dsql.health.connection import ServerError

CONFLICT = "40001"
LATENCIES_KEPT = 1_000
_LOOKS_PER_PURCHASE = 2
_AGAIN_SECONDS = 0.02
_LOST_SECONDS = 0.5

Connect = Callable[[], AbstractAsyncContextManager[Query]]


class Account:
    """What the clients have done so far. Latencies, of the last purchases, in seconds."""

    def __init__(self) -> None:
        self.purchases = 0
        self.looks = 0
        self.conflicts = 0
        self.lost = 0
        self.latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)

    def line(self, seconds: float) -> str:
        """Return the account as people read it, after so many seconds."""
        rate = (self.purchases + self.looks) / seconds if seconds else 0.0
        median = statistics.median(self.latencies) * 1_000 if self.latencies else 0.0
        share = self.conflicts / max(1, self.conflicts + self.purchases)
        lost = f"  {self.lost} connections lost" if self.lost else ""
        return (
            f"{self.purchases:,} purchases  {rate:,.1f} transactions/s  {median:.0f} ms a purchase  "
            f"{self.conflicts:,} conflicts ({share:.1%}), tried again{lost}"
        )


class Load:
    """`connect` opens a session; `per_second`: transactions of all clients together."""

    def __init__(self, connect: Connect, clients: int, per_second: float, account: Account) -> None:
        self._connect = connect
        self._clients = clients
        self._pause = clients / per_second
        self._account = account

    async def run(self) -> None:
        """Go on until cancelled. Raises ServerError for what no client expects."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._serve(random.Random(number)))

    async def _serve(self, chance: random.Random) -> None:
        while True:
            try:
                async with self._connect() as query:
                    while True:
                        await self._visit(query, chance)
                        await asyncio.sleep(self._pause * 2 * chance.random())
            except (OSError, asyncio.IncompleteReadError):
                self._account.lost += 1
            except ServerError as error:
                if error.sqlstate[:2] not in ("08", "57"):
                    raise
                self._account.lost += 1
            await asyncio.sleep(_LOST_SECONDS)

    async def _visit(self, query: Query, chance: random.Random) -> None:
        if chance.randint(0, _LOOKS_PER_PURCHASE):
            await look_around(query, chance)
            self._account.looks += 1
            return
        began = time.monotonic()
        while not await self._is_done(lambda: buy(query, chance), query):
            self._account.conflicts += 1
            await asyncio.sleep(_AGAIN_SECONDS * chance.random())
        self._account.purchases += 1
        self._account.latencies.append(time.monotonic() - began)

    async def _is_done(self, work: Callable[[], Awaitable[None]], query: Query) -> bool:
        """Carry a transaction out; False if it has lost a conflict. Raises ServerError."""
        try:
            await work()
        except ServerError as error:
            if error.sqlstate != CONFLICT:
                raise
            await query("ROLLBACK")
            return False
        return True
