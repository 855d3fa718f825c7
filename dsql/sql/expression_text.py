"""Bound expressions as SQL text, spelled as PostgreSQL's ruleutils does without pretty-printing.

This is how defaults, checks, index expressions and predicates are kept in the catalog and shown by
pg_get_expr and its kin: `(total > (0)::numeric)`, `'new'::character varying`. Columns are those of one
table, printed by their bare names. The text binds again to the same expression.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from dsql.errors import unsupported
from dsql.sql import bound
from dsql.types import oids, registry
from dsql.types.identifier import quote_identifier
from dsql.types.type import FormatSettings
from dsql.types.typmod import format_type

_SETTINGS = FormatSettings()
_BARE_NUMBERS = (oids.INT4, oids.NUMERIC)


def expression_text(expression: bound.Expression) -> str:
    """Return the text of an expression. Raises SqlError 0A000 for subqueries and aggregates."""
    return _text(expression, show_implicit=False)


def _text(expression: bound.Expression, *, show_implicit: bool) -> str:
    printer = _PRINTERS.get(type(expression))
    if printer is None:
        raise unsupported("subqueries and aggregates are not allowed in stored expressions")
    if _is_cast(expression):
        return _cast(expression, show_implicit=show_implicit)
    return printer(expression)


def _operand(expression: bound.Expression) -> str:
    return _text(expression, show_implicit=True)


def _constant(node: Any) -> str:
    if node.value is None:
        return f"NULL::{format_type(node.type_oid, node.typmod)}"
    if node.type_oid == oids.BOOL:
        return "true" if node.value else "false"
    text = registry.get(node.type_oid).text_encoder(_SETTINGS)(node.value).decode()
    if node.type_oid in _BARE_NUMBERS and _is_bare_number(node, text):
        return text
    type_oid = oids.TEXT if node.type_oid == oids.UNKNOWN else node.type_oid
    literal = "'" + text.replace("'", "''") + "'"
    return f"{literal}::{format_type(type_oid, node.typmod)}"


def _is_bare_number(node: Any, text: str) -> bool:
    """Tell whether the parser would read the same constant from the digits alone."""
    if not text[0].isdigit() or node.typmod != -1:
        return False
    if node.type_oid == oids.INT4:
        return True
    return isinstance(node.value, Decimal) and not text.isdigit() and "e" not in text.lower()


def _column(node: Any) -> str:
    return quote_identifier(node.name)


def _call(node: Any) -> str:
    arguments = [_operand(argument) for argument in node.arguments]
    if node.operator:
        if len(arguments) == 1:
            return f"({node.operator} {arguments[0]})"
        return f"({arguments[0]} {node.operator} {arguments[1]})"
    name: str = node.function.name
    if node.keyword:
        return str(node.keyword.upper())
    if name == "extract" and isinstance(node.arguments[0], bound.Constant):
        return f"EXTRACT({node.arguments[0].value} FROM {arguments[1]})"
    if name == "position":
        return f"POSITION(({arguments[1]}) IN ({arguments[0]}))"
    return f"{quote_identifier(name)}({', '.join(arguments)})"


def _is_cast(node: Any) -> bool:
    if isinstance(node, bound.Call):
        return node.cast
    return isinstance(node, bound.Relabel | bound.TextCast | bound.ApplyTypmod)


def _cast_argument(node: Any) -> Any:
    return node.arguments[0] if isinstance(node, bound.Call) else node.argument


def _cast(node: Any, *, show_implicit: bool) -> str:
    argument = _cast_argument(node)
    if isinstance(node, bound.ApplyTypmod):
        # A length coercion stands on top of the cast it belongs to, and prints as one.
        while _is_cast(argument) and argument.type_oid == node.type_oid:
            argument = _cast_argument(argument)
        if isinstance(argument, bound.Call) and argument.keyword:
            return f"{argument.keyword.upper()}({node.typmod})"
        implicit = not node.explicit
    else:
        implicit = node.implicit
    if implicit and not show_implicit:
        return _text(argument, show_implicit=show_implicit)
    target = format_type(node.type_oid, node.typmod)
    constant = isinstance(argument, bound.Constant) and argument.typmod == -1
    if constant and argument.type_oid == node.type_oid and argument.value is not None:
        text = _constant(argument)
        return f"{text.rpartition('::')[0] or text}::{target}"
    return f"({_text(argument, show_implicit=False)})::{target}"


def _joined(word: str) -> Callable[[Any], str]:
    def text(node: Any) -> str:
        return "(" + f" {word} ".join(_text(a, show_implicit=False) for a in node.arguments) + ")"

    return text


def _not(node: Any) -> str:
    return f"(NOT {_text(node.argument, show_implicit=False)})"


def _null_test(node: Any) -> str:
    return f"({_operand(node.argument)} IS {'NOT ' if node.negated else ''}NULL)"


def _boolean_test(node: Any) -> str:
    word = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}[node.value]
    return (
        f"({_text(node.argument, show_implicit=False)} IS {'NOT ' if node.negated else ''}{word})"
    )


def _distinct(node: Any) -> str:
    word = "IS NOT DISTINCT FROM" if node.negated else "IS DISTINCT FROM"
    return f"({_operand(node.left)} {word} {_operand(node.right)})"


def _null_if(node: Any) -> str:
    return f"NULLIF({_operand(node.left)}, {_operand(node.right)})"


def _case(node: Any) -> str:
    parts = ["CASE"]
    for condition, result in node.branches:
        parts.append(f"WHEN {_text(condition, show_implicit=False)}")
        parts.append(f"THEN {_operand(result)}")
    nothing = bound.Constant(type_oid=node.type_oid, typmod=node.typmod, value=None)
    parts.append(f"ELSE {_operand(node.otherwise or nothing)}")
    return " ".join([*parts, "END"])


def _coalesce(node: Any) -> str:
    return f"COALESCE({', '.join(_operand(argument) for argument in node.arguments)})"


def _min_max(node: Any) -> str:
    word = "GREATEST" if node.greatest else "LEAST"
    return f"{word}({', '.join(_operand(argument) for argument in node.arguments)})"


def _array_compare(node: Any) -> str:
    word = "ALL" if node.all else "ANY"
    return f"({_operand(node.left)} {node.operator or '='} {word} ({_operand(node.array)}))"


def _array(node: Any) -> str:
    return f"ARRAY[{', '.join(_operand(element) for element in node.elements)}]"


def _row(node: Any) -> str:
    return f"ROW({', '.join(_operand(item) for item in node.fields)})"


_PRINTERS: dict[type[bound.Expression], Callable[[Any], str]] = {
    bound.Constant: _constant,
    bound.ColumnRef: _column,
    bound.Call: _call,
    bound.Relabel: _call,
    bound.TextCast: _call,
    bound.ApplyTypmod: _call,
    bound.And: _joined("AND"),
    bound.Or: _joined("OR"),
    bound.Not: _not,
    bound.NullTest: _null_test,
    bound.BooleanTest: _boolean_test,
    bound.Distinct: _distinct,
    bound.NullIf: _null_if,
    bound.Case: _case,
    bound.Coalesce: _coalesce,
    bound.MinMax: _min_max,
    bound.ArrayCompare: _array_compare,
    bound.ArrayConstructor: _array,
    bound.RowConstructor: _row,
}
