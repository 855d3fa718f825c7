"""Code of rows that are kept for all the rows around them, and of results that are.

Both are made when they are first asked for and belong to the whole execution: what is kept depends on
nothing but the statement and, with results, on the values that are their key.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.joins import join_key
from dsql.executor.memory import Held, StatementMemory
from dsql.executor.source import Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import SubPlan, slots_of_all
from dsql.types import oids
from dsql.types.size import size_of

_RESULTS_BYTES_MAX = 1024 * 1024
_ENTRY_BYTES = 150  # of a dict, with the key's tuple
# Types of which equal values are the same value: 1.0 and 1.00 are not, and a result may show that.
_EXACT = {oids.BOOL, oids.BYTEA, oids.INT8, oids.INT2, oids.INT4, oids.OID, oids.UUID}
_EXACT |= {oids.TEXT, oids.BPCHAR, oids.VARCHAR, oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ}


class Results:
    """Results by what they depend on: of the last ones, as many as fit. Generated code reads `known`."""

    __slots__ = ("_held", "_memory", "known")

    def __init__(self, memory: StatementMemory) -> None:
        self.known: dict[object, object] = {}
        self._memory = memory
        self._held = Held(memory)

    def keep(self, key: object, result: object) -> object:
        """Keep a result, and return it."""
        size = _ENTRY_BYTES + size_of(key) + size_of(result)
        bytes_held = self._held.bytes
        if bytes_held + size > _RESULTS_BYTES_MAX or self._memory.is_share(bytes_held):
            self.known.clear()
            self._held.clear()
        if size <= _RESULTS_BYTES_MAX:
            self._held.add(size)
            self.known[key] = result
        return result


def remembered(
    generator: Generator,
    function: str,
    node: SubPlan,
    env: Env,
    left: Sequence[str] = (),
) -> str:
    """Write a function that calls another one for what it has not been asked lately; return its name.

    Both give the value of a subquery and have the parameters `left`. Where the subquery may have another
    value the next time, or values that are equal need not be the same, it is the other function.
    """
    slots = node.depends_on or ()
    if not slots or not _EXACT.issuperset(item.type_oid for item in (*slots, *node.left)):
        return function
    source = generator.source
    results = source.setup("results", "results", f"Results({generator.runtime('memory')})")
    name, arguments = source.fresh("remembered"), ", ".join(left)
    codes = [repr(name), *(env[slot.id].code for slot in slots), *left]
    with source.nested(name, arguments):
        key, found = source.fresh("key"), source.fresh("found")
        source.line(f"{key} = {tuple_code(codes)}")
        source.line(f"{found} = {results}.known.get({key}, UNKNOWN)")
        with source.block(f"if {found} is UNKNOWN:"):
            source.line(f"{found} = {results}.keep({key}, {source.call(function, arguments)})")
        source.line(f"return {found}")
    return name


def produce_materialize(
    generator: Generator, node: p.Materialize, env: Env, required: set[int], consume: Consume
) -> None:
    """Write the keeping of the child's rows, and the loop over those that are asked for."""
    source = generator.source
    needed = required | slots_of_all(node.conditions)
    slots = sorted(needed & generator.made.slots(node.child))
    all_kept = source.setup("kept", "kept", "{}")
    name, rows = source.fresh("keep"), source.fresh("rows")
    nullable = [False] * len(slots)
    with source.nested(name):
        keep = _keep_by_key if node.keys else _keep
        kept, found = keep(generator, node, slots, nullable)
        # by the other name for its account, which lives as long as it does
        source.line(f"{all_kept}['{kept}'] = {kept}; {all_kept}['{name}'] = {rows} = {found}")
        source.line(f"return {rows}")
    source.line(f"{rows} = {all_kept}.get('{name}')")
    with source.block(f"if {rows} is None:"):
        source.line(f"{rows} = {source.call(name)}")
    inner, names = generator.bind(env, slots, nullable)

    def loop(found: str) -> None:
        with (
            source.block(f"for {unpack_code(names)} in {found}:"),
            generator.conditions(node.conditions, inner),
        ):
            consume(inner)

    if node.keys:
        with join_key(generator, node.values, env) as (key, _):
            loop(f"{rows}({key}, ())")
    else:
        source.line(f"{generator.runtime('check')}()")
        loop(rows)


def _keep(
    generator: Generator, node: p.Materialize, slots: list[int], nullable: list[bool]
) -> tuple[str, str]:
    """Write the keeping of rows in their order; return what keeps them, and the code of them."""
    kept, rows = generator.keep()
    known = generator.made.types(node.child)
    types = [known.get(slot, 0) for slot in slots]

    def give(inner: Env) -> None:
        _note_nullable(inner, slots, nullable)
        generator.append(kept, rows, [inner[slot].code for slot in slots], types)

    generator.produce(node.child, {}, set(slots), give)
    return kept, kept


def _keep_by_key(
    generator: Generator, node: p.Materialize, slots: list[int], nullable: list[bool]
) -> tuple[str, str]:
    """Write the keeping of rows by their keys; return what keeps them, and the code of what finds them."""
    source, known = generator.source, generator.made.types(node.child)
    kept, rows = source.fresh("kept"), source.fresh("rows")
    source.line(f"{kept} = KeyedRows({generator.runtime('memory')}); {rows} = {kept}.rows")
    counter = generator.counter()
    types = [item.type_oid for item in node.keys] + [known.get(slot, 0) for slot in slots]

    def give(inner: Env) -> None:
        _note_nullable(inner, slots, nullable)
        fields = [inner[slot].code for slot in slots]
        with join_key(generator, node.keys, inner) as (key, parts):
            source.line(f"{rows}.setdefault({key}, []).append({tuple_code(fields)})")
            generator.note_large(kept, [*parts, *fields], types)
            generator.sample_each(counter, f"{kept}.sample({tuple_code([key, *fields])})")

    generator.produce(node.child, {}, {*slots, *slots_of_all(node.keys)}, give)
    return kept, f"{kept}.finder()"


def _note_nullable(env: Env, slots: Sequence[int], nullable: list[bool]) -> None:
    for position, slot in enumerate(slots):
        nullable[position] = nullable[position] or env[slot].nullable
