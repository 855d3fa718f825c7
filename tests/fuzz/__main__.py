"""Runs statements of the grammar until it is interrupted: `python -m fuzz` in tests/, see --help.

With --postgres each statement is also sent to that server, in a schema of its own that holds the same
tables, and differences in the class of the SQLSTATE are counted; the first of each kind is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from itertools import count
from typing import Any

import psycopg
from fuzz.grammar import EXPLAIN, Grammar, Statement
from fuzz.runner import ROWS, UnexpectedEndError, new_database, run

STATEMENTS_PER_SEED = 200


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


_TABLES = """
    drop schema if exists fuzz cascade; create schema fuzz; set search_path = fuzz;
    create table t (id int4 primary key, a int4, b text, n numeric); create index on t (a);
    create table u
        (id int8 primary key check (id > 0), t_id int4, code text unique, flag bool default true);
    create table heap (x int4, y text);
    create table pair (k1 int4, k2 text, v int4, primary key (k1, k2));
    create table odd (id int4 primary key, mail text, active bool, z int4);
    create unique index on odd (lower(mail)); create unique index on odd (z) where active;
    create unique index on odd (mail, active) nulls not distinct;
    set statement_timeout = '2s'
"""


class Reference:
    """The same statements in a PostgreSQL; without a DSN it says nothing."""

    def __init__(self, dsn: str | None) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True) if dsn else None
        self.differences: Counter[tuple[str, str]] = Counter()

    def begin(self) -> None:
        """Make the tables and rows anew."""
        if self._connection is not None:
            self._connection.execute(_TABLES)
            for text in ROWS:
                self._connection.execute(text)

    def compare(self, statement: Statement, ours: str) -> None:
        """Run a statement twice as well, and count a difference in the classes of errors."""
        if self._connection is None:
            return
        theirs = self._outcome(statement)
        if theirs[:2] != ours[:2]:
            self.differences[ours, theirs] += 1
            if self.differences[ours, theirs] == 1:
                say(f"ours {ours or 'answer'}, PostgreSQL's {theirs or 'answer'}: {statement.text}")

    def _outcome(self, statement: Statement) -> str:
        assert self._connection is not None
        # the statement itself, as the runner does: in memory there is nobody who explains
        text, values = statement.text.removeprefix(EXPLAIN), list(statement.values)
        query: Any = text.encode()
        try:
            with psycopg.RawCursor(self._connection) as cursor:
                for _ in range(2):
                    cursor.execute(query, values)
        except psycopg.Error as error:
            return error.sqlstate or "?????"
        return ""


def main() -> None:
    """Run until interrupted, or for one seed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--depth", type=int, default=3, help="how far queries nest")
    parser.add_argument("--postgres", metavar="DSN", help="a PostgreSQL to compare errors with")
    options = parser.parse_args()
    reference, outcomes = Reference(options.postgres), Counter[str]()
    for seed in count(1_000) if options.seed is None else [options.seed]:
        grammar, database = Grammar(seed, options.depth), new_database()
        reference.begin()
        for _ in range(STATEMENTS_PER_SEED):
            statement = grammar.statement()
            try:
                outcome = run(database, statement)
            except UnexpectedEndError as failure:
                outcomes["failed"] += 1
                say(f"seed {seed}: {failure}")
                continue
            outcomes[outcome] += 1
            reference.compare(statement, outcome)
        say(f"seed {seed}: {dict(outcomes.most_common(8))}")
    say(repr(reference.differences.most_common(40)))


if __name__ == "__main__":
    main()
