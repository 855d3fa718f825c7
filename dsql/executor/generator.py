"""From a plan to source: every node writes the loop that produces its rows and, inside it, what comes next.

`produce(node, env, required, consume)` writes code that runs the node; wherever that code has a row,
`consume` is called to write what happens to it, with an `Env` that says which variable each slot is. So
a pipeline of scan, filter, join and projection becomes one nest of loops without a call per row.
`required` are the slots that anyone above needs: nothing else is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from operator import itemgetter
from typing import Any

from dsql.executor.code import Code
from dsql.executor.expressions import Expressions
from dsql.executor.memory import LARGE_BYTES, SAMPLE_EVERY
from dsql.executor.nesting import LOOPS_MAX, Nesting
from dsql.executor.source import Binding, Consume, Env, Source
from dsql.executor.whole_scans import WholeScans
from dsql.planner import plan as p
from dsql.planner.expressions import SubPlan, conjunction, slots_of_all
from dsql.planner.plan_slots import MadeSlots
from dsql.sql.bound import Expression
from dsql.types import oids, registry

Produce = Callable[["Generator", Any, Env, set[int], Consume], None]


def tuple_code(items: Sequence[str]) -> str:
    """Return a tuple display."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def unpack_code(names: Sequence[str]) -> str:
    """Return an assignment target for such a tuple."""
    if not names:
        return "_"
    return f"{names[0]}," if len(names) == 1 else ", ".join(names)


