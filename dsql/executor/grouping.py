"""Code of aggregation and DISTINCT.

Groups live in a dict from key to a list: the accumulators, then the first row's values of whatever is
needed above besides. Without GROUP BY the accumulators are local variables. Grouping sets keep one dict
each over the same input. DISTINCT and ordered aggregates gather their input per group, and step
through it at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field

from dsql.executor.expressions import Code
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.ordering import sort_statements
from dsql.executor.source import Binding, Consume, Env
from dsql.functions.function import Aggregate
from dsql.planner import plan as p
from dsql.planner.expressions import Slot, slots_of_all
from dsql.planner.plan_slots import made_slots
from dsql.sql.bound import AggregateCall, Expression
from dsql.types import registry


def distinct_key(generator: Generator, nodes: Sequence[Expression], codes: Sequence[Code]) -> str:
    """Return code of a hashable key under which NULLs are equal, as in GROUP BY."""
    parts = []
    for node, code in zip(nodes, codes, strict=True):
        hash_key = registry.get(node.type_oid).hash_key
        if hash_key is None:
            parts.append(code.text)
            continue
        name = generator.source.constant(hash_key, "hash")
        guard = f"None if {code.text} is None else " if code.nullable else ""
        parts.append(f"({guard}{name}({code.text}))")
    return parts[0] if len(parts) == 1 else tuple_code(parts)


def produce_distinct(
    generator: Generator, node: p.Distinct, env: Env, required: set[int], consume: Consume
) -> None:
    """Write DISTINCT [ON]: the first of equal rows passes. A function also gives what was spilled."""
    generator.boundary(node, env, required, consume, _distinct)


def _distinct(
    generator: Generator, node: p.Distinct, env: Env, required: set[int], consume: Consume
) -> None:
    source = generator.source
    distinct = DistinctCode(generator)
    slots = sorted(required & made_slots(node.child))
    nullable = [False] * len(slots)

    def give(inner: Env) -> None:
        for position, slot in enumerate(slots):
            nullable[position] = nullable[position] or inner[slot].nullable
        codes = [generator.expressions.atom(item, inner) for item in node.expressions]
        row = tuple_code([inner[slot].code for slot in slots])
        with distinct.first(node.expressions, codes, row):
            consume(inner)

    generator.produce(node.child, env, required | slots_of_all(node.expressions), give)
    inner, names = generator.bind(env, slots, nullable)
    with source.block(f"for {unpack_code(names)} in {distinct.name}.rest():"):
        consume(inner)


class DistinctCode:
    """Writes the search for rows that were not there before; see `dsql.executor.partition`."""

    def __init__(self, generator: Generator) -> None:
        source = generator.source
        self._generator = generator
        self.name, self._seen = source.fresh("distinct"), source.fresh("seen")
        memory = generator.runtime("memory")
        source.line(f"{self.name} = DistinctRows({memory}); {self._seen} = {self.name}.seen")

    @contextmanager
    def first(self, nodes: Sequence[Expression], codes: Sequence[Code], row: str) -> Iterator[None]:
        """Write the block of rows that are the first with their values; later ones come from `rest()`."""
        generator, source = self._generator, self._generator.source
        key = source.fresh("key")
        text = distinct_key(generator, nodes, codes) if nodes else "()"
        source.line(f"{key} = {text}")
        with source.block(f"if {key} not in {self._seen}:"):
            with source.block(f"if {self.name}.full:"):
                source.line(f"{self.name}.defer({key}, {row})")
            with source.block("else:"):
                source.line(f"{self._seen}.add({key})")
                types = [node.type_oid for node in nodes]
                generator.note_large(self.name, [code.text for code in codes], types)
                with source.block(f"if not len({self._seen}) & 63:"):
                    source.line(f"{self.name}.sample({key})")
                yield


@dataclass(slots=True)
class _Layout:
    """Where things stand in a group's list."""

    calls: Sequence[tuple[Slot, AggregateCall]]
    keys: Sequence[tuple[Slot, Expression]]
    carried: list[int]
    nullable: dict[int, bool] = field(default_factory=dict)

    def key_place(self, number: int) -> int:
        return len(self.calls) + number

    def carried_place(self, number: int) -> int:
        return len(self.calls) + len(self.keys) + number


