"""One client's connection: made again when it is lost, and every error noted."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
from checkers.history import Outcome

# What a client has to expect while servers die: conflicts, unknown outcomes, lost connections, restarts.
EXPECTED = re.compile("40001|40003|08...|57P0.")
DISK_FULL = "53100"
NOT_COMMITTED = ("40001", DISK_FULL)  # what these say of a COMMIT is certain
_AGAIN_SECONDS = 0.02

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass
class Errors:
    """What went wrong for all clients: by SQLSTATE, and what no client should ever see."""

    full_expected: bool = False  # the disk may be full in this run
    counts: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, error: psycopg.Error) -> None:
        """Count an error."""
        state = error.sqlstate
        lost = state is None and isinstance(error, psycopg.OperationalError)
        known = lost or (state is not None and self._is_expected(state))
        with self._lock:
            self.counts["connection lost" if lost else state or "none"] += 1
            if not known:
                self.unexpected.append(f"{state}: {error}")

    def _is_expected(self, state: str) -> bool:
        return bool(EXPECTED.fullmatch(state)) or (self.full_expected and state == DISK_FULL)


class Told(NamedTuple):
    """What a client knows of a transaction: its outcome, and when it began and ended."""

    outcome: Outcome
    began: float
    ended: float


class Session:
    """A connection for one thread. `stopping` ends the attempts to connect."""

    def __init__(
        self, connect: Callable[[], Connection], errors: Errors, stopping: threading.Event
    ) -> None:
        self._connect = connect
        self._errors = errors
        self._stopping = stopping
        self._connection: Connection | None = None

    def ready(self) -> bool:
        """Be connected; False if that failed this time."""
        if self._connection is None or self._connection.closed:
            try:
                self._connection = self._connect()
            except psycopg.Error as error:
                self._errors.note(error)
                self._stopping.wait(_AGAIN_SECONDS)
                return False
        return True

    def transact(self, body: Callable[[Connection], None]) -> Told:
        """Run one transaction, and tell what is known of it."""
        connection = self._connection
        assert connection is not None
        began = time.monotonic()
        committing = False
        try:
            body(connection)
            committing = True
            connection.commit()
            outcome = Outcome.COMMITTED
        except psycopg.Error as error:
            self._errors.note(error)
            unknown = committing and error.sqlstate not in NOT_COMMITTED
            outcome = Outcome.UNKNOWN if unknown else Outcome.ABORTED
            self._forget(connection)
        return Told(outcome, began, time.monotonic())

    def close(self) -> None:
        """Leave."""
        if self._connection is not None:
            self._connection.close()

    def _forget(self, connection: Connection) -> None:
        try:
            connection.rollback()
        except psycopg.Error:
            connection.close()
