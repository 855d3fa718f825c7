"""Code of rows: constructors, fields, comparisons by <, <=, > and >=."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsql.executor.code import Code
from dsql.executor.source import Env
from dsql.types.oids import RECORD, UNKNOWN
from dsql.types.record import record_class

if TYPE_CHECKING:
    from dsql.executor.expressions import Expressions

_PAIRS_MAX = 20  # of a comparison in one function: they nest in the parser


def row(compiler: Expressions, node: Any, env: Env) -> Code:
    """Return the code of ROW(...)."""
    codes, flight = compiler.several(node.fields, env)
    items = "".join(f"{code.text}, " for code in codes)
    kind = record_class(tuple(node.names), _types(node))
    text = f"{compiler.source.constant(kind, 'record')}(({items}))"
    return Code(f"{flight}.give({text})" if flight else text, nullable=False)


def _types(node: Any) -> tuple[int, ...]:
    """Return the types of a row's fields: of literals in a row of no type they are unknown."""
    untyped = node.literals if node.type_oid == RECORD else ()
    return tuple(UNKNOWN if at in untyped else item.type_oid for at, item in enumerate(node.fields))


def field(compiler: Expressions, node: Any, env: Env) -> Code:
    """Return the code of (record).field."""
    code = compiler.value(node.record, env)
    name, guard = compiler.named(code)
    return Code(f"(None if {guard} is None else {name}[{node.index}])", nullable=True)


def comparison(compiler: Expressions, node: Any, env: Env) -> Code:
    """Return the code of (a, b) < (c, d) and its kind."""
    return _pairs_from(compiler, node, env, 0)


def _pairs_from(compiler: Expressions, node: Any, env: Env, start: int) -> Code:
    """Compare the pairs from one on. Later ones are not evaluated once one is NULL or decides."""
    end = min(start + _PAIRS_MAX, len(node.left))
    text = repr(node.operator in ("<=", ">="))  # where all pairs are equal
    if end < len(node.left):
        text = compiler.in_function(lambda: _pairs_from(compiler, node, env, end)).text
    for number in reversed(range(start, end)):
        names, guards = [], []
        for side in (node.left, node.right):
            code = compiler.value(side[number], env)
            name, guard = compiler.named(code)
            names.append(Code(name, nullable=False))
            if code.nullable or not code.atom:
                guards.append(f"{guard} is None")
        equal = compiler.call(node.equal[number], names).text
        less = compiler.call(node.less[number], names).text
        decided = less if node.operator[0] == "<" else f"not {less}"
        text = f"{text} if {equal} else {decided}"
        text = f"(None if {' or '.join(guards)} else {text})" if guards else f"({text})"
    return Code(text, nullable=True)
