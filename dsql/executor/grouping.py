"""Code of aggregation and DISTINCT.

Groups live in a dict from key to a list: the accumulators, then the first row's values of whatever is
needed above besides. Without GROUP BY the accumulators are local variables. Grouping sets keep one dict
each over the same input. DISTINCT and ordered aggregates gather their input per group, and step
through it at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from dsql.executor.expressions import Code
from dsql.executor.generator import Generator, tuple_code
from dsql.executor.ordering import sort_statements
from dsql.executor.source import Binding, Consume, Env
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
    """Write DISTINCT [ON]: the first of equal rows passes."""
    source = generator.source
    seen = source.fresh("seen")
    source.line(f"{seen} = set()")

    def give(inner: Env) -> None:
        codes = [generator.expressions.atom(item, inner) for item in node.expressions]
        key = source.fresh("key")
        source.line(f"{key} = {distinct_key(generator, node.expressions, codes)}")
        with source.block(f"if {key} not in {seen}:"):
            source.line(f"{seen}.add({key})")
            with source.block(f"if not len({seen}) & 63:"):
                source.line(f"{generator.runtime('meter')}([{key}])")
            consume(inner)

    generator.produce(node.child, env, required | slots_of_all(node.expressions), give)


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
        _aggregate_sets(generator, node, env, required, consume)


def _inputs(node: p.AggregateNode, required: set[int], carried: Sequence[int]) -> set[int]:
    del required
    expressions = [*(item for _, item in node.keys), *(call for _, call in node.calls)]
    return slots_of_all(expressions) | set(carried)


def _carried(node: p.AggregateNode, required: set[int]) -> list[int]:
    """Return the slots wanted above that are neither keys nor results: functionally dependent ones."""
    own = {slot.id for slot, _ in (*node.keys, *node.calls, *node.groupings)}
    return sorted((required & made_slots(node.child)) - own)


def _initial(generator: Generator, call: AggregateCall) -> str:
    return "[]" if gathers(call) else _first_accumulator(generator, call)


def _first_accumulator(generator: Generator, call: AggregateCall) -> str:
    initial = generator.source.constant(call.aggregate.initial, "initial")
    return f"{initial}({'context' if call.aggregate.needs_context else ''})"


def gathers(call: AggregateCall) -> bool:
    """Return True if the aggregate's input is kept and stepped through at the end."""
    return call.distinct or bool(call.order_by)


def _step(generator: Generator, call: AggregateCall, place: str, env: Env) -> None:
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
            keys = [generator.value(key.expression, env).text for key in call.order_by]
            row = tuple_code([tuple_code([c.text for c in codes]), *keys])
            source.line(f"{place}.append({row})")
            generator.account(place)
            return
        source.line(f"{place} = {step_code(generator, call, place, codes)}")


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

    def step(inner: Env) -> None:
        for place, (_, call) in zip(places, node.calls, strict=True):
            _step(generator, call, place, inner)
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

    def step(inner: Env) -> None:
        codes = [generator.expressions.atom(item, inner) for _, item in node.keys]
        for table, members in zip(tables, node.sets, strict=True):
            group = _find_group(generator, layout, table, members, codes, inner)
            for number, (_, call) in enumerate(node.calls):
                _step(generator, call, f"{group}[{number}]", inner)
        for (slot, _), code in zip(node.keys, codes, strict=True):
            layout.nullable[slot.id] = code.nullable

    generator.produce(node.child, env, _inputs(node, required, layout.carried), step)
    for table, members in zip(tables, node.sets, strict=True):
        _give_groups(generator, node, layout, table, members, env, consume)


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
        with source.block(f"if not len({table}) & 63:"):
            source.line(f"{generator.runtime('meter')}([{key}])")
    for slot in layout.carried:
        layout.nullable[slot] = env[slot].nullable
    return group


def _give_groups(
    generator: Generator,
    node: p.AggregateNode,
    layout: _Layout,
    table: str,
    members: Sequence[int],
    env: Env,
    consume: Consume,
) -> None:
    source = generator.source
    group = source.fresh("group")
    with source.block(f"for {group} in {table}.values():"):
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
