"""The transactions of one query processor: as many at once as it has sessions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count

from dsql.transaction.commit import Committer
from dsql.transaction.transaction import (
    BufferedTransaction,
    Limits,
    Replica,
    StartClock,
    Surroundings,
)
from dsql.transaction.usage import Usage

POSTGRES_LIMITS = Limits(rows_max=None)


def transaction_ids() -> Callable[[], bytes]:
    """Return a source of ids of 16 bytes that no other process makes: randomness, then a counter.

    To be called after the last fork.
    """
    start = os.urandom(10)
    numbers = count()
    return lambda: start + next(numbers).to_bytes(6, "big")


class TransactionManager:
    """Begins transactions of one cluster. Nothing here is ever asked of another process before a commit."""

    def __init__(
        self,
        replica: Replica,
        committer: Committer,
        clock: StartClock,
        limits: Limits | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        new_id: Callable[[], bytes] | None = None,
        usage: Usage | None = None,
    ) -> None:
        """`limits`: DSQL's by default; `POSTGRES_LIMITS` for the other profile. `usage`: where to count."""
        self._surroundings = Surroundings(
            replica,
            committer,
            clock,
            limits or Limits(),
            monotonic,
            new_id or transaction_ids(),
            Usage() if usage is None else usage,
        )

    def begin(self) -> BufferedTransaction:
        """Return a new transaction, without any write or timestamp."""
        return BufferedTransaction(self._surroundings)
