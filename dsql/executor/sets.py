"""Code of set operations and CTEs.

UNION ALL is both sides in one generator function. The others count rows in dicts, NULLs being equal.
A CTE is a function that runs its query the first time it is asked and keeps the rows; a modifying one
is also asked before the main query ends, so that it always runs, and once. A recursive CTE runs its
second part over the rows of the last round until there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsql.executor.expressions import Code
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.grouping import distinct_key
from dsql.executor.source import Consume, Env
from dsql.planner import plan as p
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
    with source.nested(f"def {name}():"):
        if operator == "union":
            nullable = _union(generator, node, env, slots)
        else:
            nullable = _counted(generator, node, env, operator)
    inner, names = generator.bind(env, slots, nullable)
    with source.block(f"for {unpack_code(names)} in {name}():"):
        consume(inner)


Give = Callable[[list[Code], Env], None]


def _union(
    generator: Generator, node: p.SetOperationNode, env: Env, slots: Sequence[int]
) -> list[bool]:
    source = generator.source
    places = [n for n, slot in enumerate(node.slots) if slot.id in slots]
    nullable = [False] * len(places)
    seen = source.fresh("seen")
    if not node.all:
        source.line(f"{seen} = set()")

    def give(codes: list[Code], _env: Env) -> None:
        chosen = [codes[place] for place in places]
        for position, code in enumerate(chosen):
            nullable[position] = nullable[position] or code.nullable
        row = tuple_code([code.text for code in chosen])
        if node.all:
            source.line(f"yield {row}")
            return
        names, key = _row_key(generator, node.slots, row)
        with source.block(f"if {key} not in {seen}:"):
            source.line(f"{seen}.add({key})")
            with source.block(f"if not len({seen}) & 63:"):
                source.line(f"{generator.runtime('meter')}([{key}])")
            source.line(f"yield {tuple_code(names)}")

    generator.query(node.left, env, give)
    generator.query(node.right, env, give)
    return nullable


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
    nullable = [False] * len(node.slots)

    def count(codes: list[Code], _env: Env) -> None:
        row = tuple_code([code.text for code in codes])
        _, key = _row_key(generator, node.slots, row)
        source.line(f"{counts}[{key}] = {counts}.get({key}, 0) + 1")
        generator.account(counts)

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
            source.line(f"yield {result}")

    generator.query(node.right, env, count)
    generator.query(node.left, env, give)
    return nullable


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
    """Write the function of a CTE: its rows as a list of tuples, made once."""
    source = generator.source
    name, run, memory = cte_name(cte.id), source.fresh("run"), source.fresh("memo")
    if cte.recursive is None:
        with source.nested(f"def {run}():"):
            source.line("rows = []; touched = 0")
            generator.query(cte.query, env, _append_row(generator, "rows"))
            source.line("return rows")
    else:
        with source.nested(f"def {run}():"):
            _recursion(generator, cte, cte.recursive, env)
    with source.nested(f"def {name}():"):
        with source.block(f"if not {memory}:"):
            source.line(f"{memory}.append({run}())")
        source.line(f"return {memory}[0]")
    source.function.prologue.append(f"{memory} = []")
    if cte.modifies:
        source.line(f"{name}()")


def _append_row(generator: Generator, rows: str) -> Give:
    def give(codes: list[Code], _env: Env) -> None:
        row = tuple_code([code.text for code in codes])
        generator.source.line(f"{rows}.append({row})")
        generator.account(rows)

    return give


def _recursion(generator: Generator, cte: p.CtePlan, recursive: p.RecursivePlan, env: Env) -> None:
    """Write the rounds. `work_N` holds the last round's rows, where the recursive part reads them."""
    source = generator.source
    work, new = f"work_{cte.id}", source.fresh("new")
    seen = source.fresh("seen")
    source.line(f"rows = []; {seen} = set()")

    def give(codes: list[Code], _env: Env) -> None:
        row = tuple_code([code.text for code in codes])
        if not recursive.distinct:
            source.line(f"{new}.append({row})")
            generator.account(new)
            return
        names, key = _row_key(generator, cte.query.expressions, row)
        with source.block(f"if {key} not in {seen}:"):
            source.line(f"{seen}.add({key})")
            source.line(f"{new}.append({tuple_code(names)})")
            generator.account(new)

    source.line(f"{new} = []")
    generator.query(cte.query, env, give)
    with source.block(f"while {new}:"):
        source.line(f"{generator.runtime('check')}()")
        source.line(f"{work} = {new}")
        source.line(f"rows += {work}")
        source.line(f"{new} = []")
        generator.query(recursive.query, env, give)
    source.line("return rows")


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
