"""Prints how other projects' test files fare: python -m tests.differential.regression SOURCES [FILE...].

SOURCES is src/test/regress of PostgreSQL 15 (apt-get source postgresql-15), or a directory of .test files
as SQLite's sqllogictest and DuckDB have them. Each file runs in a database of its own (PostgreSQL's in one
in which test_setup.sql has run), here in memory and on a real PostgreSQL. Of each statement it is told
whether the answers are the same.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from memory_server import ARN, Peer, Server, rows
from reference import running

from tests.differential.regression import logic_test, script
from tests.differential.regression.script import Statement
from tests.differential.regression.sides import ADMIN, Answer, Ours, Reference

Make = Callable[[str], AbstractContextManager[tuple[Reference, Ours]]]
KINDS = (
    "same",
    "same error",
    "refused",
    "other error",
    "accepted",
    "other answer",
    "internal",
    "hang",
)
STATEMENT_SECONDS_MAX = 30
SETTINGS = {"timezone": "PST8PDT", "datestyle": "Postgres,MDY", "intervalstyle": "postgres_verbose"}


def kind_of(theirs: Answer, ours: Answer) -> str:
    """Return which of KINDS a pair of answers is."""
    if ours.sqlstate == "XX000" != theirs.sqlstate:
        return "internal"
    if theirs.same(ours):
        return "same error" if theirs.sqlstate else "same"
    if ours.sqlstate == "0A000":
        return "refused"
    if ours.sqlstate:
        return "other error"
    return "accepted" if theirs.sqlstate else "other answer"


def cause_of(ours: Answer, kind: str) -> str:
    """Return an error's message without what differs from case to case."""
    text = re.sub(r'"[^"]*"', '"..."', ours.message) if ours.sqlstate else ""
    return f"{kind} {ours.sqlstate} {re.sub(r'[0-9]+', 'N', text)[:90]}".strip()


def compare(
    statements: Iterable[Statement],
    reference: Reference,
    ours: Ours,
    report: Callable[[Statement, str, Answer, Answer], None],
) -> None:
    """Run statements on both sides and report on each; a hang ends it."""
    for statement in statements:
        theirs = reference.ask(statement)
        try:
            answer = ours.ask(statement)
        except (TimeoutError, AssertionError):
            report(statement, "hang", theirs, Answer())
            return
        report(statement, kind_of(theirs, answer), theirs, answer)


def _connect(server: Server, role: str) -> Peer:
    """Return a session of a role's, which need not be one that can log in."""
    if role == ADMIN:
        peer = server.connect(**SETTINGS)
    else:
        admin, name = server.connect(), '"' + role.replace('"', '""') + '"'
        logins = "SELECT rolname FROM pg_roles WHERE rolcanlogin"
        may_already = (role.encode(),) in map(tuple, rows(admin.query(logins)))
        admin.query(f"ALTER ROLE {name} LOGIN")
        admin.query(f"AWS IAM GRANT {name} TO '{ARN}'")
        peer = server.connect(user=role, **SETTINGS)
        admin.query(f"AWS IAM REVOKE {name} FROM '{ARN}'")
        admin.query(f"ALTER ROLE {name} {'' if may_already else 'NO'}LOGIN")
        admin.socket.close()
    peer.socket.settimeout(STATEMENT_SECONDS_MAX)
    return peer


@contextmanager
def databases(sources: Path) -> Iterator[Make]:
    """Yield what makes a pair of databases in which test_setup.sql has run."""
    before = sources / "sql" / "test_setup.sql"
    setup = [*script.statements(before)] if before.exists() else []
    first = Server("postgres", moves=False)
    setting_up = Ours(partial(_connect, first))
    with running() as directory:
        address = f"host={directory} user=postgres dbname="
        with psycopg.connect(address + "postgres", autocommit=True) as admin:
            admin.execute("create database regression")
            with psycopg.connect(address + "regression", autocommit=True) as connection:
                reference = Reference(connection)
                for statement in setup:
                    reference.ask(statement)
                    setting_up.ask(statement)

            @contextmanager
            def make(name: str) -> Iterator[tuple[Reference, Ours]]:
                admin.execute(f'create database "{name}" template regression')
                server = Server("postgres", moves=False)
                server.store.rows = dict(first.store.rows)
                server.store.changed = dict(first.store.changed)
                server.store.now = first.store.now

                ours = Ours(partial(_connect, server))
                given = SETTINGS | {"statement_timeout": f"{STATEMENT_SECONDS_MAX}s"}
                options = " ".join(f"-c {key}={value}" for key, value in given.items())
                with psycopg.connect(address + name, autocommit=True, options=options) as theirs:
                    yield Reference(theirs), ours
                ours.close()
                admin.execute(f'drop database "{name}" with (force)')

            yield make
    setting_up.close()


class Table:
    """Counts of kinds by file, and of causes."""

    def __init__(self, show: str) -> None:
        self.show = show
        self.total: Counter[str] = Counter()
        self.causes: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.write("file", KINDS)

    def write(self, name: str, cells: Sequence[Any]) -> None:
        sys.stdout.write(f"{name:24}" + "".join(f"{cell:>13}" for cell in cells) + "\n")
        sys.stdout.flush()

    def add(self, statement: Statement, kind: str, theirs: Answer, ours: Answer) -> None:
        self.counts[kind] += 1
        if kind.startswith("same"):
            return
        cause = cause_of(ours, kind)
        self.causes[cause] += 1
        if self.show and self.show in cause:
            sys.stdout.write(f"{statement.text}\n    {theirs}\n    {ours}\n")

    def end_file(self, name: str, seconds: float) -> None:
        self.write(name, [*(self.counts[kind] for kind in KINDS), f"{seconds:.1f} s"])
        self.total += self.counts
        self.counts = Counter()

    def end(self, most: int) -> None:
        every = sum(self.total.values()) or 1
        self.write("all", [self.total[kind] for kind in KINDS])
        self.write("", [f"{self.total[kind] / every:.1%}" for kind in KINDS])
        for cause, count in self.causes.most_common(most):
            sys.stdout.write(f"{count:6} {cause}\n")


def _paths(sources: Path, names: Sequence[str]) -> list[Path]:
    """Return the files of some names without suffix, or all."""
    if (sources / "sql" / "test_setup.sql").exists():
        paths = {
            path.stem: path
            for path in sorted((sources / "sql").glob("*.sql"))
            if path.stem != "test_setup"
        }
    else:
        paths = {
            str(path.relative_to(sources))[:-5]: path
            for path in sorted(sources.rglob("*.test"))
            if path.is_file()
        }
    return [paths[name] for name in names or paths]


def main() -> int:
    """Compare the files; print a line for each, and what stands in the way, most frequent first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path)
    parser.add_argument(
        "files", nargs="*", help="names without .sql or .test; all if none is given"
    )
    parser.add_argument(
        "--every", type=int, default=1, help="of a .test file's queries, take each N-th"
    )
    parser.add_argument("--show", default="", help="print the statements whose cause contains this")
    parser.add_argument("--causes", type=int, default=100, help="how many causes to print")
    options = parser.parse_args()
    table = Table(options.show)
    with databases(options.sources) as make:
        for path in _paths(options.sources, options.files):
            started = time.monotonic()
            if path.suffix == ".sql":
                statements = script.statements(path)
            else:
                statements = logic_test.statements(path, options.every)
            with make(path.stem) as (reference, ours):
                compare(statements, reference, ours, table.add)
            table.end_file(path.stem, time.monotonic() - started)
    table.end(options.causes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
