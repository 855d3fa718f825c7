"""The same acts in a session here and in one of a real PostgreSQL, and what differs in the answers."""

from __future__ import annotations

import re
import socket
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.acts import Act, Acts
from fuzz.runner import ROWS
from memory_server import Peer, Server

from dsql.wire import client

TABLES = """
    create table t (id int4 primary key, a int4, b text, n numeric); create index on t (a);
    create table u
        (id int8 primary key check (id > 0), t_id int4, code text unique, flag bool default true);
    create table heap (x int4, y text);
    create table pair (k1 int4, k2 text, v int4, primary key (k1, k2));
    create table odd (id int4 primary key, mail text, active bool, z int4);
    create unique index on odd (lower(mail)); create unique index on odd (z) where active;
    create unique index on odd (mail, active) nulls not distinct
"""
# What may come out in more than one way: which rows, in which order, or as of when.
AMBIGUOUS = re.compile(
    r"\b(limit|offset|fetch|move|distinct on|random|now|for (update|share|no key|key)|explain|over|"
    r"array_agg|jsonb_agg|string_agg|mode|array|corr|ctid|update \w+ w set .* from)\b"
)
_WRITES = re.compile(r"\b(insert|update|delete)\b")
EXCUSED = {"22", "0A", "55", "57"}  # classes of SQLSTATEs: values, features, states, timeouts
TIMEOUT = "2s"
# Of min, max, bool_and or bool_or FETCH FIRST n WITH TIES: PostgreSQL hands the clause on to the subquery
# that it makes of the aggregate.
_TIES = ["21000"]


@dataclass
class Answers:
    """What an act is answered: tags, rows as texts, and the SQLSTATE of each error."""

    tags: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Session:
    """One session with the tables, here or there."""

    def __init__(self, peer: Peer, *setup: str) -> None:
        self.peer = peer
        texts = (*setup, TABLES, *ROWS, f"set statement_timeout = '{TIMEOUT}'")
        for text in texts:
            for statement in text.split(";"):
                answers = peer.query(statement)
                assert "E" not in "".join(kind for kind, _ in answers), (statement, answers)

    def do(self, act: Act) -> Answers:
        """Return what an act is answered."""
        found = Answers()
        for message in act.rounds:
            for kind, body in self.peer.ask(message):
                if kind == "E":
                    found.errors.append(client.error_fields(body)["C"])
                elif kind == "D":
                    found.rows.append(repr(client.row_values(body)))
                elif kind == "d":
                    found.rows.append(repr(body))
                elif kind == "C":
                    found.tags.append(body.decode())
        return found


def here() -> tuple[Server, Session]:
    """Return a new server with its session."""
    server = Server("postgres")
    return server, Session(server.connect())


def there(directory: Path) -> Session:
    """Return a session of a PostgreSQL by its socket's directory, with the tables made anew."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{directory}/.s.PGSQL.5432")
    peer = Peer(connection)
    peer.ask(client.startup({"user": "postgres", "database": "postgres"}))
    schema = "drop schema if exists fuzz cascade; create schema fuzz; set search_path = fuzz"
    settings = "set timezone = 'UTC'; set max_parallel_workers_per_gather = 0; set jit = off"
    return Session(peer, schema, settings, "set client_min_messages = error")


@dataclass
class Findings:
    """What a seed's acts came to: differences in words, and how many acts ended how."""

    differences: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)


def compare(seed: int, acts: int, directory: Path, depth: int = 3) -> Findings:
    """Do a seed's acts here and in the PostgreSQL of a directory.

    After what was not answered alike, or may have written something else, both begin anew with the tables
    as they were.
    """
    making, found, alike = Acts(seed, depth), Findings(), False
    with ExitStack() as stack:
        for number in range(acts):
            act = making.act()
            if not alike:
                stack.close()
                server, ours = here()
                theirs = there(directory)
                stack.callback(server.stop)
                stack.callback(theirs.peer.socket.close)
            try:
                mine, other = ours.do(act), theirs.do(act)
            except TimeoutError:  # its thread goes on: nothing interrupts it
                found.outcomes["too long"] += 1
                alike = False
                continue
            alike = (mine.errors, mine.tags) == (other.errors, other.tags)
            if AMBIGUOUS.search(act.shown) and _WRITES.search(act.shown):
                alike = False  # the tables may not be
            found.outcomes["error" if mine.errors else "answer"] += 1
            if wrong := difference(act, mine, other):
                found.outcomes["different"] += 1
                found.differences.append(f"seed {seed}, act {number}: {wrong}\n    {act.shown}")
    return found


def difference(act: Act, ours: Answers, theirs: Answers) -> str:
    """Return what is wrong with our answers, "" if nothing is, or nothing can be said.

    Which of a statement's errors comes first is nobody's promise, nor whether a value that is not needed is
    computed, nor what constraints say of rows of which others might have been taken. What is not supported
    here (0A000, and 55000 for a cursor that goes back) is no wrong answer.
    """
    if any(code.startswith("XX") for code in ours.errors):
        return "internal error"
    if ours.errors or theirs.errors:
        classes = {code[:2] for code in (*ours.errors[:1], *theirs.errors[:1])}
        may_be = bool(ours.errors) == bool(theirs.errors) or EXCUSED.intersection(classes)
        may_be = may_be or (classes == {"23"} and AMBIGUOUS.search(act.shown))
        may_be = may_be or (theirs.errors == _TIES and "with ties" in act.shown)
        return "" if may_be else f"ours {ours.errors}, PostgreSQL's {theirs.errors}"
    if act.partly or AMBIGUOUS.search(act.shown):
        return ""
    if ours.tags != theirs.tags:
        return f"ours {ours.tags}, PostgreSQL's {theirs.tags}"
    mine, other = sorted(map(_plain, ours.rows)), sorted(map(_plain, theirs.rows))
    if mine != other:
        return f"ours {_less(mine, other)}, PostgreSQL's {_less(other, mine)}"
    return ""


def _plain(row: str) -> str:
    """Return a row with 2.50 as 2.5, and doubles to 12 digits."""
    return re.sub(r"(\d+\.\d*?)0+(?=\D)", r"\1", re.sub(r"(\d\.\d{12})\d+", r"\1", row))


def _less(rows: list[str], others: list[str]) -> list[str]:
    return [row for row in rows if row not in others][:5] or rows[:5]
