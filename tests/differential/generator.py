"""Random queries over the tables of test_queries.py, the same for the same seed.

They are well typed, have one answer (up to row order), and cannot fail: divisors are never zero and numbers
stay small. So any difference from PostgreSQL is a wrong answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

INT, TEXT, NUMERIC, BOOL = "int", "text", "numeric", "bool"
TABLES = {
    "t": {"id": INT, "a": INT, "b": TEXT, "n": NUMERIC},
    "u": {"id": INT, "t_id": INT, "code": TEXT, "flag": BOOL},
    "pair": {"k1": INT, "k2": TEXT, "v": INT},
    "heap": {"x": INT, "y": TEXT},
}
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


@dataclass
class Scope:
    """The columns in reach: (text, type)."""

    columns: list[tuple[str, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[str]:
        return [text for text, known in self.columns if known == kind]


class QueryGenerator:
    """Makes one query after the other."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._aliases = 0

    def query(self) -> str:
        """Return a query whose rows compare as a multiset."""
        kinds = [self.random.choice((INT, TEXT, NUMERIC, BOOL)) for _ in range(self.up_to(3))]
        return self.select(Scope(), kinds, 3)

    def up_to(self, most: int) -> int:
        return self.random.randint(1, most)

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def alias(self) -> str:
        self._aliases += 1
        return f"q{self._aliases}"

    # ------------------------------------------------------------ queries

    def select(self, outer: Scope, kinds: list[str], depth: int) -> str:
        if depth > 1 and self.chance(12):
            operator = self.random.choice(("union", "union all", "intersect", "except"))
            left, right = (self.select(outer, kinds, depth - 1) for _ in range(2))
            return f"({left}) {operator} ({right})"
        if depth > 1 and self.chance(8):
            return self.with_query(outer, kinds, depth)
        source, local = self.source(depth)
        scope = Scope(local.columns + outer.columns)
        where = f" where {self.expression(BOOL, scope, depth)}" if self.chance(70) else ""
        if self.chance(30):
            return self.grouped(source + where, scope, local, kinds, depth)
        targets = [self.target(kind, scope, depth) for kind in kinds]
        distinct = "distinct " if self.chance(15) else ""
        text = f"select {distinct}{', '.join(targets)} from {source}{where}"
        if self.chance(25):
            directions = (self.random.choice(("", " desc", " nulls first")) for _ in kinds)
            order = ", ".join(f"{n}{d}" for n, d in enumerate(directions, 1))
            text += f" order by {order} limit {self.up_to(6)}"
            text += f" offset {self.up_to(2)}" if self.chance(30) else ""
        return text

    def target(self, kind: str, scope: Scope, depth: int) -> str:
        if kind == INT and self.chance(15):
            return self.window(scope)
        return self.expression(kind, scope, depth)

    def with_query(self, outer: Scope, kinds: list[str], depth: int) -> str:
        name = self.alias()
        inner_kinds = [self.random.choice((INT, TEXT, NUMERIC)) for _ in range(2)]
        inner = self.select(Scope(), inner_kinds, depth - 1)
        both = ", ".join(f"{name}.c{n}" for n in range(2))
        scope = Scope([(f"{name}.c{n}", kind) for n, kind in enumerate(inner_kinds)])
        scope.columns += outer.columns
        targets = ", ".join(self.expression(kind, scope, depth - 1) for kind in kinds)
        materialized = self.random.choice(("", " materialized", " not materialized"))
        twice = f" where ({both}) in (select * from {name} limit 100)" if self.chance(30) else ""
        return f"with {name}(c0, c1) as{materialized} ({inner}) select {targets} from {name}{twice}"

    def grouped(self, source: str, scope: Scope, local: Scope, kinds: list[str], depth: int) -> str:
        """Group by columns from anywhere; aggregate over own ones only, or the outer query would."""
        keys = self.random.sample(scope.columns, min(len(scope.columns), self.random.randint(0, 2)))
        inside = Scope(keys)
        targets = [
            self.random.choice(inside.of(kind))
            if inside.of(kind) and self.chance(60)
            else self.aggregate(kind, local)
            for kind in kinds
        ]
        text = f"select {', '.join(targets)} from {source}"
        if keys:
            names = ", ".join(name for name, _ in keys)
            shape = self.random.choice(("{}", "{}", "{}", "rollup ({})", "cube ({})"))
            text += f" group by {shape.format(names)}"
        if self.chance(30):
            text += f" having {self.aggregate(BOOL, local)}"
        return text

    def aggregate(self, kind: str, scope: Scope) -> str:
        argument = self.expression(kind, scope, 1)
        if kind == BOOL:
            number = self.expression(INT, scope, 1)
            choices = [f"bool_and({argument})", f"bool_or({argument})", f"max({number}) > 1"]
        elif kind == TEXT:
            choices = [
                f"min({argument})",
                f"max({argument})",
                f"string_agg({argument}, ',' order by {argument})",
                f"array_agg({argument} order by {argument} desc)::text",
            ]
        elif kind == NUMERIC:
            choices = [f"sum({argument})", f"avg({argument})", f"max({argument})"]
        else:
            choices = [
                "count(*)::int",
                f"count({argument})::int",
                f"count(distinct {argument})::int",
                f"sum({argument})::int",
                f"min({argument})",
            ]
        condition = f" filter (where {self.expression(BOOL, scope, 1)})"
        chosen = self.random.choice(choices)
        if self.chance(15) and chosen.endswith(")"):
            chosen += condition
        return chosen

    def window(self, scope: Scope) -> str:
        partition = self.column(scope)
        order = self.column(scope)
        argument = self.expression(INT, scope, 1)
        function = self.random.choice(
            ("rank()", "dense_rank()", f"sum({argument})", f"count({argument})", f"max({argument})")
        )
        return f"({function} over (partition by {partition} order by {order}))::int"

    def column(self, scope: Scope) -> str:
        return self.random.choice(scope.columns)[0] if scope.columns else "1 + 1"

    # ------------------------------------------------------------ FROM

    def source(self, depth: int) -> tuple[str, Scope]:
        text, scope = self.item(depth)
        for _ in range(self.random.choice((0, 0, 1, 1, 2))):
            right, columns = self.item(depth)
            kind = self.random.choice(
                ("join", "left join", "right join", "full join", "cross join")
            )
            both = Scope(scope.columns + columns.columns)
            if kind == "cross join":
                text = f"{text} cross join {right}"
            else:
                text = f"{text} {kind} {right} on {self.condition(kind, scope, columns, both)}"
            scope = both
        return text, scope

    def condition(self, kind: str, left: Scope, right: Scope, both: Scope) -> str:
        pairs = [(a, b) for a in left.of(INT) for b in right.of(INT)]
        one, other = self.random.choice(pairs) if pairs else ("1", "1")
        equal = f"{one} = {other}"
        if kind == "full join" or self.chance(60):
            return equal
        return f"{equal} and {self.expression(BOOL, both, 1)}" if self.chance(60) else equal

    def item(self, depth: int) -> tuple[str, Scope]:
        alias = self.alias()
        if depth > 1 and self.chance(20):
            kinds = [INT, self.random.choice((INT, TEXT, NUMERIC, BOOL))]
            query = self.select(Scope(), kinds, depth - 1)
            columns = [(f"{alias}.c{n}", kind) for n, kind in enumerate(kinds)]
            return f"({query}) {alias}(c0, c1)", Scope(columns)
        if self.chance(8):
            rows = ", ".join(
                f"({self.literal(INT)}, {self.literal(TEXT)})" for _ in range(self.up_to(3))
            )
            return f"(values {rows}) {alias}(c0, c1)", Scope(
                [(f"{alias}.c0", INT), (f"{alias}.c1", TEXT)]
            )
        table = self.random.choice(list(TABLES))
        columns = [(f"{alias}.{name}", kind) for name, kind in TABLES[table].items()]
        return f"{table} {alias}", Scope(columns)

    # ------------------------------------------------------------ expressions

    def literal(self, kind: str) -> str:
        if self.chance(8):
            return f"null::{kind}"
        if kind == INT:
            return str(self.random.choice((0, 1, 2, 3, 5, 7, 10, 20, -1)))
        if kind == NUMERIC:
            return self.random.choice(("0.5", "1.50", "2", "-3.25", "10.0")) + "::numeric"
        if kind == TEXT:
            return self.random.choice(("'one'", "'x'", "''", "'%o%'", "'t_o'", "'B'")) + "::text"
        return self.random.choice(("true", "false"))

    def expression(self, kind: str, scope: Scope, depth: int) -> str:
        known = scope.of(kind)
        if depth <= 0 or self.chance(30):
            return self.random.choice(known) if known and self.chance(80) else self.literal(kind)
        if self.chance(20):
            return self.any_type(kind, scope, depth)
        made = {INT: self.integer, TEXT: self.text, NUMERIC: self.numeric, BOOL: self.boolean}
        return made[kind](scope, depth - 1)

    def any_type(self, kind: str, scope: Scope, depth: int) -> str:
        def part() -> str:
            return self.expression(kind, scope, depth - 1)

        def condition() -> str:
            return self.expression(BOOL, scope, depth - 1)

        shape = self.random.randrange(6)
        if shape == 0:
            return f"case when {condition()} then {part()} when {condition()} then {part()} end"
        if shape == 1:
            return f"case when {condition()} then {part()} else {part()} end"
        if shape == 2:
            return f"coalesce({part()}, {part()})"
        if shape == 3:
            return f"nullif({part()}, {part()})"
        if shape == 4 and depth > 1:
            source, local = self.source(1)
            inner = Scope(local.columns + scope.columns)
            aggregate = self.aggregate(kind, local) if kind != BOOL else "count(*) > 1"
            return f"(select {aggregate} from {source} where {self.expression(BOOL, inner, 1)})"
        if kind == BOOL:
            return part()
        return f"{self.random.choice(('greatest', 'least'))}({part()}, {part()})"

    def integer(self, scope: Scope, depth: int) -> str:
        left, right = (self.expression(INT, scope, depth) for _ in range(2))
        return self.random.choice(
            (
                f"({left} + {right})",
                f"({left} - {right})",
                f"({left} % 7 * 3)",
                f"({left} / 3)",
                f"abs({left})",
                f"(- {left})",
                f"length({self.expression(TEXT, scope, depth)})",
                f"round({self.expression(NUMERIC, scope, depth)})::int",
                f"({self.expression(BOOL, scope, depth)})::int",
            )
        )

    def text(self, scope: Scope, depth: int) -> str:
        left, right = (self.expression(TEXT, scope, depth) for _ in range(2))
        return self.random.choice(
            (
                f"({left} || {right})",
                f"upper({left})",
                f"substr({left}, 2)",
                f"left({left}, 2)",
                f"replace({left}, 'o', {right})",
                f"({self.expression(INT, scope, depth)})::text",
                f"({self.expression(NUMERIC, scope, depth)})::text",
                f"concat({left}, {self.expression(INT, scope, depth)})",
            )
        )

    def numeric(self, scope: Scope, depth: int) -> str:
        left, right = (self.expression(NUMERIC, scope, depth) for _ in range(2))
        return self.random.choice(
            (
                f"({left} + {right})",
                f"({left} - {right})",
                f"({left} * 1.5)",
                f"({left} / 4)",
                f"round({left}, 1)",
                f"trunc({left})",
                f"({self.expression(INT, scope, depth)})::numeric",
                f"({left} * {self.expression(INT, scope, depth)} % 100)",
            )
        )

    def boolean(self, scope: Scope, depth: int) -> str:
        shape = self.random.randrange(12)
        kind = self.random.choice((INT, INT, TEXT, NUMERIC))
        left, right = (self.expression(kind, scope, depth) for _ in range(2))
        if shape < 3:
            return f"({left} {self.random.choice(COMPARISONS)} {right})"
        if shape == 3:
            word = self.random.choice(("and", "or"))
            one, other = (self.expression(BOOL, scope, depth) for _ in range(2))
            return f"({one} {word} {other})"
        if shape == 4:
            return f"(not {self.expression(BOOL, scope, depth)})"
        if shape == 5:
            return f"({left} is {self.random.choice(('', 'not '))}null)"
        if shape == 6:
            items = ", ".join(self.literal(kind) for _ in range(self.up_to(3)))
            return f"({left} {self.random.choice(('in', 'not in'))} ({items}))"
        if shape == 7:
            return f"({left} between {right} and {self.expression(kind, scope, depth)})"
        if shape == 8:
            pattern = self.literal(TEXT)
            return f"({self.expression(TEXT, scope, depth)} like {pattern})"
        if shape == 9:
            return f"({left} is {self.random.choice(('', 'not '))}distinct from {right})"
        if shape == 10 and depth > 0:
            source, local = self.source(1)
            inner = Scope(local.columns + scope.columns)
            return f"exists (select 1 from {source} where {self.expression(BOOL, inner, 1)})"
        if depth > 0:
            word = self.random.choice(("in", "not in", "= any", "< all", "<> all"))
            return f"({left} {word} ({self.select(scope, [kind], 1)}))"
        return f"({self.expression(BOOL, scope, depth)} is {self.random.choice(('true', 'not false'))})"
