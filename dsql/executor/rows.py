"""Code of the plain row sources and of the steps that keep one row one row."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import islice
from typing import Any

from dsql.executor import values
from dsql.executor.code import Code
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.source import Binding, Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import Slot, returns_set, slots_of_all
from dsql.sql import bound
from dsql.sql.bound import Expression
from dsql.sql.bound_query import ConstantRows
from dsql.types import oids, registry


def produce_result(
    _generator: Generator, _node: p.Result, env: Env, _required: set[int], consume: Consume
) -> None:
    """Write a single row."""
    consume(env)


def produce_filter(
    generator: Generator, node: p.Filter, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a filter."""

    def give(inner: Env) -> None:
        with generator.conditions(node.conditions, inner):
            consume(inner)

    generator.produce(node.child, env, required | slots_of_all(node.conditions), give)


def produce_project(
    generator: Generator, node: p.Project, env: Env, required: set[int], consume: Consume
) -> None:
    """Write computed slots, each evaluated once."""
    wanted = [(slot, item) for slot, item in node.assignments if slot.id in required]

    def give(inner: Env) -> None:
        found = dict(inner)
        for slot, item in wanted:
            code = generator.expressions.atom(item, inner)
            found[slot.id] = Binding(code.text, code.nullable)
        consume(found)

    generator.produce(node.child, env, required | slots_of_all(item for _, item in wanted), give)


def produce_values(
    generator: Generator, node: p.ValuesScan, env: Env, required: set[int], consume: Consume
) -> None:
    """Write VALUES: one row inline, several as a loop over tuples."""
    source = generator.source
    wanted = [n for n, slot in enumerate(node.slots) if slot.id in required]
    if isinstance(node.rows, ConstantRows):
        columns = [node.rows.columns[number] for number in wanted]
        rows = list(zip(*columns, strict=True)) if columns else [()] * len(node.rows)
        _constant_rows(generator, node, wanted, env, consume, rows)
        return
    (first, *_) = node.rows
    if len(node.rows) == 1 and isinstance(first, tuple):
        inner = dict(env)
        for number in wanted:
            code = generator.expressions.atom(first[number], env)
            inner[node.slots[number].id] = Binding(code.text, code.nullable)
        consume(inner)
        return
    if all(isinstance(item, bound.Constant) for item in p.expressions_of_rows(node.rows)):
        rows = [
            tuple(
                item.value for item in (row[n] for n in wanted) if isinstance(item, bound.Constant)
            )
            for row in node.rows
            if isinstance(row, tuple)
        ]
        _constant_rows(generator, node, wanted, env, consume, rows)
        return
    items = [_chosen(row, wanted) for row in node.rows]
    nullable = [False] * len(wanted)

    def write(*row: Expression) -> str:
        codes = [generator.value(item, env) for item in row]
        nullable[:] = (old or code.nullable for old, code in zip(nullable, codes, strict=True))
        return tuple_code([code.text for code in codes])

    name = source.fresh("values")
    with source.nested(name):
        generator.expressions.yield_rows(items, write)
    bound_env, names = generator.bind(env, [node.slots[n].id for n in wanted], nullable)
    with source.block(f"for {unpack_code(names)} in {source.call(name)}:"):
        consume(bound_env)


def _chosen(row: p.ExpressionRow, wanted: list[int]) -> p.ExpressionRow:
    if isinstance(row, tuple):
        return tuple(row[number] for number in wanted)
    templates = [tuple(template[number] for number in wanted) for template in row.templates]
    return dataclasses.replace(row, templates=templates)