class Generator:
    """Writes one program. `nodes` maps plan node classes to the functions that write them.

    `gathers`: an INSERT puts its rows into the dict `gathered` instead of the transaction, and raises an
    error once `touched` has come to `room`. `assumes_new`: nor does it look whether a row's key exists, but
    makes the function return False at a key that is there twice. `shared_tables`: OIDs of those whose rows
    more than one part of the statement changes. `ends_functions`: a LIMIT that
    nothing follows may end the function that it is in.
    """

    ends_functions = True

    def __init__(
        self,
        nodes: dict[type, Produce],
        *,
        gathers: bool = False,
        assumes_new: bool = False,
        shared_tables: frozenset[int] = frozenset(),
    ) -> None:
        self.gathers = gathers
        self.assumes_new = assumes_new
        self.shared_tables = shared_tables
        self.source = Source()
        self.expressions = Expressions(self)
        self.whole_scans = WholeScans()
        self.made = MadeSlots()
        self.ctes: dict[int, str] = {}  # the functions that give their rows, by id
        self.working: dict[int, str] = {}  # what the last round of a recursive one has made
        self._nesting = Nesting()
        self._nodes = nodes

    # ------------------------------------------------------------ what expressions refer to

    def parameter(self, index: int) -> str:
        """Return the variable of $n, or where it is if there are many."""
        if index >= _NAMED_PARAMETERS_MAX and ("parameter", index) not in self.source.once:
            return f"parameters[{index}]"
        return self.source.setup(("parameter", index), "p", f"parameters[{index}]")

    def parameters(self, indexes: Sequence[int]) -> str:
        """Return code of the values of many parameters."""
        return f"{self.source.constant(itemgetter(*indexes), 'chosen')}(parameters)"

    def bind_parameters(self, names: Sequence[str]) -> None:
        """Let $1, $2, ... be these variables, which the function sets itself."""
        for index, name in enumerate(names):
            self.source.once["parameter", index] = name

    def runtime(self, name: str) -> str:
        """Return the variable of an often used part of the context: tx_read, tx_scan, check, ..."""
        return self.source.setup(name, name + "_", _RUNTIME[name])

    def text_encoder(self, type_oid: int) -> str:
        """Return the variable of a type's text encoder under the session's settings."""
        known = self.source.constant(registry.get(type_oid).text_encoder, "encoder")
        return self.source.setup(("encode", type_oid), "encode", f"{known}(context.settings)")

    def text_decoder(self, type_oid: int) -> str:
        """Return the variable of a type's text decoder under the session's settings."""
        known = self.source.constant(registry.get(type_oid).text_decoder, "decoder")
        return self.source.setup(("decode", type_oid), "decode", f"{known}(context.settings)")

    def value(self, node: Expression, env: Env) -> Code:
        """Return code for the value of an expression."""
        return self.expressions.value(node, env)

    def values(self, nodes: Iterable[Expression], env: Env) -> list[str]:
        """Return code for several values."""
        return [self.expressions.value(node, env).text for node in nodes]

    @contextmanager
    def conditions(self, conditions: Sequence[Expression], env: Env) -> Iterator[None]:
        """Write a test around what is written inside; none without conditions."""
        condition = conjunction([*conditions])
        test = "" if condition is None else self.expressions.true(condition, env)
        with self.source.block(f"if {test}:") if test else nullcontext():
            yield

    # ------------------------------------------------------------ nodes

    def produce(self, node: p.Node, env: Env, required: set[int], consume: Consume) -> None:
        """Write a node, in a function of its own where its loops would nest too deep."""
        loops = self._nesting.loops(node)
        crowded = self.source.function.loops + loops > LOOPS_MAX
        if self._nesting.is_cut(node) or (crowded and loops):
            self.boundary(node, env, required, consume)
            return
        self._nodes[type(node)](self, node, env, required, consume)

    def scanned(self, node: p.Scan) -> None:
        """Write what is to be noted of a row that a scan has read, before its filter: nothing."""

    def boundary(
        self,
        node: p.Node,
        env: Env,
        required: set[int],
        consume: Consume,
        produce: Produce | None = None,
    ) -> None:
        """Write a node as a generator function, and a loop over it here."""
        name = self.source.fresh("part")
        carried = sorted(required & self.made.slots(node))
        nullable: dict[int, bool] = dict.fromkeys(carried, False)

        def give(inner: Env) -> None:
            for slot in carried:
                nullable[slot] = nullable[slot] or inner[slot].nullable
            self.source.line(f"yield {tuple_code([inner[slot].code for slot in carried])}")

        with self.source.nested(name):
            (produce or self._nodes[type(node)])(self, node, env, required, give)
            self.source.yields()
        names = [self.source.fresh("c") for _ in carried]
        with self.source.block(f"for {unpack_code(names)} in {self.source.call(name)}:"):
            consume(
                {
                    **env,
                    **{
                        slot: Binding(variable, nullable[slot])
                        for slot, variable in zip(carried, names, strict=True)
                    },
                }
            )

    def bind(
        self, env: Env, slots: Sequence[int], nullable: Sequence[bool]
    ) -> tuple[Env, list[str]]:
        """Return an env with new variables for slots, and the variables."""
        names = [self.source.fresh("c") for _ in slots]
        bindings = zip(slots, names, nullable, strict=True)
        return {**env, **{slot: Binding(name, null) for slot, name, null in bindings}}, names

    def keep(self, kind: str = "Rows", arguments: str = "") -> tuple[str, str]:
        """Write the making of kept rows (see `dsql.executor.spill`); return its name and its list's."""
        memory = self.runtime("memory")
        kept, rows = self.source.fresh("kept"), self.source.fresh("rows")
        self.source.line(f"{kept} = {kind}({memory}{arguments}); {rows} = {kept}.list")
        return kept, rows

    def hold(self) -> str:
        """Write the making of an account for what cannot spill (`Held`); return its name."""
        held = self.source.fresh("held")
        self.source.line(f"{held} = Held({self.runtime('memory')})")
        return held

    def counter(self) -> str:
        """Write the making of a count of rows for `sample_each`; return its name."""
        counter = self.source.fresh("counter")
        self.source.line(f"{counter} = {SAMPLE_EVERY}")
        return counter

    def sample_each(self, counter: str, sample: str) -> None:
        """Write a call that samples for one row in `SAMPLE_EVERY` of those that pass here."""
        self.source.line(f"{counter} -= 1")
        with self.source.block(f"if not {counter}:"):
            self.source.line(f"{counter} = {SAMPLE_EVERY}; {sample}")

    def in_flight(
        self, nodes: Sequence[Expression], codes: Sequence[Code]
    ) -> tuple[Sequence[Code], str]:
        """Let a `Flight` see values that are computed before the row or call they are for.

        Returns their codes and the flight's name. One or two of them are bounded by how large a value
        may be: there is no flight for them then, and its name is empty.
        """
        computed = [
            not code.atom and (_is_nested(node.type_oid) or _is_long(node.type_oid))
            for node, code in zip(nodes, codes, strict=True)
        ]
        if sum(computed) <= _FEW_IN_FLIGHT:
            return codes, ""
        memory = self.runtime("memory")
        flight = self.source.setup(object(), "flight", f"Flight({memory})")
        return [
            Code(f"{flight}.take({code.text})", code.nullable) if large else code
            for code, large in zip(codes, computed, strict=True)
        ], flight

    def flight(self, nodes: Sequence[Expression]) -> str:
        """Return the name of a `Flight` for a list of values; none if they are of a fixed size."""
        if not any(_is_nested(node.type_oid) or _is_long(node.type_oid) for node in nodes):
            return ""
        memory = self.runtime("memory")
        return self.source.setup(object(), "flight", f"Flight({memory})")

    def kept_fields(self, codes: Sequence[Code], types: Sequence[int]) -> list[str]:
        """Return code for values that are kept: names where `note_large` has to look at them."""
        fields = []
        for code, type_oid in zip(codes, types, strict=True):
            text = code.text
            if not text.isidentifier() and (_is_nested(type_oid) or _is_long(type_oid)):
                name = self.source.fresh("v")
                self.source.line(f"{name} = {text}")
                text = name
            fields.append(text)
        return fields

    def append(self, kept: str, rows: str, fields: Sequence[str], types: Sequence[int]) -> None:
        """Write the keeping of a row. Its fields are names if their types have no fixed size."""
        self.source.line(f"{rows}.append({tuple_code(fields)})")
        self.note_large(kept, fields, types)
        with self.source.block(f"if not len({rows}) & 63:"):
            self.source.line(f"{kept}.sample()")

    def note_large(self, held: str, fields: Sequence[str], types: Sequence[int]) -> None:
        """Write the accounting for large values of a row that has been kept."""
        for field, type_oid in zip(fields, types, strict=True):
            if _is_nested(type_oid):
                test = field
            elif _is_long(type_oid):
                test = f"{field} and len({field}) > {LARGE_BYTES}"
            else:
                continue
            if field.isidentifier():
                with self.source.block(f"if {test}:"):
                    self.source.line(f"{held}.large({field})")

    @staticmethod
    def varies(type_oid: int) -> bool:
        """Return True for types whose values are strings of any length."""
        return _is_long(type_oid)

    @staticmethod
    def has_large(type_oid: int) -> bool:
        """Return True for types whose values `note_large` looks at."""
        return _is_nested(type_oid) or _is_long(type_oid)

    def kept_value(self, node: Expression, env: Env) -> Code:
        """Return code for a value that is kept: a name if its type has no fixed size."""
        large = self.has_large(node.type_oid)
        return self.expressions.atom(node, env) if large else self.value(node, env)

    def query(
        self,
        query: p.QueryPlan,
        env: Env,
        consume: Callable[[list[Code], Env], None],
        *,
        terminal: bool = False,
        whole: bool = False,
    ) -> None:
        """Write a query; `consume` gets the code of its columns.

        `terminal`: nothing follows it. `whole`: all its rows are taken. What its CTEs modify happens while
        their rows are read, the rest behind the query, as in PostgreSQL the last of WITH first.
        """
        self.whole_scans.find(query.node, whole=whole)
        for cte in query.ctes:
            self._nodes[p.CtePlan](self, cte, env, set(), lambda _: None)
        modifying = [self.ctes[cte.id] for cte in query.ctes if cte.modifies]
        required = slots_of_all(query.expressions)

        def give(inner: Env) -> None:
            consume([self.value(item, inner) for item in query.expressions], inner)

        may_end = terminal and self.ends_functions and not modifying
        if may_end and isinstance(query.node, p.Limit):
            self._nodes[TerminalLimit](self, query.node, env, required, give)
        else:
            self.produce(query.node, env, required, give)
        for name in reversed(modifying):
            self.source.line(f"{name}().whole()")

    # ------------------------------------------------------------ subqueries

    def subplan(self, node: SubPlan, env: Env) -> Code:
        """Return code for a subquery as a value; the function that runs it is written here."""
        from dsql.executor import subplans

        return subplans.compile_subplan(self, node, env)


_FEW_IN_FLIGHT = 2
_NAMED_PARAMETERS_MAX = 100


def _is_nested(type_oid: int) -> bool:
    """Return True for arrays and records, whose values have values inside."""
    if not type_oid:
        return False
    return registry.is_composite(type_oid) or bool(registry.get(type_oid).element_oid)


def _is_long(type_oid: int) -> bool:
    """Return True for types whose values are strings of any length; 0 is none."""
    if not type_oid:
        return False
    return registry.get(type_oid).size < 0 and type_oid not in (oids.NUMERIC, oids.RECORD)


class TerminalLimit:
    """Marks, among the node writers, that of a LIMIT which may end its whole function."""


_RUNTIME = {
    "tx_get": "context.transaction.get",
    "tx_read": "context.transaction.read",
    "tx_scan": "context.transaction.scan",
    "tx_put": "context.transaction.put",
    "tx_delete": "context.transaction.delete",
    "tx_check": "context.transaction.check",
    "tx_room": "context.transaction.room",
    "row_time": "first_row_time(context)",
    "check": "context.check_cancel",
    "memory": "context.memory",
    "key_changes": "context.key_changes",
}
