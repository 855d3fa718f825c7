"""Code of joins.

Hash join: the inner rows go into a dict of lists, the outer rows stream past it, from a function of their
own, because they wait in temporary space if the inner rows do (see `dsql.executor.join_table`). A left
join without further conditions is one loop over `table.get(key, NULL_ROW)`; with conditions the matches
are gathered first, so that what follows is written once only. A full join marks the inner rows it has met
and is a generator function of its own. Nested loop: an inner side that reads outer columns is written
inside the outer loop (an index lookup, as a rule), any other is run once and kept in a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from dsql.executor.code import Code
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.source import Binding, Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import slots_of_all
from dsql.sql.bound import Expression
from dsql.types import registry


@contextmanager
def join_key(
    generator: Generator, keys: Sequence[Expression], env: Env
) -> Iterator[tuple[str, list[str]]]:
    """Write a join key around what is written inside: a NULL in it matches nothing.

    Yields its code, and the names of its parts.
    """
    codes = [generator.expressions.atom(node, env) for node in keys]
    names = [
        _plain_hash(generator, node, Code(code.text, nullable=False))
        for node, code in zip(keys, codes, strict=True)
    ]
    guards = [f"{code.text} is not None" for code in codes if code.nullable]
    with generator.source.block(f"if {' and '.join(guards)}:") if guards else nullcontext():
        yield names[0] if len(names) == 1 else tuple_code(names), [code.text for code in codes]


def _plain_hash(generator: Generator, node: Expression, code: Code) -> str:
    hash_key = registry.get(node.type_oid).hash_key
    if hash_key is None:
        return code.text
    return f"{generator.source.constant(hash_key, 'hash')}({code.text})"


def produce_hash_join(
    generator: Generator, node: p.HashJoin, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a hash join."""
    if node.kind == "full":
        generator.boundary(node, env, required, consume, _full_join)
        return
    needed = required | slots_of_all((*node.outer_keys, *node.inner_keys, *node.conditions))
    join, table, slots, nullable = _build(generator, node, env, needed)

    def probe(outer: Env) -> None:
        if node.kind == "inner":
            _probe_inner(generator, node, table, (slots, nullable), outer, consume)
        elif node.kind == "left":
            _probe_left(generator, node, table, (slots, nullable), outer, consume)
        else:
            _probe_semi(generator, node, table, (slots, nullable), outer, consume)

    _outer_rows(generator, node, join, env, needed, probe)


def _outer_rows(
    generator: Generator, node: p.HashJoin, join: str, env: Env, needed: set[int], probe: Consume
) -> None:
    """Write the loop over the outer rows, each when the table has all its matches."""
    source = generator.source
    slots = sorted(needed & generator.made.slots(node.outer))
    rows, defer, nullable = _outer_functions(generator, node, env, slots)
    outer, names = generator.bind(env, slots, nullable)
    header = f"for {unpack_code(names)} in {join}.outer({source.call(rows)}, {defer}):"
    with source.block(header):
        probe(outer)


def _outer_functions(
    generator: Generator, node: p.HashJoin, env: Env, slots: list[int]
) -> tuple[str, str, list[bool]]:
    """Write the functions that give and defer outer rows; return their names, and what may be NULL."""
    source, known = generator.source, generator.made.types(node.outer)
    rows, defer, key = source.fresh("outer"), source.fresh("defer"), source.fresh("key")
    nullable = [False] * len(slots)

    def give(inner: Env) -> None:
        for position, slot in enumerate(slots):
            nullable[position] = nullable[position] or inner[slot].nullable
        source.line(f"yield {tuple_code([inner[slot].code for slot in slots])}")

    with source.nested(rows):
        generator.produce(node.outer, env, set(slots), give)
        source.yields()
    outer, names = generator.bind(env, slots, nullable)
    with source.nested(defer, "row, partitions", closure=True):
        source.line(f"{unpack_code(names)} = row; {key} = None")
        with join_key(generator, node.outer_keys, outer) as (code, _):
            source.line(f"{key} = {code}")
        source.line(f"partitions.add({key}, row)")
        generator.note_large("partitions", names, [known.get(slot, 0) for slot in slots])
    return rows, defer, nullable


