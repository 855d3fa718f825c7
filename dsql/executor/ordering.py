"""Code of ORDER BY and LIMIT.

Rows are kept as tuples with their sort keys behind, and sorted once per run of keys of the same
direction, the last run first (Python's sort is stable, also reversed). A NULL becomes (True, None)
among (False, value), so that it is never compared with a value. With a LIMIT the list is sorted and
cut whenever it has grown to a multiple of what is wanted. Many rows go to temporary space in sorted runs,
which are merged by one key (see `dsql.executor.sorting`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.source import Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import slots_of_all
from dsql.sql.bound import Expression, SortKey
from dsql.types import registry

_PRUNED_ROWS = 256  # a bounded sort is cut when it holds so many rows more than twice those wanted


def _sort_statements(
    generator: Generator, keys: Sequence[_Key], codes: Sequence[str], *, plain: bool
) -> None:
    """Write the statements that sort `rows` by the codes of their keys; `plain`: those are fields."""
    pairs = list(zip(keys, codes, strict=True))
    runs = [
        (descending, list(run)) for descending, run in groupby(pairs, lambda i: i[0].key.descending)
    ]
    for descending, run in reversed(runs):
        reverse = ", reverse=True" if descending else ""
        function = f"lambda r: {tuple_code([code for _, code in run])}"
        if plain:
            function = f"itemgetter({', '.join(str(key.place) for key, _ in run)})"
        elif len(run) == 1:
            function = f"lambda r: {run[0][1]}"
        generator.source.line(f"rows.sort(key={function}{reverse})")


class _Key(NamedTuple):
    """A sort key, the place of its value in a row, and whether that may be None."""

    key: SortKey
    place: int
    nullable: bool


def sorter_arguments(names: tuple[str, str], keys: Sequence[SortKey]) -> str:
    """Return the arguments of `SortedRows` that name functions which `write_sorter` writes."""
    reverse = all(key.descending for key in keys)
    return f", {names[0]}, {names[1]}, reverse={reverse}"


def write_sorter(
    generator: Generator,
    names: tuple[str, str],
    keys: Sequence[SortKey],
    places: Sequence[int],
    nullable: Sequence[bool],
) -> None:
    """Write the functions that sort a list, and that return what the merge of sorted lists compares."""
    source = generator.source
    nulls = list(nullable) or [True] * len(keys)
    chosen = [_Key(*one) for one in zip(keys, places, nulls, strict=True)]
    codes = [_key_code(generator, one) for one in chosen]
    with source.nested(names[0], "rows", apart=True):
        _write_order(generator, chosen, codes)
    if len({key.descending for key in keys}) > 1:
        codes = [
            f"Descending({code})" if key.descending else code
            for key, code in zip(keys, codes, strict=True)
        ]
    with source.nested(names[1], "r", apart=True):
        source.line(f"return {tuple_code(codes)}")


def _write_order(generator: Generator, keys: Sequence[_Key], codes: Sequence[str]) -> None:
    """Write the sort of a list.

    Where Python orders the values, the fields themselves are tried as keys first: that is several times as
    fast, and fails at a NULL that meets a value.
    """
    source = generator.source
    if any(registry.get(one.key.expression.type_oid).sort_key is not None for one in keys):
        _sort_statements(generator, keys, codes, plain=False)
    elif not any(one.nullable for one in keys):
        _sort_statements(generator, keys, codes, plain=True)
    else:
        with source.block("try:"):
            _sort_statements(generator, keys, codes, plain=True)
        with source.block("except TypeError:"):
            _sort_statements(generator, keys, codes, plain=False)


def _key_code(generator: Generator, one: _Key) -> str:
    """Return code of what a row `r` is compared by: any values can be, NULLs stand where they should."""
    value = f"r[{one.place}]"
    sort_key = registry.get(one.key.expression.type_oid).sort_key
    if sort_key is not None:
        name = generator.source.constant(sort_key, "sort")
        value = f"(None if r[{one.place}] is None else {name}(r[{one.place}]))"
    if not one.nullable:
        return value
    # reversed, what is true comes first
    first = one.key.nulls_first != one.key.descending
    return f"(r[{one.place}] is {'not ' if first else ''}None, {value})"


def produce_sort(
    generator: Generator, node: p.Sort, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a sort, bounded if only the first rows are wanted."""
    source = generator.source
    wanted = _wanted(generator, node, env)
    functions = source.fresh("order"), source.fresh("key")
    arguments = sorter_arguments(functions, node.keys)
    limit = f", wanted={wanted}" if wanted else ""
    kept, rows = generator.keep("SortedRows", arguments + limit)
    carried = sorted(required & generator.made.slots(node.child))
    types = generator.made.types(node.child)
    nullable = [False] * len(carried)
    key_nulls = [False] * len(node.keys)
    places = range(len(carried), len(carried) + len(node.keys))

    def keep(inner: Env) -> None:
        for position, slot in enumerate(carried):
            nullable[position] = nullable[position] or inner[slot].nullable
        codes = [generator.kept_value(key.expression, inner) for key in node.keys]
        for position, code in enumerate(codes):
            key_nulls[position] = key_nulls[position] or code.nullable
        fields = [inner[slot].code for slot in carried] + [code.text for code in codes]
        field_types = [types.get(slot, 0) for slot in carried]
        field_types += [key.expression.type_oid for key in node.keys]
        generator.append(kept, rows, fields, field_types)
        if wanted:
            with source.block(f"if len({rows}) >= {wanted} * 2 + {_PRUNED_ROWS}:"):
                source.line(f"{kept}.prune()")

    key_slots = slots_of_all(key.expression for key in node.keys)
    generator.produce(node.child, env, required | key_slots, keep)
    write_sorter(generator, functions, node.keys, places, key_nulls)
    inner, names = generator.bind(env, carried, nullable)
    ignored = ["_"] * len(node.keys)
    with source.block(f"for {unpack_code([*names, *ignored])} in {kept}:"):
        consume(inner)


