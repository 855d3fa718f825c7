"""Anomalies of snapshot isolation that are in the literature and in PostgreSQL's isolation tests.

Each case is run in many interleavings. Whatever its serializable transactions were told, and what they have
left: the ones that have committed must come out the same if they run one after the other, in some order.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from memory_server import Peer, Server, letters, rows, tags

INTERLEAVINGS = 25


class Case(NamedTuple):
    """`known`: an interleaving that chance would find too seldom."""

    setup: str
    sessions: tuple[tuple[str, ...], ...]
    look: str
    known: tuple[int, ...] = ()


CASES = {
    "write skew": Case(
        "CREATE TABLE t (i int PRIMARY KEY, colour text); CREATE INDEX ON t (colour); "
        "INSERT INTO t SELECT i, CASE WHEN i % 2 = 0 THEN 'black' ELSE 'white' END "
        "FROM generate_series(1, 10) i",
        (
            ("UPDATE t SET colour = 'black' WHERE colour = 'white'",),
            ("UPDATE t SET colour = 'white' WHERE colour = 'black'",),
        ),
        "SELECT * FROM t ORDER BY i",
    ),
    "receipts of a batch that was closed": Case(
        "CREATE TABLE control (id int PRIMARY KEY, batch int); INSERT INTO control VALUES (1, 1); "
        "CREATE TABLE receipt (number int PRIMARY KEY, batch int); CREATE INDEX ON receipt (batch)",
        (
            ("INSERT INTO receipt VALUES (4, (SELECT batch FROM control))", "SELECT 1"),
            ("UPDATE control SET batch = batch + 1",),
            (
                "SELECT batch FROM control",
                "SELECT * FROM receipt WHERE batch = 1",
            ),
        ),
        "SELECT * FROM receipt ORDER BY number",
    ),
    "a room with two lessons": Case(
        "CREATE TABLE room (name text PRIMARY KEY, start int, stop int); "
        "INSERT INTO room VALUES ('101', 10, 12)",
        (
            (
                "SELECT count(*) FROM room WHERE start < 14 AND stop > 13",
                "UPDATE room SET start = 13, stop = 14 WHERE name = '101'",
            ),
            (
                "SELECT count(*) FROM room WHERE start < 14 AND stop > 13",
                "INSERT INTO room SELECT '102', 13, 14 WHERE NOT EXISTS "
                "(SELECT FROM room WHERE start < 14 AND stop > 13)",
            ),
        ),
        "SELECT * FROM room ORDER BY name",
    ),
    "more cash than there is": Case(
        "CREATE TABLE accounts (kind text PRIMARY KEY, balance int); "
        "INSERT INTO accounts VALUES ('checking', 600), ('savings', 600)",
        (
            (
                "UPDATE accounts SET balance = balance - 200 WHERE kind = 'checking'",
                "SELECT sum(balance) FROM accounts",
            ),
            (
                "UPDATE accounts SET balance = balance - 200 WHERE kind = 'savings'",
                "SELECT sum(balance) FROM accounts",
            ),
        ),
        "SELECT * FROM accounts ORDER BY kind",
    ),
    "a reader of a state that no order has": Case(
        "CREATE TABLE account (id text PRIMARY KEY, balance int); "
        "INSERT INTO account VALUES ('X', 0), ('Y', 0)",
        (
            (
                "SELECT balance FROM account WHERE id IN ('X', 'Y') ORDER BY id",
                "UPDATE account SET balance = -11 WHERE id = 'X'",
            ),
            (
                "SELECT balance FROM account WHERE id = 'Y'",
                "UPDATE account SET balance = 20 WHERE id = 'Y'",
            ),
            ("SELECT * FROM account WHERE id IN ('X', 'Y') ORDER BY id",),
        ),
        "SELECT * FROM account ORDER BY id",
        (0, 1, 1, 1, 2, 2, 0, 0),
    ),
    "a project of somebody who manages no more": Case(
        "CREATE TABLE person (id int PRIMARY KEY, manages bool); INSERT INTO person VALUES (1, true); "
        "CREATE TABLE project (id int PRIMARY KEY, manager int); CREATE INDEX ON project (manager)",
        (
            (
                "SELECT count(*) FROM person WHERE id = 1 AND manages",
                "INSERT INTO project SELECT 101, 1 WHERE EXISTS "
                "(SELECT FROM person WHERE id = 1 AND manages)",
            ),
            (
                "SELECT count(*) FROM project WHERE manager = 1",
                "UPDATE person SET manages = false WHERE id = 1 AND NOT EXISTS "
                "(SELECT FROM project WHERE manager = 1)",
            ),
        ),
        "SELECT manages, p.id FROM person LEFT JOIN project p ON manager = person.id",
    ),
}


def answered(peer: Peer, text: str) -> tuple[object, object] | None:
    """Return rows and tags, None for an error."""
    answers = peer.query(text)
    return None if "E" in letters(answers) else (rows(answers), tags(answers))


def play(
    case: Case, order: Sequence[int], level: str = "SERIALIZABLE"
) -> tuple[dict[int, list[object]], object]:
    """Run the sessions' steps in an order, by their numbers.

    Each session begins with its first step and commits behind its last one. Return what those were told
    that have committed, and what is left in the end.
    """
    server = Server("postgres")
    try:
        first = server.connect()
        for text in case.setup.split("; "):
            assert answered(first, text), text
        peers = [server.connect() for _ in case.sessions]
        left = [[f"BEGIN ISOLATION LEVEL {level}", *steps, "COMMIT"] for steps in case.sessions]
        told: dict[int, list[object]] = {number: [] for number in order}
        for number in order:
            steps = 2 if left[number][0].startswith("BEGIN") else 1
            for text in left[number][:steps]:
                told[number].append(answered(peers[number], text))
            del left[number][:steps]
        committed = {n: answers for n, answers in told.items() if None not in answers}
        return committed, first.rows(case.look)
    finally:
        server.stop()


def serial(case: Case, numbers: Sequence[int]) -> list[int]:
    """Return the order in which some sessions run one after the other."""
    return [number for number in numbers for _ in (*case.sessions[number], "COMMIT")]


def anomalies(case: Case, level: str, seed: str) -> list[list[int]]:
    """Return the interleavings that come out as no order of those that have committed."""
    outcomes = {
        numbers: play(case, serial(case, numbers))
        for count in range(len(case.sessions) + 1)
        for numbers in itertools.permutations(range(len(case.sessions)), count)
    }
    choose, found = random.Random(seed), []
    for number in range(INTERLEAVINGS):
        steps = serial(case, range(len(case.sessions)))
        choose.shuffle(steps)
        if not number and case.known:
            steps = list(case.known)
        told, end = play(case, steps, level)
        if (told, end) not in [outcomes[numbers] for numbers in itertools.permutations(told)]:
            found.append(steps)
    return found


@pytest.mark.one_process
@pytest.mark.parametrize("name", CASES)
def test_what_has_committed_is_as_if_run_one_after_the_other(name: str) -> None:
    assert not anomalies(CASES[name], "SERIALIZABLE", name)


@pytest.mark.one_process
@pytest.mark.parametrize("name", CASES)
def test_repeatable_read_shows_the_anomaly(name: str) -> None:
    assert anomalies(CASES[name], "REPEATABLE READ", name)
