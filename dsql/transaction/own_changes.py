"""Changes that the server makes on its own account: each a commit by itself, as often as it takes.

A sequence's next block, an advisory lock. One that loses a conflict, or whose outcome stays unknown, begins
again on a new snapshot; so it has to see by itself whether it was done, and be done once only.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from dsql.errors import SqlError
from dsql.hub.waiter import Waiter
from dsql.transaction.interface import Transaction

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 200
BACKOFF_SECONDS_MIN, BACKOFF_SECONDS_MAX = 0.001, 0.05
_AGAIN = ("40001", "08007")  # done or not: the next look shows it

Result = TypeVar("Result")


def commit_change(
    begin: Callable[[], Transaction], change: Callable[[Transaction], Result], waiter: Waiter
) -> Result:
    """Commit a change of a fresh transaction; return what it returned. Raises SqlError."""
    for attempt in range(ATTEMPTS_MAX):
        transaction = begin()
        try:
            result = change(transaction)
            transaction.commit()
            return result
        except SqlError as error:
            if error.sqlstate not in _AGAIN:
                raise
            if attempt + 1 == ATTEMPTS_MAX:
                logger.warning("a change is given up", extra={"attempts": ATTEMPTS_MAX})
                raise
        finally:
            transaction.rollback()
        _back_off(waiter, attempt)
    raise AssertionError("the last attempt returns or raises")


def _back_off(waiter: Waiter, attempt: int) -> None:
    seconds = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2 ** min(attempt, 10))
    until = waiter.monotonic() + seconds * random.uniform(0.5, 1.0)
    while waiter.monotonic() < until:
        waiter.wait(until)
