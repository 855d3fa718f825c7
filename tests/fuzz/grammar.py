"""Wide, deep and odd statements from a grammar, the same for the same seed.

Expressions are of the type they are asked for, as a rule; now and then they are not, and values
overflow, divide by zero and fail to be cast. So a statement may end in any of PostgreSQL's errors, but
in nothing else.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from fuzz.vocabulary import (
    AGGREGATES,
    CALLS,
    KEYS,
    LITERALS,
    PLAIN,
    SET_FUNCTIONS,
    TABLES,
    TYPES,
    WINDOWS,
)

EXPLAIN = "explain (costs off) "
OIDS = {"int4": 23, "text": 25, "numeric": 1700, "bool": 16}
_VALUES = {"int4": (0, 1, None), "text": ("a", "", None), "bool": (True, None)}


@dataclass
class Statement:
    """A text with the types and values of its parameters."""

    text: str
    types: tuple[int, ...] = ()
    values: tuple[object, ...] = ()


@dataclass
class Columns:
    """The columns in reach, as (text, type)."""

    known: list[tuple[str, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[str]:
        return [text for text, known in self.known if known == kind]

    def with_(self, other: Columns) -> Columns:
        return Columns(self.known + other.known)


class Grammar:
    """Makes one statement after the other; `depth` bounds how far queries and expressions nest."""

    def __init__(self, seed: int, depth: int = 3, *, endless: bool = True) -> None:
        """`endless`: with recursive queries that only a timeout ends."""
        self.random = random.Random(seed)
        self.depth = depth
        self._endless = endless
        self._names = 0
        self._parameters: list[str] = []

    def statement(self) -> Statement:
        """Return a statement of any kind."""
        self.take_parameters()
        make = self.random.choices(
            (self.top_query, self.insert, self.update, self.delete, self.wide, self.deep),
            (60, 10, 8, 5, 10, 7),
        )[0]
        text = make()
        if self.chance(5):
            text = f"{EXPLAIN}{text}"
        kinds = self.take_parameters()
        types = tuple(OIDS[kind] for kind in kinds)
        values = tuple(self.random.choice(_VALUES[kind]) for kind in kinds)
        return Statement(text, types, values)

    def take_parameters(self) -> list[str]:
        """Return the types of the parameters since the last time."""
        taken, self._parameters = self._parameters, []
        return taken

    # ------------------------------------------------------------ chance

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def up_to(self, most: int) -> int:
        return self.random.randint(1, most)

    def name(self) -> str:
        self._names += 1
        return f"q{self._names}"

    def kinds(self, most: int = 3) -> list[str]:
        return [
            self.random.choice(PLAIN if self.chance(70) else TYPES) for _ in range(self.up_to(most))
        ]

    # ------------------------------------------------------------ queries

    def top_query(self) -> str:
        text = self.query(self.kinds(), Columns(), self.depth)
        if self.chance(8):
            text = f"with m as ({self.pick_modification()}) {text}"
        return text

    def pick_modification(self) -> str:
        make = self.random.choice((self.insert, self.update, self.delete))
        return make(returning=True)

    def query(self, kinds: list[str], outer: Columns, depth: int) -> str:
        """Return a query whose columns have these types."""
        shape = self.random.randrange(100)
        if depth > 1 and shape < 12:
            operator = self.pick(
                "union", "union all", "intersect", "intersect all", "except", "except all"
            )
            left, right = (self.query(kinds, outer, depth - 1) for _ in range(2))
            return f"({left}) {operator} ({right}){self.tail(len(kinds), outer)}"
        if depth > 1 and shape < 20:
            return self.with_query(kinds, outer, depth)
        if shape < 25:
            rows = (", ".join(self.expressions(kinds, outer, 1)) for _ in range(self.up_to(3)))
            return f"values {', '.join(f'({row})' for row in rows)}{self.tail(len(kinds), outer)}"
        return self.select(kinds, outer, depth)

    def tail(self, width: int, outer: Columns) -> str:
        text = ""
        if self.chance(40):
            keys = self.random.sample(range(1, width + 1), self.up_to(width))
            text = " order by " + ", ".join(
                f"{key}{self.pick('', ' desc', ' nulls first', ' desc nulls last')}" for key in keys
            )
        if self.chance(30):
            count = self.pick("0", "1", "2", "null", f"({self.expression('int4', Columns(), 1)})")
            if text and self.chance(30):
                return f"{text} fetch first {self.up_to(3)} rows with ties"
            text += f" limit {count}"
        return text + (f" offset {self.pick('0', '1', '2')}" if self.chance(15) else "")

    def with_query(self, kinds: list[str], outer: Columns, depth: int) -> str:
        name, inner = self.name(), self.kinds(2)
        columns = [f"c{number}" for number in range(len(inner))]
        head = f"with recursive {name}({', '.join(columns)})" if self.chance(40) else ""
        body = self.query(inner, outer, depth - 1)
        if head:
            step = [
                self.expression(kind, Columns(list(zip(columns, inner, strict=True))), 1)
                for kind in inner
            ]
            stop = "false"
            if self._endless:
                stop = self.pick(f"{name}.c0 is null", "false", "random() < 0.3")
            step_query = f"select {', '.join(step)} from {name} where {stop}"
            body = f"({body}) {self.pick('union', 'union all')} {step_query}"
        else:
            head = f"with {name}({', '.join(columns)})"
        known = Columns(
            [(f"{name}.{column}", kind) for column, kind in zip(columns, inner, strict=True)]
        )
        targets = ", ".join(self.expressions(kinds, known.with_(outer), depth - 1))
        twice = (
            f" where exists (select from {name} s where s.c0 is not null)"
            if self.chance(30)
            else ""
        )
        materialized = self.pick("", "", "materialized ", "not materialized ")
        return f"{head} as {materialized}({body}) select {targets} from {name}{twice}"

    def select(self, kinds: list[str], outer: Columns, depth: int) -> str:
        source, local = self.source(outer, depth)
        reach = local.with_(outer)
        where = f" where {self.expression('bool', reach, depth)}" if self.chance(60) else ""
        if self.chance(22):
            return self.grouped(kinds, f"{source}{where}", reach, local, depth)
        targets = [self.target(kind, reach, depth) for kind in kinds]
        distinct = ""
        if self.chance(15):
            distinct = self.pick("distinct ", f"distinct on ({targets[0]}) ")
        text = f"select {distinct}{', '.join(targets)}{source}{where}"
        text += self.tail(len(kinds), outer)
        if source and self.chance(4):
            text += self.pick(" for update", " for share", " for no key update", " for key share")
        return text

    def target(self, kind: str, reach: Columns, depth: int) -> str:
        if kind in WINDOWS and self.chance(15):
            return self.window(kind, reach)
        if kind in SET_FUNCTIONS and self.chance(8):
            return self.set_function(kind, reach)
        return self.expression(kind, reach, depth)

    def set_function(self, kind: str, reach: Columns) -> str:
        template = self.pick(*SET_FUNCTIONS[kind])
        argument = self.expression("text" if "regexp" in template else "int4", reach, 1)
        return template.format(argument, argument)

    def window(self, kind: str, reach: Columns) -> str:
        template, operand = self.random.choice(WINDOWS[kind])
        call = template.format(self.expression(operand, reach, 1))
        parts = []
        if self.chance(50):
            parts.append(f"partition by {self.expression(self.random.choice(PLAIN), reach, 1)}")
        ordered = self.chance(70)
        if ordered:
            parts.append(f"order by {self.expression('int4', reach, 1)}{self.pick('', ' desc')}")
        if self.chance(40):
            mode = self.pick("rows", "groups", "range") if ordered else "rows"
            start = self.pick("unbounded preceding", "1 preceding", "current row")
            end = self.pick("unbounded following", "1 following", "current row")
            exclude = self.pick("", "", " exclude current row", " exclude group", " exclude ties")
            parts.append(f"{mode} between {start} and {end}{exclude}")
        return f"{call} over ({' '.join(parts)})"

    def grouped(
        self, kinds: list[str], rest: str, reach: Columns, local: Columns, depth: int
    ) -> str:
        keys = [
            self.expression(self.random.choice(PLAIN), reach, 1)
            for _ in range(self.random.randint(0, 3))
        ]
        targets = [self.aggregate(kind, local) for kind in kinds]
        text = f"select {', '.join(targets)}{rest}"
        if keys:
            listed = ", ".join(keys)
            text += " group by " + self.pick(
                listed,
                listed,
                f"rollup ({listed})",
                f"cube ({listed})",
                f"grouping sets (({listed}), (), {keys[0]})",
            )
        if self.chance(25):
            text += f" having {self.aggregate('bool', local)}"
        return text + self.tail(len(kinds), reach)

    def aggregate(self, kind: str, local: Columns) -> str:
        if kind not in AGGREGATES:
            return self.literal(kind)
        template, operand = self.random.choice(AGGREGATES[kind])
        call = template.format(self.expression(operand, local, 1))
        if self.chance(15) and call.endswith(")"):
            call += f" filter (where {self.expression('bool', local, 1)})"
        return call

    # ------------------------------------------------------------ FROM

    def source(self, outer: Columns, depth: int) -> tuple[str, Columns]:
        """Return a FROM clause with its columns, or nothing."""
        if self.chance(10):
            return "", Columns()
        text, columns = self.item(outer, depth)
        for _ in range(self.random.choice((0, 0, 1, 1, 2))):
            kind = self.pick(
                "join", "left join", "right join", "full join", "cross join", "natural join", ","
            )
            sideways = kind in ("join", "left join", "cross join", ",")
            right, more = self.item(columns.with_(outer) if sideways else outer, depth)
            both = columns.with_(more)
            text = f"{text}{'' if kind == ',' else ' '}{kind} {right}"
            if kind in ("join", "left join", "right join"):
                text += f" on {self.expression('bool', both.with_(outer), 2)}"
            elif kind == "full join":
                text += f" on {self.equality(columns, more)}"
            columns = both
        return f" from {text}", columns

    def equality(self, left: Columns, right: Columns) -> str:
        pairs = [(a, b) for kind in PLAIN for a in left.of(kind) for b in right.of(kind)]
        return "{} = {}".format(*self.random.choice(pairs)) if pairs else "true"

    def item(self, outer: Columns, depth: int) -> tuple[str, Columns]:
        alias = self.name()
        shape = self.random.randrange(100)
        if depth > 1 and shape < 25:
            kinds = self.kinds(2)
            lateral = bool(outer.known) and self.chance(50)
            body = self.query(kinds, outer if lateral else Columns(), depth - 1)
            names = [f"c{number}" for number in range(len(kinds))]
            columns = [(f"{alias}.{name}", kind) for name, kind in zip(names, kinds, strict=True)]
            return f"{'lateral ' * lateral}({body}) {alias}({', '.join(names)})", Columns(columns)
        if shape < 35:
            kind = self.random.choice(tuple(SET_FUNCTIONS))
            call = self.set_function(kind, outer)
            if self.chance(30):
                both = [(f"{alias}.v", kind), (f"{alias}.o", "int8")]
                return f"{call} with ordinality {alias}(v, o)", Columns(both)
            if self.chance(20):
                return f"rows from ({call}, generate_series(1, 2)) {alias}(v, w)", Columns(
                    [(f"{alias}.v", kind)]
                )
            return f"{call} {alias}(v)", Columns([(f"{alias}.v", kind)])
        table = self.random.choice(tuple(TABLES))
        return f"{table} {alias}", self.columns_of(table, alias)

    def columns_of(self, table: str, alias: str) -> Columns:
        return Columns([(f"{alias}.{name}", kind) for name, kind in TABLES[table].items()])

    # ------------------------------------------------------------ expressions

    def literal(self, kind: str) -> str:
        if kind in _VALUES and self.chance(4):
            self._parameters.append(kind)
            return f"${len(self._parameters)}"
        return self.random.choice(LITERALS[kind])

    def expressions(self, kinds: list[str], reach: Columns, depth: int) -> list[str]:
        return [self.expression(kind, reach, depth) for kind in kinds]

    def expression(self, kind: str, reach: Columns, depth: int) -> str:
        if self.chance(1):
            kind = self.random.choice(TYPES)  # an odd one
        known = reach.of(kind)
        if depth <= 0 or self.chance(35):
            return self.random.choice(known) if known and self.chance(75) else self.literal(kind)
        if self.chance(25):
            return self.of_any_type(kind, reach, depth - 1)
        template, operands = self.random.choice(CALLS[kind])
        return template.format(*self.expressions(list(operands), reach, depth - 1))

    def of_any_type(self, kind: str, reach: Columns, depth: int) -> str:
        one, other = (self.expression(kind, reach, depth) for _ in range(2))
        test = self.expression("bool", reach, depth)
        shape = self.random.randrange(10 if depth > 0 else 5)
        if shape < 5:
            return (
                f"case when {test} then {one} else {other} end",
                f"coalesce({one}, {other})",
                f"nullif({one}, {other})",
                f"case {one} when {other} then {one} end",
                f"greatest({one}, {other})",
            )[shape]
        query = self.query([kind], reach, min(depth, 2))
        if shape == 5:
            return f"(array({query}))[1]"
        if shape < 8 or kind != "bool":
            return (
                f"({query} limit 1)"
                if " limit " not in query[-30:]
                else f"(select * from ({query}) s limit 1)"
            )
        operand = self.random.choice(PLAIN)
        query = self.query([operand], reach, min(depth, 2))
        if shape == 8:
            return f"{self.pick('', 'not ')}exists ({query})"
        word = self.pick("in", "not in", "= any", "< all", "<> all", ">= any")
        return f"({self.expression(operand, reach, depth)} {word} ({query}))"

    # ------------------------------------------------------------ modifications

    def insert(self, *, returning: bool = False) -> str:
        table = self.random.choice(tuple(TABLES))
        names = self.random.sample(tuple(TABLES[table]), self.up_to(len(TABLES[table])))
        kinds = [TABLES[table][name] for name in names]
        source = self.query(kinds, Columns(), 2)
        text = f"insert into {table} as w ({', '.join(names)}) {source}"
        if KEYS[table] and self.chance(50):
            reach = self.columns_of(table, "w").with_(self.columns_of(table, "excluded"))
            setting = self.assignments(table, reach)
            action = self.pick(
                "nothing",
                f"update set {setting}",
                f"update set {setting} where {self.expression('bool', reach, 1)}",
            )
            text += f" on conflict ({', '.join(KEYS[table])}) do {action}"
        return text + self.returning(table, returning)

    def assignments(self, table: str, reach: Columns) -> str:
        names = self.random.sample(tuple(TABLES[table]), self.up_to(2))
        values = [self.expression(TABLES[table][name], reach, 2) for name in names]
        if self.chance(30):
            return f"({', '.join(names)}) = (select {', '.join(values)})"
        return ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))

    def returning(self, table: str, always: bool) -> str:
        if not always and self.chance(50):
            return ""
        return f" returning {self.expression(self.random.choice(PLAIN), self.columns_of(table, 'w'), 2)}"

    def update(self, *, returning: bool = False) -> str:
        table = self.random.choice(tuple(TABLES))
        reach, text = self.columns_of(table, "w"), ""
        if self.chance(40):
            text, more = self.item(Columns(), 2)
            reach, text = reach.with_(more), f" from {text}"
        setting = self.assignments(table, reach)
        condition = self.expression("bool", reach, 2)
        return f"update {table} w set {setting}{text} where {condition}{self.returning(table, returning)}"

    def delete(self, *, returning: bool = False) -> str:
        table = self.random.choice(tuple(TABLES))
        reach, text = self.columns_of(table, "w"), ""
        if self.chance(40):
            text, more = self.item(Columns(), 2)
            reach, text = reach.with_(more), f" using {text}"
        condition = self.expression("bool", reach, 2)
        return f"delete from {table} w{text} where {condition}{self.returning(table, returning)}"

    # ------------------------------------------------------------ width and depth

    def wide(self) -> str:
        """Return a statement with a long list of something."""
        count = self.random.choice((20, 60, 200))
        reach = self.columns_of("t", "t")
        parts = [self.expression("bool", reach, 1) for _ in range(count)]
        shape = self.random.randrange(7)
        if shape == 0:
            return f"select id from t where {self.pick(' and ', ' or ').join(parts)}"
        if shape == 1:
            kinds = self.kinds(2)
            return self.pick(" union all ", " union ", " except ").join(
                f"(select {', '.join(self.expressions(kinds, Columns(), 1))})" for _ in range(count)
            )
        if shape == 2:
            kinds = ["join", "left join", "full join"]
            joins = (
                f"{self.pick(*kinds)} {self.pick('t', 'odd')} t{n} on t{n}.id = t{n - 1}.id"
                for n in range(1, min(count, 60))
            )
            return f"select count(*) from t t0 {' '.join(joins)}"
        if shape == 3:
            ctes = (
                f"c{n} as {self.pick('', 'materialized ')}(select n + 1 as n from c{n - 1} where n > 0)"
                for n in range(1, count)
            )
            return f"with c0 as (select 1 as n), {', '.join(ctes)} select * from c{count - 1}"
        if shape == 4:
            arms = (f"when {part} then {number}" for number, part in enumerate(parts))
            return f"select case {' '.join(arms)} end from t"
        if shape == 5:
            items = (self.expression("int4", reach, 1) for _ in range(count))
            return f"select id from t where a {self.pick('', 'not ')}in ({', '.join(items)})"
        return f"select {', '.join(parts)} from t order by {self.random.randint(1, count)}"

    def deep(self) -> str:
        """Return a statement in which something is nested in itself many times."""
        count = self.random.choice((10, 50, 150))
        kind = self.random.choice(PLAIN)
        core = self.expression(kind, self.columns_of("t", "t"), 1)
        head, tail = self.random.choice(
            (
                ("(", ")"), ("coalesce(", f", {self.literal(kind)})"), ("(select ", ")"),
                ("case when t.id = 1 then ", " end"), (f"nullif({self.literal(kind)}, ", ")"),
                ("(select greatest(", f", {self.literal(kind)}) from heap limit 1)"),
            )
        )  # fmt: skip
        text = head * count + core + tail * count
        if self.chance(30):
            return f"select * from {'(select * from ' * count}t{' offset 0) s' * count}"
        return f"select {text} from t"