def _wanted(generator: Generator, node: p.Sort, env: Env) -> str:
    """Write how many rows the LIMIT above needs; "" for all."""
    if node.limit is None:
        return ""
    source = generator.source
    name = source.fresh("wanted")
    limit = generator.value(node.limit, env).text
    offset = "0" if node.offset is None else f"({generator.value(node.offset, env).text} or 0)"
    source.line(f"{name} = {limit}")
    # LIMIT NULL is no limit; a negative one is refused where the rows are counted
    source.line(f"{name} = 1 << 62 if {name} is None else max({name} + {offset}, 0)")
    return name


def _count(generator: Generator, node: Expression, env: Env, word: str) -> str:
    """Write a LIMIT or OFFSET count; return its name."""
    name = generator.source.fresh("count")
    code = generator.value(node, env)
    function = "limit_count" if word == "LIMIT" else "offset_count"
    generator.source.line(f"{name} = {function}({code.text})")
    return name


def produce_limit(
    generator: Generator, node: p.Limit, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a LIMIT in a function of its own, which ends with the last row."""
    generator.boundary(node, env, required, consume, produce_terminal_limit)


def produce_terminal_limit(
    generator: Generator, node: p.Limit, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a LIMIT that ends the enclosing function when it is reached."""
    source = generator.source
    stop = source.function.stop
    limit = _count(generator, node.limit, env, "LIMIT") if node.limit is not None else ""
    offset = _count(generator, node.offset, env, "OFFSET") if node.offset is not None else ""
    if node.ties:
        _limit_with_ties(generator, node, env, required, consume, (limit, offset))
        return
    if limit:
        with source.block(f"if {limit} <= 0:"):
            source.line(stop)

    def give(inner: Env) -> None:
        if offset:
            with source.block(f"if {offset} > 0:"):
                source.line(f"{offset} -= 1")
            with source.block("else:"):
                _give_counted(generator, limit, stop, inner, consume)
        else:
            _give_counted(generator, limit, stop, inner, consume)

    generator.produce(node.child, env, required, give)


def _give_counted(generator: Generator, limit: str, stop: str, env: Env, consume: Consume) -> None:
    source = generator.source
    consume(env)
    if limit:
        source.line(f"{limit} -= 1")
        with source.block(f"if {limit} <= 0:"):
            source.line(stop)


def _limit_with_ties(
    generator: Generator,
    node: p.Limit,
    env: Env,
    required: set[int],
    consume: Consume,
    counts: tuple[str, str],
) -> None:
    """Write FETCH FIRST n ROWS WITH TIES: go on while the sort keys are those of the n-th row."""
    source = generator.source
    limit, offset = counts
    stop = source.function.stop
    key, last = source.fresh("key"), source.fresh("last")
    with source.block(f"if {limit} <= 0:"):
        source.line(stop)
    if offset:
        source.line(f"{limit} += {offset}")
    seen = source.fresh("seen")
    source.line(f"{seen} = 0; {last} = None")

    def give(inner: Env) -> None:
        codes = generator.values([tie.expression for tie in node.ties], inner)
        source.line(f"{key} = {tuple_code(codes)}")
        with source.block(f"if {seen} >= {limit} and {key} != {last}:"):
            source.line(stop)
        source.line(f"{last} = {key}; {seen} += 1")
        if offset:
            with source.block(f"if {seen} > {offset}:"):
                consume(inner)
        else:
            consume(inner)

    keys = slots_of_all(tie.expression for tie in node.ties)
    generator.produce(node.child, env, required | keys, give)