Shape = tuple[list[int], list[bool]]


def _build(
    generator: Generator, node: p.HashJoin, env: Env, required: set[int]
) -> tuple[str, str, list[int], list[bool]]:
    """Write the loop that fills the hash table; return its names and the shape of its rows."""
    source = generator.source
    join, table = source.fresh("join"), source.fresh("table")
    source.line(f"{join} = JoinTable({generator.runtime('memory')}); {table} = {join}.rows")
    counter = generator.counter()
    kept = required if node.kind not in ("semi", "anti") else slots_of_all(node.conditions)
    kept = kept & generator.made.slots(node.inner)
    known = generator.made.types(node.inner)

    carried = sorted(kept)
    nullable = [False] * len(carried)
    types = [item.type_oid for item in node.inner_keys]
    types += [known.get(slot, 0) for slot in carried]

    def give(inner: Env) -> None:
        for position, slot in enumerate(carried):
            nullable[position] = nullable[position] or inner[slot].nullable
        fields = [inner[slot].code for slot in carried]
        with join_key(generator, node.inner_keys, inner) as (key, parts):
            source.line(f"{table}.setdefault({key}, []).append({tuple_code(fields)})")
            generator.note_large(join, [*parts, *fields], types)
            generator.sample_each(counter, f"{join}.sample({tuple_code([key, *fields])})")

    generator.produce(node.inner, env, kept | slots_of_all(node.inner_keys), give)
    return join, table, carried, nullable


def _matches(generator: Generator, node: p.HashJoin, table: str, env: Env, default: str) -> str:
    """Write the lookup of the outer row; return the name of the list it found."""
    source = generator.source
    found = source.fresh("found")
    codes = [generator.expressions.atom(item, env) for item in node.outer_keys]
    names = [
        _plain_hash(generator, item, code)
        for item, code in zip(node.outer_keys, codes, strict=True)
    ]
    key = names[0] if len(names) == 1 else tuple_code(names)
    guards = [f"{code.text} is None" for code in codes if code.nullable]
    lookup = f"{table}.get({key}, {default})"
    if guards:
        # None is no key of the table, but a hash_key must not be asked about it
        lookup = f"{default} if {' or '.join(guards)} else {lookup}"
    source.line(f"{found} = {lookup}")
    return found


def _probe_inner(
    generator: Generator, node: p.HashJoin, table: str, shape: Shape, outer: Env, consume: Consume
) -> None:
    found = _matches(generator, node, table, outer, "()")
    inner, names = generator.bind(outer, *shape)
    with (
        generator.source.block(f"for {unpack_code(names)} in {found}:"),
        generator.conditions(node.conditions, inner),
    ):
        consume(inner)


def _null_row(count: int) -> str:
    """Return the code of a list with one row of NULLs."""
    return f"({tuple_code(['None'] * count)},)"


def _probe_left(
    generator: Generator, node: p.HashJoin, table: str, shape: Shape, outer: Env, consume: Consume
) -> None:
    source = generator.source
    slots, nullable = shape
    nothing = _null_row(len(slots))
    if not node.conditions:
        found = _matches(generator, node, table, outer, nothing)
    else:
        candidates = _matches(generator, node, table, outer, "()")
        found, row = source.fresh("met"), source.fresh("row")
        source.line(f"{found} = []")
        inner, names = generator.bind(outer, slots, nullable)
        with source.block(f"for {row} in {candidates}:"):
            source.line(f"{unpack_code(names)} = {row}")
            with generator.conditions(node.conditions, inner):
                source.line(f"{found}.append({row})")
        found = f"{found} or {nothing}"
    joined, names = generator.bind(outer, slots, [True] * len(slots))
    with source.block(f"for {unpack_code(names)} in {found}:"):
        consume(joined)


def _probe_semi(
    generator: Generator, node: p.HashJoin, table: str, shape: Shape, outer: Env, consume: Consume
) -> None:
    source = generator.source
    found = _matches(generator, node, table, outer, "()")
    hit = found
    if node.conditions:
        hit = source.fresh("hit")
        source.line(f"{hit} = False")
        inner, names = generator.bind(outer, *shape)
        with (
            source.block(f"for {unpack_code(names)} in {found}:"),
            generator.conditions(node.conditions, inner),
        ):
            source.line(f"{hit} = True")
            source.line("break")
    with source.block(f"if {hit}:" if node.kind == "semi" else f"if not {hit}:"):
        consume(outer)


