"""Code of CASE, and how many branches are written in one function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dsql.executor import values
from dsql.executor.alike import RUN_MIN, runs
from dsql.executor.code import Code
from dsql.executor.source import Env
from dsql.sql.bound import Alike

if TYPE_CHECKING:
    from dsql.executor.expressions import Expressions

BRANCHES_MAX = 30  # `a if b else c if d else ...` nests in the parser


def case(compiler: Expressions, node: Any, env: Env) -> Code:
    """Return the code of CASE."""
    branches = node.branches
    if len(branches) >= RUN_MIN:
        branches = [*runs(branches)]
    while len(branches) > BRANCHES_MAX:
        branches = groups(branches)
    start, nullable = _branches(compiler, branches, env, boxed=False)
    last = Code("None", nullable=True)
    if node.otherwise is not None:
        last = compiler.value(node.otherwise, env)
    return Code(f"({start}{last.text})", nullable or last.nullable)


def groups(items: Sequence[Any]) -> list[Sequence[Any]]:
    """Return items in groups of a few."""
    return [items[start : start + BRANCHES_MAX] for start in range(0, len(items), BRANCHES_MAX)]


def _branches(
    compiler: Expressions, branches: Sequence[Any], env: Env, *, boxed: bool
) -> tuple[str, bool]:
    """Return `result if condition else ...` and whether a result may be NULL.

    What is no pair of these is an `Alike` or a list of others, and gives the result in a tuple, or None.
    So does the code returned if it is `boxed`.
    """
    source, parts, nullable = compiler.source, [], False
    for branch in branches:
        if isinstance(branch, tuple):
            condition, result = branch
            code = compiler.value(result, env)
            nullable = nullable or code.nullable
            text = f"({code.text},)" if boxed else code.text
            parts.append(f"{text} if {compiler.true(condition, env)} else ")
        else:
            name, chosen = source.fresh("t"), _chosen(compiler, branch, env)
            nullable = True
            parts.append(
                f"{name}{'' if boxed else '[0]'} if ({name} := {chosen}) is not None else "
            )
    return "".join(parts), nullable


def _chosen(compiler: Expressions, branches: Alike | Sequence[Any], env: Env) -> str:
    """Return code for the result of the first of some branches to hold, in a tuple, else None."""
    if not isinstance(branches, Alike):
        inner = branches
        return compiler.in_function(
            lambda: Code(f"({_branches(compiler, inner, env, boxed=True)[0]}None)", True)
        ).text
    each = compiler.each(
        branches,
        lambda condition, result: (
            f"({compiler.value(result, env).text},) if {compiler.true(condition, env)} else None"
        ),
    )
    return f"{compiler.source.constant(values.first)}({each})"
