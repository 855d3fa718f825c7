"""The checkers pass what strict snapshot isolation makes, and catch each anomaly that is planted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from random import Random

import pytest
from checkers import bank, list_append, register
from checkers.bank import Books, Snapshot, Transfer
from checkers.history import Anomaly, Operation, Outcome, Read, Transaction, Write
from hypothesis import given, settings
from hypothesis import strategies as st

Check = Callable[[Sequence[Transaction]], list[Anomaly]]
OK, ABORTED, UNKNOWN = Outcome


def t(began: float, ended: float, *operations: Operation, outcome: Outcome = OK) -> Transaction:
    return Transaction(0, list(operations), outcome, began, ended)


def names(anomalies: Sequence[Anomaly]) -> set[str]:
    return {anomaly.name for anomaly in anomalies}


def r(key: int, *values: int) -> Read:
    return Read(key, values)


LISTS = {
    "G0": [
        # Two transactions append to both lists, each first to another one.
        t(0, 9, Write(1, 1), Write(2, 2)),
        t(0, 9, Write(1, 3), Write(2, 4)),
        t(10, 11, r(1, 1, 3), r(2, 4, 2)),
    ],
    "G1a": [t(0, 1, Write(1, 1), outcome=ABORTED), t(2, 3, r(1, 1))],
    "G1b": [t(0, 5, Write(1, 1), Write(1, 2)), t(0, 5, r(1, 1)), t(6, 7, r(1, 1, 2))],
    "G1c": [
        t(0, 5, Write(1, 1), r(2, 2)),
        t(0, 5, Write(2, 2), r(1, 1)),
        t(6, 7, r(1, 1), r(2, 2)),
    ],
    "G-single": [
        # Sees the second transaction's append to 2 and misses that to 1.
        t(0, 5, Write(1, 1), Write(2, 2)),
        t(0, 5, r(1), r(2, 2)),
        t(6, 7, r(1, 1), r(2, 2)),
    ],
    "lost": [t(0, 1, Write(1, 1)), t(0, 1, Write(1, 2)), t(2, 3, r(1, 2))],
    "real-time": [t(0, 1, Write(1, 1)), t(2, 3, r(1)), t(4, 5, r(1, 1))],
    "incompatible-order": [
        t(0, 5, Write(1, 1)),
        t(0, 5, Write(1, 2)),
        t(0, 5, r(1, 1, 2)),
        t(0, 5, r(1, 2)),
    ],
    "duplicate": [t(0, 1, Write(1, 1)), t(2, 3, r(1, 1, 1))],
    "internal": [t(0, 1, Write(1, 1), r(1)), t(2, 3, r(1, 1))],
    "garbage": [t(0, 1, r(1, 7))],
}
REGISTERS = {
    "lost-update": [t(0, 5, r(1), Write(1, 1)), t(0, 5, r(1), Write(1, 2)), t(6, 7, r(1, 2))],
    "G1a": [t(0, 1, r(1), Write(1, 1), outcome=ABORTED), t(2, 3, r(1, 1))],
    "G1b": [t(0, 5, r(1), Write(1, 1), Write(1, 2)), t(0, 5, r(1, 1)), t(6, 7, r(1, 2))],
    "G-single": [
        t(0, 5, r(1), r(2), Write(1, 1), Write(2, 2)),
        t(0, 5, r(1), r(2, 2)),
        t(6, 7, r(1, 1), r(2, 2)),
    ],
    "real-time": [t(0, 1, r(1), Write(1, 1)), t(2, 3, r(1)), t(4, 5, r(1, 1))],
    "internal": [t(0, 1, r(1), Write(1, 1), r(1)), t(2, 3, r(1, 1))],
    "garbage": [t(0, 1, r(1, 7))],
}


@pytest.mark.parametrize(("name", "history"), LISTS.items())
def test_each_anomaly_of_lists_is_caught(name: str, history: list[Transaction]) -> None:
    assert name in names(list_append.check(history))


@pytest.mark.parametrize(("name", "history"), REGISTERS.items())
def test_each_anomaly_of_registers_is_caught(name: str, history: list[Transaction]) -> None:
    assert name in names(register.check(history))


def test_two_that_each_see_only_one_of_two_writes_are_caught() -> None:
    """Long fork: snapshots that no one order of commits explains."""
    writes = [t(0, 9, Write(1, 1)), t(0, 9, Write(2, 2))]
    forked = [t(0, 9, r(1, 1), r(2)), t(0, 9, r(1), r(2, 2))]
    last = t(10, 11, r(1, 1), r(2, 2))
    assert names(list_append.check([*writes, *forked, last])) == {"G-SI"}
    assert list_append.check([*writes, forked[0], last]) == []


def test_write_skew_is_allowed() -> None:
    skewed = [t(0, 5, r(2), Write(1, 1)), t(0, 5, r(1), Write(2, 2))]
    assert list_append.check([*skewed, t(6, 7, r(1, 1), r(2, 2))]) == []


def test_an_unknown_outcome_may_be_either_but_not_both() -> None:
    unknown = t(0, 1, Write(1, 1), Write(2, 2), outcome=UNKNOWN)
    assert list_append.check([unknown, t(2, 3, r(1), r(2))]) == []
    assert list_append.check([unknown, t(2, 3, r(1, 1), r(2, 2))]) == []
    half = [unknown, t(2, 3, r(1), r(2, 2)), t(4, 5, r(1, 1))]
    assert names(list_append.check(half)) == {"G-single"}
    lost = [unknown, t(2, 3, r(1, 1)), t(4, 5, r(1))]
    assert names(list_append.check(lost)) == {"real-time"}


def test_an_unknown_outcome_may_come_about_after_its_client_has_left() -> None:
    late = t(0, 1, Write(1, 1), outcome=UNKNOWN)
    assert list_append.check([late, t(2, 3, r(1)), t(4, 5, r(1, 1))]) == []


def test_what_was_seen_only_through_another_unknown_took_place() -> None:
    first = t(0, 1, r(1), Write(1, 1), outcome=UNKNOWN)
    second = t(2, 3, r(1, 1), Write(1, 2), outcome=UNKNOWN)
    assert register.check([first, second, t(4, 5, r(1, 2))]) == []


class Database:
    """Snapshot isolation with first committer wins, one step at a time; `broken` breaks one rule of it."""

    def __init__(self, chance: Random, *, lists: bool, broken: str) -> None:
        self.chance = chance
        self.lists = lists
        self.broken = broken
        self.history: list[Transaction] = []
        self._clock = itertools.count(1)
        self._values = itertools.count(1)
        self._versions: dict[int, list[tuple[int, tuple[int, ...]]]] = {}  # (committed at, value)

    def run(self, clients: int, steps: int, keys: int) -> list[Transaction]:
        running = [self._transaction(client, keys) for client in range(clients)]
        for _ in range(steps):
            client = self.chance.randrange(clients)
            if next(running[client], None) is None:
                running[client] = self._transaction(client, keys)
        began = next(self._clock)
        reads = [Read(key, self._read(key, began)) for key in range(keys)]
        self.history.append(Transaction(-1, list(reads), OK, began, next(self._clock)))
        return self.history

    def _transaction(self, client: int, keys: int):
        began = start = next(self._clock)
        if self.broken == "stale":
            start = max(0, start - self.chance.randrange(40))
        operations: list[Operation] = []
        own: dict[int, tuple[int, ...]] = {}
        for _ in range(self.chance.randint(1, 4)):
            key = self.chance.randrange(keys)
            fresh = self.broken == "unrepeatable"
            value = own.get(key, self._read(key, next(self._clock) if fresh else start))
            if not self.lists or self.chance.random() < 0.5:
                operations.append(Read(key, value))
            if self.chance.random() < 0.5:
                new = next(self._values)
                operations.append(Write(key, new))
                own[key] = (*value, new) if self.lists else (new,)
            yield True
        self._finish(client, operations, own, start, began)

    def _finish(
        self,
        client: int,
        operations: list[Operation],
        own: dict[int, tuple[int, ...]],
        start: int,
        began: int,
    ) -> None:
        commit = next(self._clock)
        conflict = any(self._versions.get(key, [(0, ())])[-1][0] > start for key in own)
        done = (not conflict or self.broken == "no conflicts") and self.chance.random() < 0.9
        told = UNKNOWN if self.chance.random() < 0.1 else OK if done else ABORTED
        if done and not (self.broken == "forgetful" and self.chance.random() < 0.1):
            for key, value in own.items():
                self._versions.setdefault(key, []).append((commit, value))
        self.history.append(Transaction(client, operations, told, began, next(self._clock)))

    def _read(self, key: int, at: int) -> tuple[int, ...]:
        values = [value for committed, value in self._versions.get(key, []) if committed <= at]
        return values[-1] if values else ()


@pytest.mark.parametrize(("check", "lists"), [(list_append.check, True), (register.check, False)])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_snapshot_isolation_has_no_anomaly(check: Check, lists: bool, seed: int) -> None:
    database = Database(Random(seed), lists=lists, broken="")
    assert check(database.run(clients=6, steps=300, keys=4)) == []


@pytest.mark.parametrize("broken", ["no conflicts", "stale", "forgetful", "unrepeatable"])
@pytest.mark.parametrize(("check", "lists"), [(list_append.check, True), (register.check, False)])
def test_a_broken_rule_shows_within_a_few_hundred_transactions(
    check: Check, lists: bool, broken: str
) -> None:
    for seed in range(5):
        database = Database(Random(seed), lists=lists, broken=broken)
        assert check(database.run(clients=6, steps=1_000, keys=4)) != []


OPENING = {1: 10, 2: 10, 3: 10}


def books(*transfers: tuple[int, int, int, int]) -> Books:
    balances = dict(OPENING)
    for _, source, target, amount in transfers:
        balances[source] -= amount
        balances[target] += amount
    return Books({number: (a, b, amount) for number, a, b, amount in transfers}, balances)


def test_a_bank_whose_transfers_explain_it_is_sound() -> None:
    made = [Transfer(1, 1, 2, 3, OK), Transfer(2, 2, 3, 4, UNKNOWN), Transfer(3, 1, 3, 1, ABORTED)]
    seen = [Snapshot(OPENING), Snapshot({1: 7, 2: 13, 3: 10})]
    for end in (books((1, 1, 2, 3)), books((1, 1, 2, 3), (2, 2, 3, 4))):
        assert list(bank.check(OPENING, made, seen, end)) == []


@pytest.mark.parametrize(
    ("name", "transfers", "snapshots", "end"),
    [
        ("lost", [Transfer(1, 1, 2, 3, OK)], [], books()),
        ("G1a", [Transfer(1, 1, 2, 3, ABORTED)], [], books((1, 1, 2, 3))),
        ("garbage", [], [], books((1, 1, 2, 3))),
        ("garbage", [Transfer(1, 1, 2, 4, OK)], [], books((1, 1, 2, 3))),
        ("sum", [], [Snapshot({1: 10, 2: 13, 3: 10})], books()),
        ("balances", [], [], Books({}, {1: 9, 2: 11, 3: 10})),
    ],
)
def test_each_anomaly_of_a_bank_is_caught(
    name: str, transfers: list[Transfer], snapshots: list[Snapshot], end: Books
) -> None:
    assert name in names(list(bank.check(OPENING, transfers, snapshots, end)))
