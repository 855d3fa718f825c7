"""Many clients at work while somebody does his worst to the server, and what their histories say of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from checkers.history import Anomaly
from load.session import Connection, Errors, Session
from load.workloads import Bank, Lists, Registers, Workload

_CLIENTS_END_SECONDS = 90
_POLL_SECONDS = 0.02


class Load:
    """Clients that each do transactions of every kind, in an order of their own. `connect` is theirs."""

    def __init__(self, connect: Callable[[], Connection], seed: int = 0) -> None:
        self.errors = Errors()
        self.workloads: dict[str, Workload] = {
            "bank": Bank(),
            "registers": Registers(),
            "lists": Lists(),
        }
        self._connect = connect
        self._seed = seed
        self._stopping = threading.Event()
        self._died: list[BaseException] = []

    def create(self) -> None:
        """Make the tables."""
        with self._connect() as connection:
            connection.autocommit = True
            for workload in self.workloads.values():
                workload.create(connection)

    @contextmanager
    def running(self, connections: int) -> Iterator[None]:
        """Run so many clients. At the end every one of them must end by itself."""
        clients = [threading.Thread(target=self._work, args=(n,)) for n in range(connections)]
        for client in clients:
            client.start()
        try:
            self.wait_for_more(connections, 30)
            yield
            self.wait_for_more(connections, 60)
        finally:
            self._stopping.set()
            for client in clients:
                client.join(_CLIENTS_END_SECONDS)
        assert not any(client.is_alive() for client in clients), "a client hangs"
        assert not self._died, self._died

    @property
    def committed(self) -> int:
        """So many transactions were acknowledged."""
        return sum(workload.committed for workload in self.workloads.values())

    def wait_for_more(self, transactions: int, seconds: float) -> None:
        """Return once so many more were acknowledged. Raises AssertionError after that time."""
        deadline, goal = time.monotonic() + seconds, self.committed + transactions
        while self.committed < goal:
            assert time.monotonic() < deadline, f"no progress: {self.errors}"
            assert not self._died, self._died
            time.sleep(_POLL_SECONDS)

    def check(self) -> list[Anomaly]:
        """Return what is wrong with what the clients saw."""
        session = Session(self._connect, self.errors, self._stopping)
        assert session.ready(), self.errors
        try:
            found = [a for workload in self.workloads.values() for a in workload.check(session)]
        finally:
            session.close()
        return found + [Anomaly("error", text) for text in self.errors.unexpected]

    def _work(self, client: int) -> None:
        chance = Random(f"{self._seed}/{client}")
        session = Session(self._connect, self.errors, self._stopping)
        workloads = list(self.workloads.values())
        try:
            while not self._stopping.is_set():
                if session.ready():
                    chance.choice(workloads).transact(session, chance, client)
            session.close()
        except Exception as error:
            self._died.append(error)
            raise
