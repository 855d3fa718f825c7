"""What a client does with the statements of the grammar: prepares and runs them, fetches, copies, explains.

An act is the messages of one or more rounds, each of which ends in ReadyForQuery. The same seed makes the
same acts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fuzz.grammar import OIDS, Grammar
from fuzz.vocabulary import KEYS, LITERALS, TABLES

from dsql.wire import client

_INPUTS = {
    "int4": (b"1", b"-7", b"2147483648", b"x", b"\\N", b""),
    "int8": (b"9", b"100", b"\\N", b"1.5"),
    "text": (b"a", b"", b"\\N", "äö".encode(), b"a\\tb", b"two words"),
    "numeric": (b"1.5", b"NaN", b"-0", b"\\N", b"1e400"),
    "bool": (b"t", b"off", b"\\N", b"maybe"),
}


@dataclass
class Act:
    """`shown` is what it says; `rounds` its messages. `partly`: it takes some of the rows, whichever."""

    shown: str
    rounds: list[bytes]
    partly: bool = False


class Acts:
    """Makes one act after the other."""

    def __init__(self, seed: int, depth: int = 3) -> None:
        self.grammar = Grammar(seed, depth, endless=False)  # no timer reaches a session in a thread
        self.random = self.grammar.random

    def act(self) -> Act:
        """Return an act of any kind."""
        make = self.random.choices(
            (
                self.simple, self.prepared, self.cursor, self.copied_out, self.copied_in,
                self.analyzed, self.defined, self.block,
            ),
            (30, 30, 8, 6, 6, 6, 6, 8),
        )[0]  # fmt: skip
        return make()

    def _text(self) -> str:
        """Return a statement without parameters."""
        while True:
            statement = self.grammar.statement()
            if not statement.types:
                return statement.text

    def _query(self) -> str:
        return self._without_parameters(self.grammar.top_query)

    def simple(self) -> Act:
        """Send a Query."""
        return _queries(self._text())

    def prepared(self) -> Act:
        """Parse, and run twice, now and then some rows at a time."""
        statement = self.grammar.statement()
        values = [None if value is None else str(value).encode() for value in statement.values]
        limits = [self.random.choice((0, 0, 1, 2)) for _ in range(self.random.choice((1, 1, 3)))]
        run = client.bind(values) + b"".join(client.execute(row_limit=limit) for limit in limits)
        head = client.parse(statement.text, types=statement.types) + client.describe(b"S")
        rounds = [head + run + client.sync(), run + client.sync()]
        return Act(f"{statement.text} {statement.values} {limits}", rounds, partly=any(limits))

    def cursor(self) -> Act:
        """Declare a cursor and walk along it."""
        scroll = self.grammar.pick("", "scroll ", "no scroll ")
        count = self.grammar.pick("", "2 from", "all from", "0 from", "-1 from")
        steps = [
            f"{self.grammar.pick('fetch', 'move')} "
            + self.grammar.pick(
                "next from", "prior from", "first from", "last from", "absolute 2 from",
                "relative -1 from", "forward all from", "backward 1 from", count,
            )
            + " c"
            for _ in range(self.random.randint(1, 4))
        ]  # fmt: skip
        declare = f"declare c {scroll}cursor for {self._query()}"
        return _queries("begin", declare, *steps, "close c", "rollback")

    def copied_out(self) -> Act:
        """Copy a table or a query to the client."""
        options = self.grammar.pick("", " csv", " csv header", " (format text, null 'N')")
        table = self.random.choice(tuple(TABLES))
        source = table if self.grammar.chance(30) else f"({self._query()})"
        return _queries(f"copy {source} to stdout{options}")

    def copied_in(self) -> Act:
        """Copy lines, good and bad, into a table."""
        table = self.random.choice(tuple(TABLES))
        names = self.random.sample(tuple(TABLES[table]), self.random.randint(1, len(TABLES[table])))
        kinds = [TABLES[table][name] for name in names]
        lines = [
            b"\t".join(self.random.choice(_INPUTS[kind]) for kind in kinds) + b"\n"
            for _ in range(self.random.randint(0, 3))
        ]
        text = f"copy {table} ({', '.join(names)}) from stdin"
        data = b"".join(map(client.copy_data, lines))
        return Act(f"{text} {lines}", [client.query(text) + data + client.copy_done()])

    def analyzed(self) -> Act:
        """Explain a statement by running it."""
        return _queries(f"explain (analyze, timing off, costs off, summary off) {self._text()}")

    def defined(self) -> Act:
        """Change what there is, and take it back."""
        table, kind = self.random.choice(tuple(TABLES)), self.random.choice(tuple(OIDS))
        column = self.random.choice(tuple(TABLES[table]))
        literal = self.random.choice(LITERALS[kind])
        statements = (
            f"create table x (a {kind} default {literal}, b int primary key, check (b > 0))",
            f"alter table {table} add column x {kind}",
            f"alter table {table} drop column {column}",
            f"alter table {table} rename column {column} to {self.grammar.pick('x', 'id', column)}",
            f"alter table {table} alter column {column} set default {literal}",
            f"create index x on {table} ({column})",  # what is unique shows at the commit only
            f"drop table {self.grammar.pick('', 'if exists ')}{self.grammar.pick(table, 'nope')}",
            f"drop index {self.grammar.pick('u_code_key', 'nope', 't')}",
            f"truncate {table}",
        )
        chosen = self.random.sample(statements, self.random.randint(1, 2))
        look = f"select count(*) from {table}"
        return _queries("begin", *chosen, look, "rollback")

    def block(self) -> Act:
        """Modify in a block, with savepoints, and look at what is left."""
        table = self.random.choice(tuple(TABLES))
        middle: list[str] = []
        for _ in range(self.random.randint(1, 3)):
            make = self.random.choice(
                (self.grammar.insert, self.grammar.update, self.grammar.delete)
            )
            middle += ["savepoint s", self._without_parameters(make)]
            if self.grammar.chance(40):
                middle.append("rollback to s")
        look = f"select * from {table}"
        key = ", ".join(KEYS[table])
        return _queries("begin", *middle, f"{look} order by {key}" if key else look, "rollback")

    def _without_parameters(self, make: Callable[[], str]) -> str:
        while True:
            text = make()
            if not self.grammar.take_parameters():
                return text


def _queries(*texts: str) -> Act:
    return Act("; ".join(texts), [client.query(text) for text in texts])
