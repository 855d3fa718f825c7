"""Running a transaction again when it lost against a concurrent one (SQLSTATE 40001).

Only the whole transaction may be repeated: the loser's snapshot is out of date, so its reads must be
made anew. Backoff doubles from 1 ms to 100 ms with a quarter of jitter, three times by default, which
are the numbers of the official connectors. Nothing else is repeated: a constraint violation would fail
again, and after a lost connection the transaction may have been committed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")

SERIALIZATION_FAILURE = "40001"
_CONFLICT_MARKS = ("(OC000)", "(OC001)")


class Backoff(NamedTuple):
    """How often to repeat, and how long to wait before each time (seconds)."""

    retries: int = 3
    base_seconds: float = 0.001
    cap_seconds: float = 0.1
    jitter: float = 0.25

    def delays(self, random_fraction: Callable[[], float] = random.random) -> Iterator[float]:
        """Yield one delay per retry; `random_fraction` returns a number from 0 to 1."""
        for attempt in range(self.retries):
            delay = min(self.cap_seconds, self.base_seconds * 2**attempt)
            yield delay * (1 + self.jitter * (2 * random_fraction() - 1))


DEFAULT_BACKOFF = Backoff()


def is_conflict(error: BaseException) -> bool:
    """True for an error of psycopg, asyncpg or another driver that says that a transaction lost.

    Drivers keep the SQLSTATE in `sqlstate` or `pgcode`; where one has neither, DSQL's codes in the text do.
    SQLAlchemy and the like wrap the driver's error in `orig`.
    """
    inner = getattr(error, "orig", None)
    if isinstance(inner, BaseException):
        return is_conflict(inner)
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state:
        return bool(state == SERIALIZATION_FAILURE)
    return any(mark in str(error) for mark in _CONFLICT_MARKS)


def retry_on_conflict(
    transaction: Callable[[], Result], backoff: Backoff = DEFAULT_BACKOFF
) -> Result:
    """Call `transaction`, again after each conflict, and return its result.

    `transaction` begins, does all its reads and writes, and commits. Its last conflict is raised.
    """
    for delay in backoff.delays():
        try:
            return transaction()
        except Exception as error:
            if not is_conflict(error):
                raise
        time.sleep(delay)
    return transaction()


async def retry_on_conflict_async(
    transaction: Callable[[], Awaitable[Result]],
    backoff: Backoff = DEFAULT_BACKOFF,
) -> Result:
    """Do as `retry_on_conflict` with a coroutine function."""
    for delay in backoff.delays():
        try:
            return await transaction()
        except Exception as error:
            if not is_conflict(error):
                raise
        await asyncio.sleep(delay)
    return await transaction()
