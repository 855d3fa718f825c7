"""Code of set operations and CTEs.

A chain of UNIONs is all its queries in one generator function, one after the other. INTERSECT and EXCEPT
count rows in dicts, NULLs being equal. A CTE is a function that starts its query the first time it is
asked and keeps the rows; a modifying one is run to its end at once, so that it always runs, and once. A
recursive CTE runs its second part over the rows of the last round until there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dsql.executor.code import Code
from dsql.executor.distinct import DistinctCode, distinct_key
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.source import Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import Slot
from dsql.sql.bound import Expression

_BRANCHES_MAX = 50  # in one function


def produce_set_operation(
    generator: Generator,
    node: p.SetOperationNode,
    env: Env,
    required: set[int],
    consume: Consume,
) -> None:
    """Write a set operation."""
    source = generator.source
    operator = node.operator.lower()
    slots = [slot.id for slot in node.slots]
    if operator == "union" and node.all:
        slots = [slot for slot in slots if slot in required]
    name = source.fresh("set")
    nullable: list[bool] = []
    with source.nested(name):
        if operator == "union":
            nullable = _union(generator, node, env, slots)
        else:
            nullable = _counted(generator, node, env, operator)
        source.yields()
    inner, names = generator.bind(env, slots, nullable)
    with source.block(f"for {unpack_code(names)} in {source.call(name)}:"):
        consume(inner)


Give = Callable[[Sequence[Code], Env], None]


def _union(
    generator: Generator, node: p.SetOperationNode, env: Env, slots: Sequence[int]
) -> list[bool]:
    source = generator.source
    places = [n for n, slot in enumerate(node.slots) if slot.id in slots]
    nullable = [False] * len(places)
    distinct = None if node.all else DistinctCode(generator)

    def give(codes: Sequence[Code], _env: Env) -> None:
        chosen = [codes[place] for place in places]
        for position, code in enumerate(chosen):
            nullable[position] = nullable[position] or code.nullable
        row = tuple_code([code.text for code in chosen])
        if distinct is None:
            source.line(f"yield {row}")
            return
        names = [source.fresh("c") for _ in node.slots]
        source.line(f"{unpack_code(names)} = {row}")
        columns = [Code(name, nullable=True) for name in names]
        key = distinct_key(generator, node.slots, columns) if names else "()"
        with distinct.first(key, tuple_code(names), node.slots, columns):
            source.line(f"yield {tuple_code(names)}")

    branches = _branches(node)
    if len(branches) <= _BRANCHES_MAX:
        for branch in branches:
            generator.query(branch, env, give)
    else:
        for start in range(0, len(branches), _BRANCHES_MAX):
            name = source.fresh("branches")
            with source.nested(name):
                for branch in branches[start : start + _BRANCHES_MAX]:
                    generator.query(branch, env, give)
                source.yields()
            source.line(f"yield from {source.call(name)}")
    if distinct is not None:
        source.line(f"yield from {distinct.name}.rest()")
    return nullable


def _branches(node: p.SetOperationNode) -> list[p.QueryPlan]:
    """Return the queries of a chain of UNIONs in order; a UNION removes what inner ones would."""
    found: list[p.QueryPlan] = []
    waiting = [node.left, node.right]
    while waiting:
        query = waiting.pop()
        inner = query.node
        if isinstance(inner, p.SetOperationNode) and _is_bare_union(query, inner, node):
            waiting += [inner.left, inner.right]
        else:
            found.append(query)
    return found[::-1]


def _is_bare_union(
    query: p.QueryPlan, inner: p.SetOperationNode, outer: p.SetOperationNode
) -> bool:
    """Return True if a query is just a UNION, of rows that the outer one takes as they are."""
    if inner.operator.lower() != "union" or query.ctes or (outer.all and not inner.all):
        return False
    read = [item.id if isinstance(item, Slot) else 0 for item in query.expressions]
    return read == [slot.id for slot in inner.slots]


def _row_key(generator: Generator, nodes: Sequence[Expression], row: str) -> tuple[list[str], str]:
    """Write the unpacking of a row and its key; return the names of its columns and of the key."""
    source = generator.source
    names = [source.fresh("c") for _ in nodes]
    source.line(f"{unpack_code(names)} = {row}")
    key = source.fresh("key")
    codes = [Code(name, nullable=True) for name in names]
    text = distinct_key(generator, nodes, codes) if names else "()"
    source.line(f"{key} = {text}")
    return names, key


def _counted(generator: Generator, node: p.SetOperationNode, env: Env, operator: str) -> list[bool]:
    """Write INTERSECT or EXCEPT [ALL]: the right side's rows are counted, then met by the left's."""
    source = generator.source
    join, table = source.fresh("join"), source.fresh("table")
    source.line(f"{join} = CountTable({generator.runtime('memory')}); {table} = {join}.rows")
    counter = generator.counter()
    types = [slot.type_oid for slot in node.slots]

    def count(codes: list[Code], _env: Env) -> None:
        names, key = _row_key(generator, node.slots, _row(codes))
        with source.block(f"if {key} not in {table}:"):
            source.line(f"{table}[{key}] = 1")
            generator.note_large(join, names, types)
            generator.sample_each(counter, f"{join}.sample({key})")
        if node.all:
            with source.block("else:"):
                source.line(f"{table}[{key}] += 1")

    generator.query(node.right, env, count, whole=True)
    left, defer, row = source.fresh("left"), source.fresh("defer"), source.fresh("row")
    nullable = [False] * len(node.slots)

    def give(codes: list[Code], _env: Env) -> None:
        for position, code in enumerate(codes):
            nullable[position] = nullable[position] or code.nullable
        source.line(f"yield {_row(codes)}")

    with source.nested(left):
        generator.query(node.left, env, give)
        source.yields()
    with source.nested(defer, "row, partitions", closure=True):
        names, key = _row_key(generator, node.slots, "row")
        source.line(f"partitions.add({key}, row)")
        generator.note_large("partitions", names, types)
    distinct = DistinctCode(generator) if operator == "except" and not node.all else None
    with source.block(f"for {row} in {join}.outer({source.call(left)}, {defer}):"):
        names, key = _row_key(generator, node.slots, row)
        _meet(generator, node, (table, key, row), names, distinct)
    if distinct is not None:
        source.line(f"yield from {distinct.name}.rest()")
    return nullable


def _meet(
    generator: Generator,
    node: p.SetOperationNode,
    place: tuple[str, str, str],
    names: Sequence[str],
    distinct: DistinctCode | None,
) -> None:
    """Write what becomes of a left row; `place`: the right side's table, the row's key in it, the row."""
    source = generator.source
    table, key, row = place
    if distinct is not None:
        columns = [Code(name, nullable=True) for name in names]
        with (
            source.block(f"if {key} not in {table}:"),
            distinct.first(key, row, node.slots, columns),
        ):
            source.line(f"yield {row}")
    elif not node.all:
        with source.block(f"if {table}.pop({key}, None):"):
            source.line(f"yield {row}")
    else:
        found = source.fresh("found")
        source.line(f"{found} = {table}.get({key})")
        with source.block(f"if {found}:"):
            source.line(f"{table}[{key}] = {found} - 1")
            if node.operator.lower() == "intersect":
                source.line(f"yield {row}")
        if node.operator.lower() == "except":
            with source.block("else:"):
                source.line(f"yield {row}")


def produce_cte(
    generator: Generator, cte: p.CtePlan, env: Env, _required: set[int], _consume: Consume
) -> None:
    """Write the function of a CTE, which returns its `SharedRows`."""
    source = generator.source
    name, run, memory, kept = map(source.fresh, ("cte", "run", "memo", "kept"))
    generator.ctes[cte.id] = name
    with source.nested(run, kept):
        if cte.recursive is not None:
            _recursion(generator, cte, cte.recursive, env, kept)
        else:
            source.line("touched = 0")
            give = _yield_kept(generator, [item.type_oid for item in cte.query.expressions], kept)
            generator.query(cte.query, env, give, whole=cte.modifies)
            source.yields()
    with source.nested(name, closure=True):
        with source.block(f"if not {memory}:"):
            source.line(f"{kept} = Rows({generator.runtime('memory')})")
            source.line(f"{memory}.append(SharedRows({source.call(run, kept)}, {kept}))")
        source.line(f"return {memory}[0]")
    source.function.prologue.append(f"{memory} = []")


def _yield_kept(generator: Generator, types: Sequence[int], kept: str) -> Give:
    """Return what writes the giving of rows to who keeps them."""
    source = generator.source

    def give(codes: Sequence[Code], _env: Env) -> None:
        fields = generator.kept_fields(codes, types)
        source.line(f"yield {tuple_code(fields)}")
        generator.note_large(kept, fields, types)  # then it is among the kept rows

    return give


def _row(codes: Sequence[Code]) -> str:
    return tuple_code([code.text for code in codes])


def _recursion(
    generator: Generator, cte: p.CtePlan, recursive: p.RecursivePlan, env: Env, kept: str
) -> None:
    """Write the rounds. `working` are the last round's rows, where the recursive part reads them.

    What is yielded is among the `kept` rows when the next is asked for, see `SharedRows`.
    """
    source = generator.source
    work, rows, done, end = map(source.fresh, ("working", "rows", "done", "end"))
    generator.working[cte.id] = work
    seen = _Seen(generator) if recursive.distinct else None
    types = [item.type_oid for item in cte.query.expressions]
    give_kept = _yield_kept(generator, types, kept)

    def give_new(codes: Sequence[Code], _env: Env) -> None:
        assert seen is not None
        row = source.fresh("row")
        source.line(f"{row} = {_row(codes)}")
        names, key = _row_key(generator, cte.query.expressions, row)
        with seen.first(key, names, types):
            source.line(f"yield {row}")
            generator.note_large(kept, names, types)

    give = give_kept if seen is None else give_new
    source.line(f"{rows} = {kept}.list; {done} = 0")
    generator.query(cte.query, env, give)
    with source.block(f"while {done} != ({end} := {kept}.written + len({rows})):"):
        source.line(f"{generator.runtime('check')}()")
        source.line(f"{work} = {kept}.since({done}) if {kept}.written else {rows}[{done}:]")
        source.line(f"{done} = {end}")
        _round(generator, recursive.query, env, give)


class _Seen:
    """Writes the search for keys that were not there before, whose rows are wanted at once."""

    def __init__(self, generator: Generator) -> None:
        source = generator.source
        self._generator = generator
        self._set, self._recent = source.fresh("seen"), source.fresh("recent")
        source.line(f"{self._set} = KeySet({generator.runtime('memory')})")
        source.line(f"{self._recent} = {self._set}.recent")

    @contextmanager
    def first(self, key: str, names: Sequence[str], types: Sequence[int]) -> Iterator[None]:
        """Write the block of rows that are the first with their key."""
        generator, source = self._generator, self._generator.source
        known = f"{self._set}.older and {self._set}.has_written({key})"
        with source.block(f"if {key} not in {self._recent} and not ({known}):"):
            source.line(f"{self._recent}.add({key})")
            generator.note_large(self._set, names, types)
            with source.block(f"if not len({self._recent}) & 63:"):
                source.line(f"{self._set}.sample({key})")
            yield


def _round(generator: Generator, query: p.QueryPlan, env: Env, give: Give) -> None:
    """Write one round, as a function if it has CTEs: they are run anew in each."""
    source = generator.source
    if not query.ctes:
        generator.query(query, env, give)
        return
    name = source.fresh("round")
    with source.nested(name):
        generator.query(query, env, lambda codes, _: source.line(f"yield {_row(codes)}"))
        source.yields()
    columns = [Code(source.fresh("c"), nullable=True) for _ in query.expressions]
    with source.block(f"for {unpack_code([c.text for c in columns])} in {source.call(name)}:"):
        give(columns, env)


def produce_cte_scan(
    generator: Generator, node: p.CteScan, env: Env, required: set[int], consume: Consume
) -> None:
    """Write a loop over a CTE's rows, or over the last round of a recursion."""
    source = generator.source
    rows = generator.working[node.cte] if node.working else f"{generator.ctes[node.cte]}()"
    if node in generator.whole_scans and not node.working:
        rows += ".whole()"
    inner, names = generator.bind(env, [slot.id for slot in node.slots], [True] * len(node.slots))
    del required
    with source.block(f"for {unpack_code(names)} in {rows}:"):
        consume(inner)
