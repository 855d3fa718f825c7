"""Code of aggregate calls: their accumulators, one row's step, and the result.

Most are stepped row by row. DISTINCT looks for values that were not there before, as
`dsql.executor.distinct` does, if the aggregate does not care for the order of its input. Else, as with
ORDER BY, the input of all groups is kept together, sorted by group, and stepped through when a group is
finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from dsql.executor.code import Code
from dsql.executor.distinct import DistinctCode, distinct_key
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.ordering import sorter_arguments, write_sorter
from dsql.executor.source import Env
from dsql.sql.bound import AggregateCall, Constant, SortKey
from dsql.types import oids


def keeps_input(call: AggregateCall) -> bool:
    """Return True if a call's input is kept until all rows were seen."""
    return bool(call.order_by) or (call.distinct and not call.aggregate.any_order)


class Accumulation:
    """Writes one call of an aggregation: of many groups if it is `grouped`.

    `held` is the name of the accumulators' account, `place` always code of one: a variable, or an item of a
    group's list.
    """

    def __init__(
        self,
        generator: Generator,
        call: AggregateCall,
        held: str,
        *,
        grouped: bool,
        counter: str = "",
    ) -> None:
        """`counter`: where to count what is gathered, if not in a variable of the function."""
        self._generator = generator
        self._call = call
        self._held = held
        self._counter = counter
        if call.aggregate.gathers and not counter:
            self._counter = generator.counter()
        self._distinct: DistinctCode | None = None
        self._gathered: _Gathered | None = None
        if keeps_input(call):
            self._gathered = _Gathered(generator, call, grouped=grouped)
        elif call.distinct:
            self._distinct = DistinctCode(generator)

    @property
    def gathers(self) -> bool:
        """True if the input is kept. Until `gather`, the accumulator is the group's number then."""
        return self._gathered is not None

    def initial(self, number: str) -> str:
        """Return code for the accumulator of a new group, of the number that is given."""
        return (
            number
            if self._gathered is not None
            else _first_accumulator(self._generator, self._call)
        )

    def step(self, place: str, env: Env, key: str) -> None:
        """Write one row's step; `key`: the group's, "" if there is one group only."""
        with self._counted(env) as codes:
            if self._gathered is not None:
                self._gathered.keep(place, codes, env)
                return
            if self._distinct is None:
                self._advance(place, codes)
                return
            arguments = self._call.arguments
            value = distinct_key(self._generator, arguments, codes)
            row = tuple_code([key or "None", *(code.text for code in codes)])
            found = f"({key}, {value})" if key else value
            with self._distinct.first(found, row, arguments, codes):
                self._advance(place, codes)

    @contextmanager
    def _counted(self, env: Env) -> Iterator[list[Code]]:
        """Write the tests for rows that count around what is written inside; yield the arguments."""
        call, expressions = self._call, self._generator.expressions
        with ExitStack() as blocks:
            if call.filter is not None:
                test = f"if {expressions.true(call.filter, env)}:"
                blocks.enter_context(self._generator.source.block(test))
            codes = [expressions.atom(item, env) for item in call.arguments]
            if not call.aggregate.keeps_nulls:
                guards = [f"{code.text} is not None" for code in codes if code.nullable]
                if guards:
                    test = f"if {' and '.join(guards)}:"
                    blocks.enter_context(self._generator.source.block(test))
            yield codes

    def _advance(self, place: str, codes: Sequence[Code]) -> None:
        generator, call, source = self._generator, self._call, self._generator.source
        if not call.aggregate.gathers:
            if generator.varies(call.type_oid):
                _step_held(generator, call, place, codes, self._held)
            else:
                source.line(f"{place} = {_step_code(generator, call, place, codes)}")
            return
        types = [item.type_oid for item in call.arguments]
        if call.aggregate.item is not None:
            codes, types = [self._item(codes)], [oids.TEXT]
        source.line(f"{place} = {_step_code(generator, call, place, codes)}")
        texts = [code.text for code in codes]
        generator.note_large(self._held, texts, types)
        generator.sample_each(self._counter, f"{self._held}.sample_one({tuple_code(texts)})")

    def _item(self, codes: Sequence[Code]) -> Code:
        """Write the making of the text that is gathered in the place of the arguments."""
        source = self._generator.source
        name, item = source.fresh("item"), source.constant(self._call.aggregate.item, "item")
        texts = ["context", *(code.text for code in codes)]
        source.line(f"{name} = {item}({', '.join(texts)})")
        return Code(name, nullable=False)

    def step_rest(self, place: str, key: str) -> None:
        """Write the steps that had to wait until all rows were seen; `place` may read `key`."""
        if self._distinct is None:
            return
        source = self._generator.source
        names = [source.fresh("arg") for _ in self._call.arguments]
        header = f"for {unpack_code([key, *names])} in {self._distinct.name}.rest():"
        with source.block(header):
            self._advance(place, [Code(name, nullable=True) for name in names])

    def gather(self, place: str) -> None:
        """Write the pass over the kept rows of the group, whose accumulator takes its number's place."""
        if self._gathered is None:
            return
        source, call = self._generator.source, self._call
        if call.aggregate.ordered_set and call.aggregate.gathers:
            source.line(f"{place} = {self._gathered.name}.values({place})")
            return
        accumulator = source.fresh("acc")
        rows = f"{self._gathered.name}.group({place})"
        source.line(f"{accumulator} = {_first_accumulator(self._generator, call)}")
        with self._gathered.each(rows) as codes:
            self._advance(accumulator, codes)
        source.line(f"{place} = {accumulator}")

    def forget(self) -> None:
        """Write the forgetting of what is kept, before other groups are begun."""
        if self._gathered is not None:
            self._generator.source.line(f"{self._gathered.name}.clear()")

    def result(self, place: str, env: Env) -> str:
        """Return code for the aggregate's result."""
        generator, call = self._generator, self._call
        final = generator.source.constant(call.aggregate.final, "final")
        direct = [generator.value(item, env).text for item in call.direct]
        return f"{final}({', '.join([place, *direct])})"


