"""Code of set operations and CTEs.

A chain of UNIONs is all its queries in one generator function, one after the other. INTERSECT and EXCEPT
count rows in dicts, NULLs being equal. A CTE is a function that starts its query the first time it is
asked and keeps the rows; a modifying one is run to its end at once, so that it always runs, and once. A
recursive CTE runs its second part over the rows of the last round until there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from dsql.executor.expressions import Code
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.grouping import DistinctCode, distinct_key
from dsql.executor.source import Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import Slot
from dsql.sql.bound import Expression


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
        with distinct.first(node.slots, columns, tuple_code(names)):
            source.line(f"yield {tuple_code(names)}")

    for branch in _branches(node):
        generator.query(branch, env, give)
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
    counts, seen = source.fresh("counts"), source.fresh("seen")
    source.line(f"{counts} = {{}}; {seen} = set()")
    held = generator.hold()
    nullable = [False] * len(node.slots)
    types = [slot.type_oid for slot in node.slots]

    def count(codes: list[Code], _env: Env) -> None:
        row = tuple_code([code.text for code in codes])
        names, key = _row_key(generator, node.slots, row)
        source.line(f"{counts}[{key}] = {counts}.get({key}, 0) + 1")
        with source.block(f"if {counts}[{key}] == 1:"):
            _account_entry(generator, held, counts, key, names, types)

    def give(codes: list[Code], _env: Env) -> None:
        for position, code in enumerate(codes):
            nullable[position] = nullable[position] or code.nullable
        row = tuple_code([code.text for code in codes])
        names, key = _row_key(generator, node.slots, row)
        result = tuple_code(names)
        if node.all:
            _meet_all(generator, operator, counts, key, result)
            return
        word = "in" if operator == "intersect" else "not in"
        with source.block(f"if {key} {word} {counts} and {key} not in {seen}:"):
            source.line(f"{seen}.add({key})")
            _account_entry(generator, held, seen, key, names, types)
            source.line(f"yield {result}")

    generator.query(node.right, env, count)
    generator.query(node.left, env, give)
    return nullable


def _account_entry(
    generator: Generator,
    held: str,
    table: str,
    key: str,
    names: Sequence[str],
    types: Sequence[int],
) -> None:
    """Write the accounting for a new entry of a set or dict."""
    generator.note_large(held, names, types)
    with generator.source.block(f"if not len({table}) & 63:"):
        generator.source.line(f"{held}.sample_entry({key})")


def _meet_all(generator: Generator, operator: str, counts: str, key: str, result: str) -> None:
    source = generator.source
    with source.block(f"if {counts}.get({key}, 0) > 0:"):
        source.line(f"{counts}[{key}] -= 1")
        if operator == "intersect":
            source.line(f"yield {result}")
    if operator == "except":
        with source.block("else:"):
            source.line(f"yield {result}")


def cte_name(cte: int) -> str:
    """Return the function that gives a CTE's rows."""
    return f"cte_{cte}"


def produce_cte(
    generator: Generator, cte: p.CtePlan, env: Env, _required: set[int], _consume: Consume
) -> None:
    """Write the function of a CTE, which returns its `SharedRows`."""
    source = generator.source
    name, run, memory = cte_name(cte.id), source.fresh("run"), source.fresh("memo")
    with source.nested(run):
        if cte.recursive is not None:
            _recursion(generator, cte, cte.recursive, env)
        else:
            source.line("touched = 0")
            give = _yield_kept(generator, [item.type_oid for item in cte.query.expressions])
            generator.query(cte.query, env, give)
            source.yields()
    with source.nested(name, closure=True):
        with source.block(f"if not {memory}:"):
            rows = f"SharedRows({source.call(run)}, {generator.runtime('memory')})"
            source.line(f"{memory}.append({rows})")
        source.line(f"return {memory}[0]")
    source.function.prologue.append(f"{memory} = []")
    if cte.modifies:
        source.line(f"{name}().complete()")


def _yield_kept(generator: Generator, types: Sequence[int]) -> Give:
    """Return what writes the giving of rows that are kept: `SharedRows` sees a sample, not the large."""
    source = generator.source
    held = generator.hold()

    def give(codes: Sequence[Code], _env: Env) -> None:
        fields = generator.kept_fields(codes, types)
        generator.note_large(held, fields, types)
        source.line(f"yield {tuple_code(fields)}")

    return give


def _row(codes: Sequence[Code]) -> str:
    return tuple_code([code.text for code in codes])


def _recursion(generator: Generator, cte: p.CtePlan, recursive: p.RecursivePlan, env: Env) -> None:
    """Write the rounds. `work_N` holds the last round's rows, where the recursive part reads them."""
    source = generator.source
    work, new, seen = f"work_{cte.id}", source.fresh("new"), source.fresh("seen")
    source.line(f"{new} = []; {seen} = set()")
    held = generator.hold()
    types = [item.type_oid for item in cte.query.expressions]

    def give(codes: Sequence[Code], _env: Env) -> None:
        row = source.fresh("row")
        fields = generator.kept_fields(codes, types)
        generator.note_large(held, fields, types)
        source.line(f"{row} = {tuple_code(fields)}")
        with ExitStack() as blocks:
            if recursive.distinct:
                _, key = _row_key(generator, cte.query.expressions, row)
                blocks.enter_context(source.block(f"if {key} not in {seen}:"))
                source.line(f"{seen}.add({key})")
                with source.block(f"if not len({seen}) & 63:"):
                    source.line(f"{held}.sample_entry({key})")
            source.line(f"{new}.append({row})")
            source.line(f"yield {row}")

    generator.query(cte.query, env, give)
    with source.block(f"while {new}:"):
        source.line(f"{generator.runtime('check')}()")
        source.line(f"{work} = {new}; {new} = []")
        _round(generator, recursive.query, env, give)


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
    rows = f"work_{node.cte}" if node.working else f"{cte_name(node.cte)}()"
    inner, names = generator.bind(env, [slot.id for slot in node.slots], [True] * len(node.slots))
    del required
    with source.block(f"for {unpack_code(names)} in {rows}:"):
        consume(inner)