def produce_aggregate(
    generator: Generator, node: p.AggregateNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write an aggregation."""
    if len(node.sets) > 1:
        generator.boundary(node, env, required, consume, _aggregate_sets)
    elif not node.keys:
        _aggregate_all(generator, node, env, required, consume)
    else:
        _aggregate_groups(generator, node, env, required, consume)


def _inputs(node: p.AggregateNode, required: set[int], carried: Sequence[int]) -> set[int]:
    del required
    expressions = [*(item for _, item in node.keys), *(call for _, call in node.calls)]
    return slots_of_all(expressions) | set(carried)


def _carried(node: p.AggregateNode, required: set[int]) -> list[int]:
    """Return the slots wanted above that are neither keys nor results: functionally dependent ones."""
    own = {slot.id for slot, _ in (*node.keys, *node.calls, *node.groupings)}
    return sorted((required & made_slots(node.child)) - own)


def _initial(generator: Generator, call: AggregateCall) -> str:
    """Return code for the accumulator of a new group."""
    return "[]" if gathers(call) else _first_accumulator(generator, call)


def _first_accumulator(generator: Generator, call: AggregateCall) -> str:
    if not call.aggregate.needs_context:
        first = call.aggregate.initial()
        if first is None or type(first) is int:
            return repr(first)
    initial = generator.source.constant(call.aggregate.initial, "initial")
    return f"{initial}({'context' if call.aggregate.needs_context else ''})"


def gathers(call: AggregateCall) -> bool:
    """Return True if the aggregate's input is kept and stepped through at the end."""
    return call.distinct or bool(call.order_by)


@dataclass(slots=True)
class _Account:
    """Names of the accumulators' `Held`, and of the count of gathered rows."""

    held: str
    counter: str


def _account(generator: Generator, calls: Sequence[tuple[Slot, AggregateCall]]) -> _Account:
    counting = any(gathers(call) or call.aggregate.gathers for _, call in calls)
    counter = generator.counter() if counting else ""
    return _Account(generator.hold(), counter)


def _step(
    generator: Generator, call: AggregateCall, place: str, env: Env, account: _Account
) -> None:
    """Write one row's step of an aggregate whose accumulator is `place`."""
    source = generator.source
    with ExitStack() as blocks:
        if call.filter is not None:
            text = generator.expressions.true(call.filter, env)
            blocks.enter_context(source.block(f"if {text}:"))
        codes = [generator.expressions.atom(item, env) for item in call.arguments]
        if not call.aggregate.keeps_nulls:
            guards = [f"{code.text} is not None" for code in codes if code.nullable]
            if guards:
                blocks.enter_context(source.block(f"if {' and '.join(guards)}:"))
        if gathers(call):
            keys = [generator.kept_value(key.expression, env).text for key in call.order_by]
            texts = [code.text for code in codes]
            source.line(f"{place}.append({tuple_code([tuple_code(texts), *keys])})")
            types = [item.type_oid for item in call.arguments]
            types += [key.expression.type_oid for key in call.order_by]
            generator.note_large(account.held, [*texts, *keys], types)
            sample = tuple_code([*texts, *keys])
            generator.sample_each(account.counter, f"{account.held}.sample_one({sample})")
            return
        if generator.varies(call.type_oid) and not _accounts(call.aggregate):
            _step_held(generator, call, place, codes, account)
            return
        source.line(f"{place} = {step_code(generator, call, place, codes)}")
        if call.aggregate.gathers:
            texts = [code.text for code in codes]
            generator.note_large(account.held, texts, [item.type_oid for item in call.arguments])
            sample = f"{account.held}.sample_one({tuple_code(texts)})"
            generator.sample_each(account.counter, sample)


def _accounts(aggregate: Aggregate) -> bool:
    """Return True if the accumulator is not simply the result so far."""
    return aggregate.needs_context or aggregate.gathers


def _step_held(
    generator: Generator, call: AggregateCall, place: str, codes: Sequence[Code], account: _Account
) -> None:
    """Write the step of an aggregate that holds one value of any length, such as max(text)."""
    source = generator.source
    old, new = source.fresh("old"), source.fresh("new")
    source.line(f"{old} = {place}")
    source.line(f"{new} = {step_code(generator, call, old, codes)}")
    with source.block(f"if {new} is not {old}:"):
        source.line(f"{account.held}.replace({old}, {new}); {place} = {new}")


def step_code(
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


def _result(generator: Generator, call: AggregateCall, place: str, env: Env) -> str:
    """Return code for an aggregate's result; writes the pass over gathered input first."""
    source, aggregate = generator.source, call.aggregate
    if gathers(call):
        place = _step_gathered(generator, call, place)
    final = source.constant(aggregate.final, "final")
    direct = [generator.value(item, env).text for item in call.direct]
    return f"{final}({', '.join([place, *direct])})"


def _step_gathered(generator: Generator, call: AggregateCall, rows: str) -> str:
    """Write the pass over gathered rows ((arguments), sort keys...); return the accumulator."""
    source = generator.source
    if call.order_by:
        sort_statements(generator, rows, call.order_by, range(1, 1 + len(call.order_by)))
    accumulator, row = source.fresh("acc"), source.fresh("row")
    source.line(f"{accumulator} = {_first_accumulator(generator, call)}")
    names = [source.fresh("arg") for _ in call.arguments]
    codes = [Code(name, nullable=True) for name in names]
    seen = source.fresh("seen")
    if call.distinct:
        source.line(f"{seen} = set()")
        if not call.order_by:
            _sort_by_arguments(generator, call, rows)
    with source.block(f"for {row} in {rows}:"):
        for number, name in enumerate(names):
            source.line(f"{name} = {row}[0][{number}]")
        with ExitStack() as blocks:
            if call.distinct:
                key = source.fresh("key")
                source.line(f"{key} = {distinct_key(generator, call.arguments, codes)}")
                blocks.enter_context(source.block(f"if {key} not in {seen}:"))
                source.line(f"{seen}.add({key})")
            source.line(f"{accumulator} = {step_code(generator, call, accumulator, codes)}")
    return accumulator


def _sort_by_arguments(generator: Generator, call: AggregateCall, rows: str) -> None:
    """Write the sort by which PostgreSQL finds duplicates: array_agg(DISTINCT x) shows it."""
    parts = []
    for number, argument in enumerate(call.arguments):
        sort_key = registry.get(argument.type_oid).sort_key
        value = f"r[0][{number}]"
        key = f"{generator.source.constant(sort_key)}({value})" if sort_key else value
        parts.append(f"({value} is None, None if {value} is None else {key})")
    if parts:
        generator.source.line(f"{rows}.sort(key=lambda r: {tuple_code(parts)})")


def _aggregate_all(
    generator: Generator, node: p.AggregateNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write an aggregation into one row, with local variables for accumulators."""
    source = generator.source
    places = [source.fresh("acc") for _ in node.calls]
    for place, (_, call) in zip(places, node.calls, strict=True):
        source.line(f"{place} = {_initial(generator, call)}")
    account = _account(generator, node.calls)

    def step(inner: Env) -> None:
        for place, (_, call) in zip(places, node.calls, strict=True):
            _step(generator, call, place, inner, account)
        if not node.calls:
            source.line("pass")

    generator.produce(node.child, env, _inputs(node, required, ()), step)
    results = dict(env)
    for place, (slot, call) in zip(places, node.calls, strict=True):
        text = _result(generator, call, place, env)
        name = source.fresh("c")
        source.line(f"{name} = {text}")
        results[slot.id] = Binding(name)
    for slot, _ in node.groupings:
        results[slot.id] = Binding("0", nullable=False)
    for slot_id in _carried(node, required):
        results[slot_id] = Binding("None")
    with source.block("if True:"):
        consume(results)


def _aggregate_sets(
    generator: Generator, node: p.AggregateNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write an aggregation into groups, for one or several grouping sets."""
    source = generator.source
    layout = _Layout(node.calls, node.keys, _carried(node, required))
    tables = [source.fresh("groups") for _ in node.sets]
    for table, members in zip(tables, node.sets, strict=True):
        start = "{}" if members else f"{{(): {_empty_group(generator, layout)}}}"
        source.line(f"{table} = {start}")
    account = _account(generator, node.calls)

    def step(inner: Env) -> None:
        codes = [generator.expressions.atom(item, inner) for _, item in node.keys]
        for table, members in zip(tables, node.sets, strict=True):
            group = _find_group(generator, layout, table, members, codes, inner, account)
            for number, (_, call) in enumerate(node.calls):
                _step(generator, call, f"{group}[{number}]", inner, account)
        for (slot, _), code in zip(node.keys, codes, strict=True):
            layout.nullable[slot.id] = code.nullable

    generator.produce(node.child, env, _inputs(node, required, layout.carried), step)
    for table, members in zip(tables, node.sets, strict=True):
        _give_groups(generator, node, layout, f"{table}.values()", members, env, consume)


def _aggregate_groups(
    generator: Generator, node: p.AggregateNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write an aggregation into the groups of one set of keys.

    When the groups have taken their share of memory, rows of further ones go to temporary space, in
    partitions by key. Each partition is aggregated in turn once the groups before it have been given.
    """
    source = generator.source
    layout = _Layout(node.calls, node.keys, _carried(node, required))
    inputs = _inputs(node, required, layout.carried)
    name = source.fresh("groups")
    with source.nested(name):
        table, spill = source.fresh("groups"), source.fresh("spill")
        source.line(f"{table} = {{}}; {spill} = GroupSpill({generator.runtime('memory')})")
        account = _account(generator, node.calls)
        slots = sorted(inputs & made_slots(node.child))
        nullable = [False] * len(slots)

        def step(inner: Env) -> None:
            for position, slot in enumerate(slots):
                nullable[position] = nullable[position] or inner[slot].nullable
            row = tuple_code([inner[slot].code for slot in slots])
            _step_group(generator, node, layout, (table, spill, row), inner, account)

        generator.produce(node.child, env, inputs, step)
        source.line(f"yield from {table}.values()")
        with source.block(f"while {spill}.next({table}, {account.held}):"):
            inner, names = generator.bind(env, slots, nullable)
            with source.block(f"for {unpack_code(names)} in {spill}.rows():"):
                step(inner)
            source.line(f"yield from {table}.values()")
    _give_groups(generator, node, layout, source.call(name), node.sets[0], env, consume)


def _step_group(
    generator: Generator,
    node: p.AggregateNode,
    layout: _Layout,
    names: tuple[str, str, str],
    env: Env,
    account: _Account,
) -> None:
    """Write one row's way into its group, or into temporary space; `names`: table, spill, row."""
    source = generator.source
    table, spill, row = names
    group, key = source.fresh("group"), source.fresh("key")
    codes = [generator.expressions.atom(item, env) for _, item in node.keys]
    nodes = [item for _, item in node.keys]
    source.line(f"{key} = {distinct_key(generator, nodes, codes)}")
    source.line(f"{group} = {table}.get({key})")
    with source.block(f"if {group} is None:"):
        with source.block(f"if {spill}.full:"):
            source.line(f"{spill}.defer({key}, {row})")
        with source.block("else:"):
            values = [_initial(generator, call) for _, call in layout.calls]
            values += [code.text for code in codes]
            values += [env[slot].code for slot in layout.carried]
            source.line(f"{table}[{key}] = {group} = [{', '.join(values)}]")
            generator.note_large(spill, [code.text for code in codes], [n.type_oid for n in nodes])
            with source.block(f"if not len({table}) & 63:"):
                source.line(f"{spill}.sample({key}, {group})")
    with source.block(f"if {group} is not None:") if node.calls else nullcontext():
        for number, (_, call) in enumerate(node.calls):
            _step(generator, call, f"{group}[{number}]", env, account)
    for (slot, _), code in zip(node.keys, codes, strict=True):
        layout.nullable[slot.id] = layout.nullable.get(slot.id, False) or code.nullable
    for slot_id in layout.carried:
        layout.nullable[slot_id] = env[slot_id].nullable


def _empty_group(generator: Generator, layout: _Layout) -> str:
    starts = [_initial(generator, call) for _, call in layout.calls]
    rest = ["None"] * (len(layout.keys) + len(layout.carried))
    return f"[{', '.join(starts + rest)}]"


def _find_group(
    generator: Generator,
    layout: _Layout,
    table: str,
    members: Sequence[int],
    codes: Sequence[Code],
    env: Env,
    account: _Account,
) -> str:
    """Write the search for the row's group, made if it is new; return the name of its list."""
    source = generator.source
    group, key = source.fresh("group"), source.fresh("key")
    nodes = [layout.keys[member][1] for member in members]
    source.line(f"{key} = {distinct_key(generator, nodes, [codes[m] for m in members])}")
    source.line(f"{group} = {table}.get({key})")
    with source.block(f"if {group} is None:"):
        values = [_initial(generator, call) for _, call in layout.calls]
        values += [
            codes[number].text if number in members else "None"
            for number in range(len(layout.keys))
        ]
        values += [env[slot].code for slot in layout.carried]
        source.line(f"{table}[{key}] = {group} = [{', '.join(values)}]")
        types = [node.type_oid for node in nodes]
        generator.note_large(account.held, [codes[m].text for m in members], types)
        with source.block(f"if not len({table}) & 63:"):
            source.line(f"{account.held}.sample_one({tuple_code([key, group])})")
    for slot in layout.carried:
        layout.nullable[slot] = env[slot].nullable
    return group


def _give_groups(
    generator: Generator,
    node: p.AggregateNode,
    layout: _Layout,
    groups: str,
    members: Sequence[int],
    env: Env,
    consume: Consume,
) -> None:
    """Write the loop over finished groups, an iterable of their lists."""
    source = generator.source
    group = source.fresh("group")
    with source.block(f"for {group} in {groups}:"):
        results = dict(env)
        for number, (slot, _) in enumerate(node.keys):
            name = source.fresh("c")
            source.line(f"{name} = {group}[{layout.key_place(number)}]")
            absent = number not in members
            results[slot.id] = Binding(name, absent or layout.nullable.get(slot.id, True))
        for number, slot_id in enumerate(layout.carried):
            name = source.fresh("c")
            source.line(f"{name} = {group}[{layout.carried_place(number)}]")
            results[slot_id] = Binding(name, nullable=True)
        for number, (slot, call) in enumerate(node.calls):
            text = _result(generator, call, f"{group}[{number}]", results)
            name = source.fresh("c")
            source.line(f"{name} = {text}")
            results[slot.id] = Binding(name)
        for slot, keys in node.groupings:
            mask = 0
            for key in keys:
                mask = mask * 2 + (key not in members)
            results[slot.id] = Binding(str(mask), nullable=False)
        consume(results)