def _constant_rows(
    generator: Generator,
    node: p.ValuesScan,
    wanted: list[int],
    env: Env,
    consume: Consume,
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Write a loop over the `wanted` values of rows that are known already."""
    nullable = [any(row[place] is None for row in rows) for place in range(len(wanted))]
    inner, names = generator.bind(env, [node.slots[n].id for n in wanted], nullable)
    with generator.source.block(
        f"for {unpack_code(names)} in {generator.source.constant(rows, 'values')}:"
    ):
        consume(inner)


def set_rows(generator: Generator, call: Expression, width: int, env: Env) -> str:
    """Return code for an iterable of the rows of a function call: tuples, or values if one column.

    A function that returns no set is one row; NULL to a strict one that does is none.
    """
    if not isinstance(call, bound.Call):
        return f"({generator.value(call, env).text},)"
    function = call.function
    codes = [generator.expressions.atom(item, env) for item in call.arguments]
    if function.returns_set:
        texts = [code.text for code in codes]
        if function.needs_context:
            texts.insert(0, "context")
        name = generator.source.constant(function.implementation, "f")
        applied = f"{name}({', '.join(texts)})"
        applied = f"checked({applied}, {generator.runtime('memory')})"
        guards = [f"{code.text} is None" for code in codes if code.nullable]
        if function.strict and guards:
            return f"(() if {' or '.join(guards)} else {applied})"
        return applied
    value = generator.expressions.call(function, codes)
    if value.nullable and not _wraps_rows(call, width):
        nothing = tuple_code(["None"] * width)
        return f"({value.text} or {nothing},)"
    return f"({value.text},)"


def _function_rows(generator: Generator, call: Expression, slots: Sequence[Slot], env: Env) -> str:
    """Return code for the rows of a call in FROM; a record must be as its columns were defined."""
    if not isinstance(call, bound.Call) and call.type_oid == oids.RECORD:
        function = generator.source.constant(values.defined_row, "defined")
        types = tuple_code([str(slot.type_oid) for slot in slots])
        return f"({function}({generator.value(call, env).text}, {types}),)"
    if isinstance(call, bound.Call) and any(returns_set(item) for item in call.arguments):
        from dsql.errors import unsupported

        raise unsupported("nested set-returning functions in FROM are not supported")
    return set_rows(generator, call, len(slots), env)


def produce_function_scan(
    generator: Generator, node: p.FunctionScan, env: Env, required: set[int], consume: Consume
) -> None:
    """Write functions in FROM, side by side, the shorter ones filled up with NULLs."""
    source = generator.source
    slots = iter(node.slots)
    iterables = [
        _function_rows(generator, call, list(islice(slots, width)), env)
        for call, width in zip(node.calls, node.widths, strict=True)
    ]
    flat = [_wraps_rows(call, width) for call, width in zip(node.calls, node.widths, strict=True)]
    inner = dict(env)
    row = source.fresh("row")
    if len(iterables) == 1:
        items = f"enumerate({iterables[0]}, 1)" if node.ordinality else iterables[0]
        number = source.fresh("ordinal")
        header = f"for {number}, {row} in {items}:" if node.ordinality else f"for {row} in {items}:"
        # A value of a composite type may be NULL, among an array's elements for one.
        check = f"{row} and " if _yields_composites(node.calls[0]) else ""
        places = [row if flat[0] else f"({check}{row}[{i}])" for i in range(node.widths[0])]
    else:
        number = source.fresh("ordinal")
        header = f"for {number}, {row} in enumerate(zip_longest({', '.join(iterables)}), 1):"
        places = []
        for position, (width, single) in enumerate(zip(node.widths, flat, strict=True)):
            part = f"{row}[{position}]"
            places += [part] if single else [f"({part} and {part}[{i}])" for i in range(width)]
    if node.ordinality:
        places.append(number)
    with source.block(header):
        for slot, place in zip(node.slots, places, strict=False):
            if slot.id in required:
                name = source.fresh("c")
                source.line(f"{name} = {place}")
                inner[slot.id] = Binding(name)
        consume(inner)


def _wraps_rows(call: Expression, width: int) -> bool:
    """Return True if the call yields plain values rather than tuples."""
    if width != 1:
        return False
    columns = call.function.columns if isinstance(call, bound.Call) else ()
    return len(columns) <= 1 and not registry.is_composite(call.type_oid)


def _yields_composites(call: Expression) -> bool:
    return call.type_oid != oids.RECORD and registry.is_composite(call.type_oid)


def produce_project_set(
    generator: Generator, node: p.ProjectSet, env: Env, required: set[int], consume: Consume
) -> None:
    """Write set-returning calls of the SELECT list."""
    source = generator.source
    reads = slots_of_all(call for _, call in node.calls)

    def give(outer: Env) -> None:
        iterables = [set_rows(generator, call, 1, outer) for _, call in node.calls]
        names = [source.fresh("c") for _ in node.calls]
        if len(names) == 1:
            header = f"for {names[0]} in {iterables[0]}:"
        else:
            header = f"for {unpack_code(names)} in zip_longest({', '.join(iterables)}):"
        inner = dict(outer)
        for (slot, _), name in zip(node.calls, names, strict=True):
            inner[slot.id] = Binding(name)
        with source.block(header):
            consume(inner)

    generator.produce(node.child, env, required | reads, give)


def produce_subquery_scan(
    generator: Generator, node: p.SubqueryScan, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a subquery in FROM: in line, unless its CTEs need a function of their own."""
    if node.query.ctes:
        generator.boundary(node, env, required, consume, _subquery_rows)
    else:
        _subquery_rows(generator, node, env, required, consume)


def _subquery_rows(
    generator: Generator, node: p.SubqueryScan, env: Env, required: set[int], consume: Consume
) -> None:
    def give(codes: list[Code], _inner: Env) -> None:
        found = dict(env)
        for slot, code in zip(node.slots, codes, strict=True):
            if slot.id not in required:
                continue
            if not code.atom and not code.text.endswith("]"):
                variable = generator.source.fresh("c")
                generator.source.line(f"{variable} = {code.text}")
                code = Code(variable, code.nullable)
            found[slot.id] = Binding(code.text, code.nullable)
        consume(found)

    wanted = {slot.id for slot in node.slots} & required
    expressions = tuple(
        item if slot.id in wanted else bound.Constant(type_oid=item.type_oid, value=None)
        for slot, item in zip(node.slots, node.query.expressions, strict=False)
    )
    query = p.QueryPlan(
        node=node.query.node,
        expressions=expressions,
        outputs=node.query.outputs,
        ctes=node.query.ctes,
    )
    generator.query(query, env, give)


_LOCK_MODES = {
    "update": "EXCLUSIVE",
    "no key update": "NON_KEY",
    "share": "NON_KEY",
    "key share": "SHARE",
}


def produce_lock_rows(
    generator: Generator, node: p.LockRows, env: Env, required: set[int], consume: Consume
) -> None:
    """Write FOR UPDATE and its kind: each row is checked at commit.

    No mode lets readers share a row and meets every writer, so FOR SHARE meets other sharers, too.
    """
    keys = {slot for slot, _ in node.marks}

    def give(inner: Env) -> None:
        for slot, strength in node.marks:
            mode = _LOCK_MODES[strength]
            key = inner[slot]
            statement = f"{generator.runtime('tx_check')}({key.code}, {mode})"
            if key.nullable:
                with generator.source.block(f"if {key.code} is not None:"):
                    generator.source.line(statement)
            else:
                generator.source.line(statement)
        consume(inner)

    generator.produce(node.child, env, required | keys, give)
