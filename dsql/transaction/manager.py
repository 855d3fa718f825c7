"""The transactions of one query processor: one after another, on one reused object."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count

from dsql.transaction.commit import Committer
from dsql.transaction.interface import Snapshot
from dsql.transaction.transaction import (
    BufferedTransaction,
    Limits,
    Replica,
    StartClock,
    Surroundings,
)

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
    ) -> None:
        """`limits`: DSQL's by default; `POSTGRES_LIMITS` for the other profile."""
        self._replica = replica
        self._clock = clock
        self._transaction = BufferedTransaction(
            Surroundings(
                replica,
                committer,
                clock,
                limits or Limits(),
                monotonic,
                new_id or transaction_ids(),
            )
        )

    def begin(self) -> BufferedTransaction:
        """Return a transaction without any write or timestamp; one that was still open is rolled back."""
        transaction = self._transaction
        transaction.rollback()
        return transaction

    def read_only(self) -> Snapshot:
        """Return a snapshot of now, for reads that need no transaction; call `release` after them."""
        return self._replica.snapshot(self._clock.latest())

    def release(self) -> None:
        """End the reads of `read_only`."""
        self._replica.release()