def _full_join(
    generator: Generator, node: p.HashJoin, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a full join: outer rows with their matches, and after each batch the inner rows nobody met.

    An inner row in the table is a list, whose first item says whether it was met. One with a NULL in its
    key is given at once.
    """
    source = generator.source
    needed = required | slots_of_all((*node.outer_keys, *node.inner_keys, *node.conditions))
    join, table = source.fresh("join"), source.fresh("table")
    source.line(f"{join} = JoinTable({generator.runtime('memory')}); {table} = {join}.rows")
    outer_slots = sorted(needed & generator.made.slots(node.outer))
    nothing = {slot: Binding("None") for slot in outer_slots}
    slots, nullable = _keep_markable(
        generator, node, env, needed, (join, table), lambda inner: consume({**inner, **nothing})
    )
    batch = source.fresh("batch")
    rows, defer, outer_nulls = _outer_functions(generator, node, env, outer_slots)
    with source.block(f"for {batch} in {join}.batches({source.call(rows)}, {defer}):"):
        outer, names = generator.bind(env, outer_slots, outer_nulls)
        with source.block(f"for {unpack_code(names)} in {batch}:"):
            _probe_full(generator, node, table, (slots, nullable), outer, consume)
        found, met = source.fresh("found"), source.fresh("met")
        alone, names = generator.bind(env, slots, [True] * len(slots))
        with (
            source.block(f"for {found} in {table}.values():"),
            source.block(f"for {unpack_code([met, *names])} in {found}:"),
            source.block(f"if not {met}:"),
        ):
            consume({**alone, **nothing})


def _keep_markable(
    generator: Generator,
    node: p.HashJoin,
    env: Env,
    needed: set[int],
    names: tuple[str, str],
    consume_alone: Consume,
) -> Shape:
    """Write the loop that fills the table (`names`: join, rows) of a full join."""
    source, known = generator.source, generator.made.types(node.inner)
    join, table = names
    slots = sorted(needed & generator.made.slots(node.inner))
    nullable = [False] * len(slots)
    counter = generator.counter()
    types = [item.type_oid for item in node.inner_keys]
    types += [known.get(slot, 0) for slot in slots]

    def keep(inner: Env) -> None:
        for position, slot in enumerate(slots):
            nullable[position] = nullable[position] or inner[slot].nullable
        codes = [generator.expressions.atom(item, inner) for item in node.inner_keys]
        alone = [f"{code.text} is None" for code in codes if code.nullable]
        if alone:
            with source.block(f"if {' or '.join(alone)}:"):
                consume_alone(inner)
        with source.block("else:") if alone else nullcontext():
            parts = [
                _plain_hash(generator, item, code)
                for item, code in zip(node.inner_keys, codes, strict=True)
            ]
            key = parts[0] if len(parts) == 1 else tuple_code(parts)
            fields = [inner[slot].code for slot in slots]
            source.line(f"{table}.setdefault({key}, []).append([{', '.join(['False', *fields])}])")
            generator.note_large(join, [*(code.text for code in codes), *fields], types)
            generator.sample_each(counter, f"{join}.sample({tuple_code([key, *fields])})")

    generator.produce(node.inner, env, needed, keep)
    return slots, nullable


def _probe_full(
    generator: Generator, node: p.HashJoin, table: str, shape: Shape, outer: Env, consume: Consume
) -> None:
    source = generator.source
    slots, nullable = shape
    candidates = _matches(generator, node, table, outer, "()")
    row, found = source.fresh("row"), source.fresh("found")
    source.line(f"{found} = []")
    inner, names = generator.bind(outer, slots, nullable)
    with source.block(f"for {row} in {candidates}:"):
        if node.conditions:
            source.line(f"{unpack_code(['_', *names])} = {row}")
        with generator.conditions(node.conditions, inner):
            source.line(f"{row}[0] = True; {found}.append({row})")
    joined, names = generator.bind(outer, slots, [True] * len(slots))
    nothing = _null_row(len(slots) + 1)
    with source.block(f"for {unpack_code(['_', *names])} in {found} or {nothing}:"):
        consume(joined)


def produce_nested_loop(
    generator: Generator, node: p.NestedLoop, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a nested loop."""
    needed = required | slots_of_all(node.conditions)
    if node.parameterized:
        from dsql.planner.plan_slots import node_outer_slots

        needed = needed | node_outer_slots(node.inner)
        kept = None
    else:
        kept = _keep_inner(generator, node, env, needed)

    def with_outer(outer: Env) -> None:
        if node.kind == "inner":
            _loop_inner(generator, node, kept, needed, outer, consume)
        elif node.kind == "left":
            _loop_left(generator, node, kept, needed, outer, consume)
        else:
            _loop_semi(generator, node, kept, needed, outer, consume)

    generator.produce(node.outer, env, needed, with_outer)


Kept = tuple[str, list[int], list[bool]]


def _keep_inner(generator: Generator, node: p.NestedLoop, env: Env, required: set[int]) -> Kept:
    """Write the loop that keeps the inner rows."""
    kept, rows = generator.keep()
    known = generator.made.types(node.inner)
    slots = sorted(required & generator.made.slots(node.inner))
    nullable = [False] * len(slots)
    types = [known.get(slot, 0) for slot in slots]

    def give(inner: Env) -> None:
        for position, slot in enumerate(slots):
            nullable[position] = nullable[position] or inner[slot].nullable
        generator.append(kept, rows, [inner[slot].code for slot in slots], types)

    generator.produce(node.inner, env, required, give)
    return kept, slots, nullable


def _inner_rows(
    generator: Generator,
    node: p.NestedLoop,
    kept: Kept | None,
    required: set[int],
    outer: Env,
    consume: Consume,
) -> None:
    """Write the inner side's loop for one outer row, conditions included."""

    def met(inner: Env) -> None:
        with generator.conditions(node.conditions, inner):
            consume(inner)

    if kept is None:
        generator.produce(node.inner, outer, required, met)
        return
    rows, slots, nullable = kept
    inner, names = generator.bind(outer, slots, nullable)
    generator.source.line(f"{generator.runtime('check')}()")
    with generator.source.block(f"for {unpack_code(names)} in {rows}:"):
        met(inner)


def _loop_inner(
    generator: Generator,
    node: p.NestedLoop,
    kept: Kept | None,
    required: set[int],
    outer: Env,
    consume: Consume,
) -> None:
    _inner_rows(generator, node, kept, required, outer, consume)


def _loop_left(
    generator: Generator,
    node: p.NestedLoop,
    kept: Kept | None,
    required: set[int],
    outer: Env,
    consume: Consume,
) -> None:
    """Write the inner rows as a function, which gives a row of NULLs if there were none."""
    source = generator.source
    name = source.fresh("met")
    slots = sorted(required & generator.made.slots(node.inner))

    def give(inner: Env) -> None:
        source.line(f"{nothing} = False")
        source.line(f"yield {tuple_code([inner[slot].code for slot in slots])}")

    with source.nested(name):
        nothing = source.fresh("nothing")
        source.line(f"{nothing} = True")
        _inner_rows(generator, node, kept, required, outer, give)
        with source.block(f"if {nothing}:"):
            source.line(f"yield {tuple_code(['None'] * len(slots))}")
    joined, names = generator.bind(outer, slots, [True] * len(slots))
    with source.block(f"for {unpack_code(names)} in {source.call(name)}:"):
        consume(joined)


def _loop_semi(
    generator: Generator,
    node: p.NestedLoop,
    kept: Kept | None,
    required: set[int],
    outer: Env,
    consume: Consume,
) -> None:
    """Write the search for one inner row as a function, which can stop at the first."""
    source = generator.source
    name = source.fresh("any")
    with source.nested(name):
        _inner_rows(generator, node, kept, required, outer, lambda _env: source.line("return True"))
        source.line("return False")
    word = "if" if node.kind == "semi" else "if not"
    with source.block(f"{word} {source.call(name)}:"):
        consume(outer)
