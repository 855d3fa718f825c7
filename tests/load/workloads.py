"""What the clients do: a bank, registers, and lists, each with a history that its checker can judge."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from random import Random
from typing import Protocol

from checkers import bank, list_append, register
from checkers.bank import Books, Snapshot, Transfer
from checkers.history import Anomaly, Operation, Outcome, Read, Transaction, Write
from load.session import Connection, Session, Told

ACCOUNTS, OPENING_BALANCE = 100, 1_000
REGISTERS = 40
LISTS, LIST_ELEMENTS_MAX = 12, 40  # at a time; a list that is full gives way to a new one
OPERATIONS_MAX = 4


class Workload(Protocol):
    """Transactions of one kind on tables of their own."""

    committed: int

    def create(self, connection: Connection) -> None:
        """Make the tables, with autocommit."""
        ...

    def transact(self, session: Session, chance: Random, client: int) -> None:
        """Do one transaction and remember what came of it."""
        ...

    def check(self, session: Session) -> list[Anomaly]:
        """Look at everything once more, and judge."""
        ...


class Keys:
    """Objects that are read and written by number: what registers and lists have in common."""

    table: str
    read: str

    def __init__(self) -> None:
        self.committed = 0
        self.history: list[Transaction] = []
        self.values = itertools.count(1)
        self.lock = threading.Lock()

    def parse(self, shown: object) -> tuple[int, ...]:
        """Return the values that a row shows."""
        raise NotImplementedError

    def select(self, connection: Connection, key: int) -> Read:
        """Read a key."""
        row = connection.execute(self.read, [key]).fetchone()
        return Read(key, self.parse(row[0] if row else None))

    def remember(self, client: int, operations: list[Operation], told: Told) -> None:
        """Take a transaction into the history."""
        with self.lock:
            self.history.append(Transaction(client, operations, *told))
            self.committed += told.outcome is Outcome.COMMITTED

    def read_everything(self, session: Session) -> None:
        """Read every key in one transaction, which is the last one of the history."""
        operations: list[Operation] = []

        def body(connection: Connection) -> None:
            rows = connection.execute(f"select k, v from {self.table}").fetchall()
            operations.extend(Read(key, self.parse(shown)) for key, shown in rows)

        told = session.transact(body)
        assert told.outcome is Outcome.COMMITTED
        self.remember(-1, operations, told)


class Registers(Keys):
    """Each transaction reads some registers, and writes some of those that it has read."""

    table = "load_registers"
    read = f"select v from {table} where k = %s"

    def create(self, connection: Connection) -> None:
        """See Workload."""
        connection.execute(f"create table {self.table} (k int primary key, v bigint)")
        connection.execute(
            f"insert into {self.table} select n, null from generate_series(1, {REGISTERS}) n"
        )

    def parse(self, shown: object) -> tuple[int, ...]:
        """See Keys."""
        return () if shown is None else (int(str(shown)),)

    def transact(self, session: Session, chance: Random, client: int) -> None:
        """See Workload."""
        operations: list[Operation] = []
        keys = chance.sample(range(1, REGISTERS + 1), chance.randint(1, OPERATIONS_MAX))

        def body(connection: Connection) -> None:
            for key in keys:
                operations.append(self.select(connection, key))
                if chance.random() < 0.5:
                    write = Write(key, next(self.values))
                    operations.append(write)
                    update = f"update {self.table} set v = %s where k = %s"
                    connection.execute(update, [write.value, key])

        self.remember(client, operations, session.transact(body))

    def check(self, session: Session) -> list[Anomaly]:
        """See Workload."""
        self.read_everything(session)
        return register.check(self.history)


class Lists(Keys):
    """Each transaction appends to some lists and reads some, in any order."""

    table = "load_lists"
    read = f"select v from {table} where k = %s"

    def __init__(self) -> None:
        super().__init__()
        self._keys = list(range(1, LISTS + 1))
        self._appends = [0] * LISTS  # to the list in each place

    def create(self, connection: Connection) -> None:
        """See Workload."""
        connection.execute(f"create table {self.table} (k int primary key, v text not null)")

    def parse(self, shown: object) -> tuple[int, ...]:
        """See Keys."""
        return () if shown is None else tuple(map(int, str(shown).split(",")))

    def transact(self, session: Session, chance: Random, client: int) -> None:
        """See Workload."""
        operations: list[Operation] = []
        upsert = (
            f"insert into {self.table} as own values (%s, %s) "
            "on conflict (k) do update set v = own.v || ',' || excluded.v"
        )

        def body(connection: Connection) -> None:
            for _ in range(chance.randint(1, OPERATIONS_MAX)):
                if chance.random() < 0.5:
                    write = Write(self._key_to_append(chance), next(self.values))
                    operations.append(write)
                    connection.execute(upsert, [write.key, str(write.value)])
                else:
                    operations.append(self.select(connection, chance.choice(self._keys)))

        self.remember(client, operations, session.transact(body))

    def check(self, session: Session) -> list[Anomaly]:
        """See Workload."""
        self.read_everything(session)
        return list_append.check(self.history)

    def _key_to_append(self, chance: Random) -> int:
        with self.lock:
            place = chance.randrange(LISTS)
            key = self._keys[place]
            self._appends[place] += 1
            if self._appends[place] == LIST_ELEMENTS_MAX:
                self._keys[place], self._appends[place] = max(self._keys) + 1, 0
            return key


class Bank:
    """Each transaction moves money and leaves a row about it, or looks at all balances."""

    def __init__(self) -> None:
        self.committed = 0
        self._transfers: list[Transfer] = []
        self._snapshots: list[Snapshot] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def create(self, connection: Connection) -> None:
        """See Workload."""
        connection.execute("create table load_accounts (id int primary key, balance int not null)")
        connection.execute(
            "create table load_transfers (id bigint primary key, source int, target int, amount int)"
        )
        connection.execute(
            f"insert into load_accounts select n, {OPENING_BALANCE} from generate_series(1, {ACCOUNTS}) n"
        )

    def transact(self, session: Session, chance: Random, client: int) -> None:
        """See Workload."""
        if chance.random() < 0.1:
            self._look(session)
        else:
            self._transfer(session, chance)

    def check(self, session: Session) -> list[Anomaly]:
        """See Workload."""
        kept: dict[int, tuple[int, int, int]] = {}

        def body(connection: Connection) -> None:
            rows = connection.execute("select id, source, target, amount from load_transfers")
            kept.update({number: (a, b, amount) for number, a, b, amount in rows})

        assert session.transact(body).outcome is Outcome.COMMITTED
        assert self._look(session) is Outcome.COMMITTED
        books = Books(kept, self._snapshots[-1].balances)
        opening = dict.fromkeys(range(1, ACCOUNTS + 1), OPENING_BALANCE)
        return list(bank.check(opening, self._transfers, self._snapshots, books))

    def _look(self, session: Session) -> Outcome:
        balances: dict[int, int] = {}

        def body(connection: Connection) -> None:
            balances.update(connection.execute("select id, balance from load_accounts").fetchall())

        outcome = session.transact(body).outcome
        if outcome is Outcome.COMMITTED:
            self._snapshots.append(Snapshot(balances))
        return outcome

    def _transfer(self, session: Session, chance: Random) -> None:
        number, amount = next(self._numbers), chance.randint(1, 20)
        source, target = chance.sample(range(1, ACCOUNTS + 1), 2)

        def body(connection: Connection) -> None:
            balances = list(_balances(connection, (source, target)))
            update = "update load_accounts set balance = %s where id = %s"
            connection.execute(update, [balances[0] - amount, source])
            connection.execute(update, [balances[1] + amount, target])
            insert = "insert into load_transfers values (%s, %s, %s, %s)"
            connection.execute(insert, [number, source, target, amount])

        outcome = session.transact(body).outcome
        with self._lock:
            self._transfers.append(Transfer(number, source, target, amount, outcome))
            self.committed += outcome is Outcome.COMMITTED


def _balances(connection: Connection, accounts: tuple[int, ...]) -> Iterator[int]:
    for account in accounts:
        read = "select balance from load_accounts where id = %s"
        row = connection.execute(read, [account]).fetchone()
        assert row is not None
        yield row[0]