class _Gathered:
    """Writes the keeping of a call's input as rows (number of the group, arguments, sort keys)."""

    def __init__(self, generator: Generator, call: AggregateCall, *, grouped: bool) -> None:
        source = generator.source
        self._generator = generator
        self._call = call
        number = SortKey(expression=Constant(type_oid=oids.INT8, value=0))
        given = [SortKey(expression=item) for item in call.arguments]
        first = 1 + len(call.arguments)
        keys, places = list(call.order_by), [*range(first, first + len(call.order_by))]
        if grouped:
            keys, places = [number, *keys], [0, *places]
        if call.distinct:  # equal ones have to come together
            keys, places = [*keys, *given], [*places, *range(1, first)]
        functions = source.fresh("order"), source.fresh("key")
        nullable = [place > 0 for place in places]
        write_sorter(generator, functions, keys, places, nullable)
        self.name, self._rows = generator.keep("GroupedRows", sorter_arguments(functions, keys))

    def keep(self, number: str, codes: Sequence[Code], env: Env) -> None:
        """Write the keeping of one row's arguments."""
        generator, call = self._generator, self._call
        keys = [generator.kept_value(key.expression, env).text for key in call.order_by]
        types = [oids.INT8, *(item.type_oid for item in call.arguments)]
        types += [key.expression.type_oid for key in call.order_by]
        fields = [number, *(code.text for code in codes), *keys]
        generator.append(self.name, self._rows, fields, types)

    @contextmanager
    def each(self, rows: str) -> Iterator[list[Code]]:
        """Write the loop over a group's rows around what is written inside; yield the arguments."""
        generator, call, source = self._generator, self._call, self._generator.source
        names = [source.fresh("arg") for _ in call.arguments]
        codes = [Code(name, nullable=True) for name in names]
        last = source.fresh("last")
        if call.distinct:
            source.line(f"{last} = ...")  # like no key
        ignored = ["_"] * len(call.order_by)
        with (
            source.block(f"for {unpack_code(['_', *names, *ignored])} in {rows}:"),
            ExitStack() as blocks,
        ):
            if call.distinct:
                key = source.fresh("key")
                source.line(f"{key} = {distinct_key(generator, call.arguments, codes)}")
                blocks.enter_context(source.block(f"if {key} != {last}:"))
                source.line(f"{last} = {key}")
            yield codes


def _first_accumulator(generator: Generator, call: AggregateCall) -> str:
    first = call.aggregate.initial()
    if first is None or type(first) is int:
        return repr(first)
    if call.aggregate.initial is list:
        return "[]"
    return f"{generator.source.constant(call.aggregate.initial, 'initial')}()"


def _step_held(
    generator: Generator, call: AggregateCall, place: str, codes: Sequence[Code], held: str
) -> None:
    """Write the step of an aggregate that holds one value of any length, such as max(text)."""
    source = generator.source
    old, new = source.fresh("old"), source.fresh("new")
    source.line(f"{old} = {place}")
    source.line(f"{new} = {_step_code(generator, call, old, codes)}")
    with source.block(f"if {new} is not {old}:"):
        source.line(f"{held}.replace({old}, {new}); {place} = {new}")


def _step_code(
    generator: Generator, call: AggregateCall, accumulator: str, codes: Sequence[Code]
) -> str:
    """Return code for the next accumulator."""
    aggregate, source = call.aggregate, generator.source
    texts = [code.text for code in codes]
    if aggregate.step_template:
        if aggregate.step_template.count("{0}") > 1 and not accumulator.isidentifier():
            name = source.fresh("a")
            source.line(f"{name} = {accumulator}")
            accumulator = name
        return aggregate.step_template.format(accumulator, *texts)
    step = source.constant(aggregate.step, "step")
    return f"{step}({', '.join([accumulator, *texts])})"
