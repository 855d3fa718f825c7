"""Three clients that never stop: one commits, one reads, one connects. They measure, and they check.

The committing one writes ever higher numbers into one row. What the reading one sees must not be lower
than what had been acknowledged when it asked, nor than what it saw before, and not higher than what was
tried. Errors are those that a client has to expect while servers die, and no others.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from dsql.chaos.stalls import PROBES, Pulse
from dsql.health.connection import Door, ServerError, Session

# Conflicts; commits of unknown outcome; lost connections; servers that end or start.
EXPECTED = re.compile("40001|40003|08...|57P0.")
WITHOUT_ROOM = "53100"  # expected as well while there is none
ANSWER_SECONDS = 30.0  # after that a probe gives its connection up, as a client would
_REST_SECONDS = 0.005
_CONNECT_REST_SECONDS = 0.03  # a cluster lets in 100 a second
_LOST = (OSError, asyncio.IncompleteReadError, TimeoutError)


class Probes:
    """The clients. `table` is theirs alone. `violations` are sentences about what must not be."""

    def __init__(self, make_door: Callable[[], Door], table: str) -> None:
        self.pulses = {name: Pulse() for name in PROBES}
        self.violations: list[str] = []
        self.errors: Counter[str] = Counter()
        self.room_expected = True
        self._make_door = make_door
        self._table = table
        self._tried = 0
        self._acknowledged = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the clients; on return each has succeeded once. At the end, look at the row once more."""
        await self._create()
        bodies = (self._commit, self._read)
        clients = [
            *(asyncio.create_task(self._repeat(body, PROBES[n])) for n, body in enumerate(bodies)),
            asyncio.create_task(self._connect()),
        ]
        try:
            while not all(pulse.newest for pulse in self.pulses.values()):
                await asyncio.sleep(_REST_SECONDS)
                for client in clients:
                    if client.done():
                        client.result()
            yield
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
            await self._drop()

    async def _create(self) -> None:
        session = await Session.open(self._make_door(), "dsql chaos")
        with contextlib.closing(session):
            await session.query(f"create table {self._table} (id int primary key, n bigint)")
            await session.query(f"insert into {self._table} values (1, 0)")

    async def _drop(self) -> None:
        with contextlib.suppress(*_LOST, ServerError):
            async with asyncio.timeout(ANSWER_SECONDS):
                session = await Session.open(self._make_door(), "dsql chaos")
                with contextlib.closing(session):
                    await self._read(session)
                    await session.query(f"drop table {self._table}")

    async def _commit(self, session: Session) -> None:
        self._tried += 1
        number = self._tried
        await session.query(f"update {self._table} set n = {number} where id = 1")
        self._acknowledged = number

    async def _read(self, session: Session) -> None:
        known = self._acknowledged
        rows = await session.query(f"select n from {self._table} where id = 1")
        seen = int(rows[0][0] or 0) if rows else -1
        if seen < known:
            self._violate(f"read {seen} after {known} had been acknowledged or read")
        elif seen > self._tried:
            self._violate(f"read {seen}, and {self._tried} is the highest that was written")
        # What was seen is committed, whether or not its writer has been told so.
        self._acknowledged = max(self._acknowledged, seen)

    async def _repeat(self, body: Callable[[Session], Awaitable[None]], name: str) -> None:
        """Do something again and again over one session, and over another one when that is lost."""
        session: Session | None = None
        try:
            while True:
                lost = False
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        if session is None:
                            session = await Session.open(self._make_door(), "dsql chaos")
                        await body(session)
                    self._beat(name)
                except ServerError as error:
                    self._note(name, error)
                    lost = error.sqlstate[:2] in ("08", "57")
                except _LOST:
                    self.errors[f"{name}: connection lost"] += 1
                    lost = True
                if lost and session is not None:
                    session.close()
                    session = None
                await asyncio.sleep(_REST_SECONDS)
        finally:
            if session is not None:
                session.close()

    async def _connect(self) -> None:
        name = PROBES[2]
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    session = await Session.open(self._make_door(), "dsql chaos")
                    with contextlib.closing(session):
                        await session.query("select 1")
                self._beat(name)
            except ServerError as error:
                self._note(name, error)
            except _LOST:
                self.errors[f"{name}: no connection"] += 1
            await asyncio.sleep(_CONNECT_REST_SECONDS)

    def _beat(self, name: str) -> None:
        self.pulses[name].beat(asyncio.get_running_loop().time())

    def _note(self, name: str, error: ServerError) -> None:
        self.errors[f"{name}: {error.sqlstate}"] += 1
        full = error.sqlstate == WITHOUT_ROOM and not self.room_expected
        if not (full or EXPECTED.fullmatch(error.sqlstate)):
            self._violate(f"{name}: unexpected error {error}")

    def _violate(self, text: str) -> None:
        if text not in self.violations:
            self.violations.append(text)
