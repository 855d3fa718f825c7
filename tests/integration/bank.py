"""A bank under load: many connections move money while a test does its worst to the server.

Each transfer is one transaction: it reads two balances, writes both, and leaves a row with an id of its
own. What the client was told is kept for each id, so that the tables can be held against it afterwards.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from running_cluster import RunningCluster

ACCOUNTS = 100
OPENING_BALANCE = 1_000
# A session that is lost while its transaction runs may be told so in these ways, or in none.
_RETRYABLE = ("40001", "57P01", "57P02", "57P03")
_WORKERS_END_SECONDS = 60


@dataclass
class Book:
    """What the clients were told. `unexpected` holds errors that no client should ever see."""

    acknowledged: set[uuid.UUID] = field(default_factory=set)
    unknown: set[uuid.UUID] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    longest_stall_seconds: float = 0.0
    _newest: float = field(default_factory=time.monotonic)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def acknowledge(self, transfer: uuid.UUID) -> None:
        with self._changed:
            now = time.monotonic()
            self.longest_stall_seconds = max(self.longest_stall_seconds, now - self._newest)
            self._newest = now
            self.acknowledged.add(transfer)
            self._changed.notify_all()

    def fail(self, transfer: uuid.UUID | None, error: psycopg.Error, committing: bool) -> None:
        """Note an error; `transfer` is None if it came up while connecting."""
        lost = error.sqlstate is None and isinstance(error, psycopg.OperationalError)
        with self._changed:
            self.errors[
                error.sqlstate or ("connection lost" if transfer else str(error).strip()[-120:])
            ] += 1
            if committing and error.sqlstate not in ("40001", "53100"):
                assert transfer is not None
                self.unknown.add(transfer)
            if not (lost or _is_retryable(error.sqlstate)):
                self.unexpected.append(f"{error.sqlstate}: {error}")

    def forget_stall(self) -> None:
        """Measure stalls from here."""
        with self._changed:
            self.longest_stall_seconds = 0.0

    def wait_for_more(self, transfers: int, seconds: float) -> None:
        """Return once so many more transfers were acknowledged. Raises AssertionError after that time."""
        with self._changed:
            goal = len(self.acknowledged) + transfers
            reached = self._changed.wait_for(lambda: len(self.acknowledged) >= goal, seconds)
        assert reached, f"no progress: {self.errors}, {self.unexpected[:5]}"


def _is_retryable(sqlstate: str | None) -> bool:
    return sqlstate is not None and (sqlstate in _RETRYABLE or sqlstate.startswith("08"))


class Bank:
    """Tables, workers and the audit."""

    def __init__(self, cluster: RunningCluster) -> None:
        self.book = Book()
        suffix = uuid.uuid4().hex[:8]
        self._accounts, self._transfers = f"accounts_{suffix}", f"transfers_{suffix}"
        self._dsn = cluster.dsn() | {"connect_timeout": "10"}
        self._stopping = threading.Event()
        self._workers: list[threading.Thread] = []

    def open(self) -> None:
        """Create the tables."""
        with psycopg.connect(**self._dsn, autocommit=True) as connection:
            connection.execute(
                f"create table {self._accounts} (id int primary key, balance int not null)"
            )
            connection.execute(
                f"create table {self._transfers} (id uuid primary key, source int, target int, amount int)"
            )
            connection.execute(
                f"insert into {self._accounts} select n, %s from generate_series(1, %s) n",
                [OPENING_BALANCE, ACCOUNTS],
            )

    def start(self, connections: int) -> None:
        """Begin to move money over so many connections."""
        for number in range(connections):
            worker = threading.Thread(target=self._work, args=(random.Random(number),))
            worker.start()
            self._workers.append(worker)

    def stop(self) -> None:
        """Let every worker finish its transfer."""
        self._stopping.set()
        for worker in self._workers:
            worker.join(_WORKERS_END_SECONDS)
        assert not any(worker.is_alive() for worker in self._workers), "a client hangs"

    def run(self, connections: int, disturb: Callable[[], None]) -> None:
        """Move money while `disturb` runs, and for a moment after it."""
        self.start(connections)
        try:
            self.book.wait_for_more(100, 20)  # everybody is in
            self.book.forget_stall()
            disturb()
            self.book.wait_for_more(20, 30)
        finally:
            self.stop()

    def audit(self) -> None:
        """Hold the tables against what the clients were told."""
        with psycopg.connect(**self._dsn) as connection:
            balances = dict(
                connection.execute(f"select id, balance from {self._accounts}").fetchall()
            )
            rows = connection.execute(
                f"select id, source, target, amount from {self._transfers}"
            ).fetchall()
        book = self.book
        assert not book.unexpected, book.unexpected[:5]
        made = {row[0] for row in rows}
        assert book.acknowledged <= made, f"{len(book.acknowledged - made)} transfers were lost"
        assert made <= book.acknowledged | book.unknown, "a transfer that failed was made"
        expected = dict.fromkeys(range(1, ACCOUNTS + 1), OPENING_BALANCE)
        for _, source, target, amount in rows:
            expected[source] -= amount
            expected[target] += amount
        assert balances == expected
        assert sum(balances.values()) == ACCOUNTS * OPENING_BALANCE

    def _work(self, chance: random.Random) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not self._stopping.is_set():
            if connection is None or connection.closed:
                connection = self._connect()
            else:
                self._transfer(connection, chance)
        if connection is not None:
            connection.close()

    def _connect(self) -> psycopg.Connection[Any] | None:
        try:
            return psycopg.connect(**self._dsn)
        except psycopg.Error as error:
            self.book.fail(None, error, committing=False)
            self._stopping.wait(0.02)
            return None

    def _transfer(self, connection: psycopg.Connection[Any], chance: random.Random) -> None:
        transfer = uuid.UUID(int=chance.getrandbits(128))
        source, target = chance.sample(range(1, ACCOUNTS + 1), 2)
        amount = chance.randint(1, 20)
        committing = False
        try:
            read = f"select balance from {self._accounts} where id = %s"
            before = [connection.execute(read, [a]).fetchone() for a in (source, target)]
            assert before[0] is not None
            assert before[1] is not None
            write = f"update {self._accounts} set balance = %s where id = %s"
            connection.execute(write, [before[0][0] - amount, source])
            connection.execute(write, [before[1][0] + amount, target])
            connection.execute(
                f"insert into {self._transfers} values (%s, %s, %s, %s)",
                [transfer, source, target, amount],
            )
            committing = True
            connection.commit()
        except psycopg.Error as error:
            self.book.fail(transfer, error, committing)
            if not connection.closed:
                connection.rollback()
        else:
            self.book.acknowledge(transfer)
