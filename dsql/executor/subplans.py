"""Code of subqueries used as values.

Each becomes a function next to the loop that calls it. One that reads nothing of the outer row is run
at most once per execution; ANY by equality then asks a set instead of comparing row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsql.executor.code import Code
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.materialize import remembered
from dsql.executor.source import Env
from dsql.planner import plan as p
from dsql.planner.expressions import SubPlan
from dsql.types import registry


def compile_subplan(generator: Generator, node: SubPlan, env: Env) -> Code:
    """Write the function of a subquery; return the code of its value."""
    if node.kind in ("any", "all"):
        return _quantified(generator, node, env)
    if node.kind == "lookup":
        return _hashed(generator, node, env, "has", nullable=False)
    writer = {"scalar": _scalar, "exists": _exists, "array": _array}[node.kind]
    name = generator.source.fresh("sub")
    with generator.source.nested(name):
        nullable = writer(generator, node, env)
    name = remembered(generator, name, node, env) if node.outer else _once(generator, name)
    return Code(generator.source.call(name), nullable)


def _once(generator: Generator, function: str) -> str:
    """Write a function that calls another one the first time only."""
    source = generator.source
    name, memory = source.fresh("init"), source.fresh("memo")
    with source.nested(name):
        with source.block(f"if not {memory}:"):
            source.line(f"{memory}.append({source.call(function)})")
        source.line(f"return {memory}[0]")
    source.function.prologue.append(f"{memory} = []")
    return name


def _yields_one_row(node: p.Node) -> bool:
    if isinstance(node, p.AggregateNode):
        return not node.keys and len(node.sets) == 1
    if isinstance(node, p.Scan):
        return node.access.unique and not any(
            isinstance(part, p.AnyOf) for part in node.access.prefix
        )
    if isinstance(node, p.Project | p.Filter):
        return _yields_one_row(node.child)
    return isinstance(node, p.Result)


def _scalar(generator: Generator, node: SubPlan, env: Env) -> bool:
    source = generator.source
    if _yields_one_row(node.plan.node):

        def give_only(codes: list[Code], _env: Env) -> None:
            source.line(f"return {codes[0].text}")

        generator.query(node.plan, env, give_only)
        source.line("return None")
        return True
    found, result = source.fresh("found"), source.fresh("result")
    source.line(f"{found} = False; {result} = None")

    def give(codes: list[Code], _env: Env) -> None:
        with source.block(f"if {found}:"):
            source.line("raise subquery_rows_error()")
        source.line(f"{found} = True; {result} = {codes[0].text}")

    generator.query(node.plan, env, give)
    source.line(f"return {result}")
    return True


def _exists(generator: Generator, node: SubPlan, env: Env) -> bool:
    generator.query(node.plan, env, lambda _codes, _env: generator.source.line("return True"))
    generator.source.line("return False")
    return False


def _array(generator: Generator, node: SubPlan, env: Env) -> bool:
    """Write the gathering of the values, which are on an account if they are more than a few."""
    source, types = generator.source, [node.plan.expressions[0].type_oid]
    items, held = source.fresh("items"), source.fresh("held")
    account = f"({held} := {held} or Held({generator.runtime('memory')}))"
    source.line(f"{items} = []; {held} = None")

    def give(codes: Sequence[Code], _env: Env) -> None:
        fields = generator.kept_fields(codes[:1], types)
        source.line(f"{items}.append({fields[0]})")
        generator.note_large(account, fields, types)
        with source.block(f"if not len({items}) & 63:"):
            source.line(f"{account}.sample({items})")

    generator.query(node.plan, env, give, whole=True)
    source.line(f"return {items}")
    return False


def _rows(generator: Generator, node: SubPlan, env: Env) -> str:
    """Write the function that returns all rows of the subquery as tuples."""
    source = generator.source
    name = source.fresh("rows")
    types = [item.type_oid for item in node.plan.expressions]
    with source.nested(name):
        kept, rows = generator.keep()

        def give(codes: Sequence[Code], _env: Env) -> None:
            generator.append(kept, rows, generator.kept_fields(codes, types), types)

        generator.query(node.plan, env, give)
        source.line(f"return {kept}")
    return name if node.outer else _once(generator, name)


def _quantified(generator: Generator, node: SubPlan, env: Env) -> Code:
    if node.kind == "any" and node.operator == "=" and not node.outer and _plain(node):
        return _hashed(generator, node, env, "find", nullable=True)
    return _compared(generator, node, env)


def _plain(node: SubPlan) -> bool:
    """Return True if Python's equality is SQL's for every pair."""
    from dsql.planner.access_path import same_form

    return all(
        same_form(item.type_oid, output.type_oid) and registry.get(item.type_oid).hash_key is None
        for item, output in zip(node.left, node.plan.outputs, strict=False)
    )


def _hashed(generator: Generator, node: SubPlan, env: Env, method: str, *, nullable: bool) -> Code:
    """Look the left side up in the set of rows, by a method of `HashedRows`."""
    source = generator.source
    left = [generator.value(item, env) for item in node.left]
    build = source.fresh("build")
    with source.nested(build):
        _build_hashed(generator, node, env)
    name = build if node.outer else _once(generator, build)
    key = tuple_code([code.text for code in left])
    return Code(f"{source.call(name)}.{method}({key})", nullable)


def _build_hashed(generator: Generator, node: SubPlan, env: Env) -> None:
    """Write the filling of `HashedRows` with the rows of the subquery."""
    source = generator.source
    hashed, recent = source.fresh("hashed"), source.fresh("recent")
    source.line(f"{hashed} = HashedRows({generator.runtime('memory')}); {recent} = {hashed}.recent")
    types = [item.type_oid for item in node.plan.expressions]

    def give(codes: Sequence[Code], _env: Env) -> None:
        row, names = source.fresh("row"), [source.fresh("c") for _ in codes]
        source.line(f"{unpack_code(names)} = {row} = {tuple_code([code.text for code in codes])}")
        nullable = [name for name, code in zip(names, codes, strict=True) if code.nullable]
        if nullable:
            with source.block(f"if {' or '.join(f'{name} is None' for name in nullable)}:"):
                source.line(f"{hashed}.add_partial({row})")
        with source.block(f"{'elif' if nullable else 'if'} {row} not in {recent}:"):
            source.line(f"{recent}.add({row})")
            generator.note_large(hashed, names, types)
            with source.block(f"if not len({recent}) & 63:"):
                source.line(f"{hashed}.sample({row})")

    generator.query(node.plan, env, give, whole=True)
    source.line(f"return {hashed}")


def _compared(generator: Generator, node: SubPlan, env: Env) -> Code:
    """Compare with row after row until the answer is certain."""
    source = generator.source
    left = [generator.value(item, env) for item in node.left]
    rows, name = _rows(generator, node, env), source.fresh("compare")
    lefts = [source.fresh("left") for _ in left]
    rights = [source.fresh("right") for _ in left]
    decisive = node.kind == "any"
    with source.nested(name, ", ".join(lefts)):
        source.line("unknown = False")
        with source.block(f"for {unpack_code(rights)} in {source.call(rows)}:"):
            _compare_pairs(generator, node, lefts, rights)
            with source.block(f"if outcome is {decisive}:"):
                source.line(f"return {decisive}")
            with source.block("if outcome is None:"):
                source.line("unknown = True")
        source.line(f"return None if unknown else {not decisive}")
    name = remembered(generator, name, node, env, lefts)
    return Code(source.call(name, ", ".join(code.text for code in left)), nullable=True)


def _ordered_rows(
    generator: Generator, node: SubPlan, lefts: Sequence[str], rights: Sequence[str]
) -> str:
    """Return code of the comparison of two rows by order: the first pair that differs, or NULL, decides."""
    count = len(lefts)
    call: Callable[..., Code] = generator.expressions.call
    text = repr(node.operator in ("<=", ">="))  # where all pairs are equal
    for number in reversed(range(count)):
        pair = [Code(lefts[number], False), Code(rights[number], False)]
        less, equal = (call(node.functions[at], pair).text for at in (number, count + number))
        decided = less if node.operator[0] == "<" else f"not {less}"
        unknown = f"{lefts[number]} is None or {rights[number]} is None"
        text = f"(None if {unknown} else {text} if {equal} else {decided})"
    return text


def _compare_pairs(
    generator: Generator, node: SubPlan, lefts: Sequence[str], rights: Sequence[str]
) -> None:
    """Write the three-valued AND of the pairs into `outcome` (OR for <>)."""
    source = generator.source
    if len(node.functions) > len(lefts):
        source.line(f"outcome = {_ordered_rows(generator, node, lefts, rights)}")
        return
    absorbing = node.operator in ("<>", "!=")
    source.line(f"outcome = {not absorbing}")
    call: Callable[..., Code] = generator.expressions.call
    for function, left, right in zip(node.functions, lefts, rights, strict=True):
        code = call(function, [Code(left, True), Code(right, True)])
        source.line(f"pair = {code.text}")
        with source.block(f"if pair is {absorbing}:"):
            source.line(f"outcome = {absorbing}")
        with source.block(f"elif pair is None and outcome is not {absorbing}:"):
            source.line("outcome = None")
