"""Bound expressions as SQL text, spelled as PostgreSQL's ruleutils does without pretty-printing.

This is how defaults, checks, index expressions and predicates are kept in the catalog and shown by
pg_get_expr and its kin: `(total > (0)::numeric)`, `'new'::character varying`. Columns are those of one
table, printed by their bare names; `dsql.sql.query_text` prints those of queries. The text binds again to
the same expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import repeat
from typing import Any

from dsql.catalog.schema import FIRST_USER_OID
from dsql.errors import unsupported
from dsql.functions.function import Function
from dsql.sql import bound
from dsql.sql.bound_query import Entry
from dsql.sql.composites import fields_of
from dsql.sql.domains import DomainCoercion
from dsql.sql.walk import nodes
from dsql.types import oids, registry
from dsql.types.identifier import quote_identifier
from dsql.types.type import FormatSettings, Type
from dsql.types.typmod import NO_LENGTH, format_type

_SETTINGS = FormatSettings()
_BARE_NUMBERS = (oids.INT4, oids.NUMERIC)
_GIVEN = re.compile(r"\0(\d+)\0")  # no text has a zero


def expression_text(expression: bound.Expression) -> str:
    """Return the text of an expression. Raises SqlError 0A000 for subqueries and aggregates."""
    return ExpressionPrinter().text(expression)


class ExpressionPrinter:
    """Prints expressions over the columns of one table, and is the base of what prints queries."""

    def text(self, expression: bound.Expression) -> str:
        """Return an expression's text, without the casts around it that nobody wrote."""
        return _text(self, expression, show_implicit=False)

    def operand(self, expression: bound.Expression) -> str:
        """Return its text as the operand or argument of another one, with all of its casts."""
        return _text(self, expression, show_implicit=True)

    def column(self, node: bound.ColumnRef) -> str:
        """Return the text of a column."""
        return quote_identifier(node.name)

    def row(self, node: bound.RowConstructor) -> str:
        """Return the text of a row."""
        return f"ROW({', '.join(map(self.operand, node.fields))})"

    def function(self, function: Function) -> str:
        """Return a function's name, with the schema where another path might not find it."""
        name = quote_identifier(function.name)
        definition = function.definition
        return name if definition is None else f"{quote_identifier(definition.schema)}.{name}"

    def domain(self, function: Function) -> str:
        """Return the name of the domain that a coercion leads to, with its schema."""
        return f"{quote_identifier(function.schema)}.{quote_identifier(function.name)}"

    def constant(self, node: bound.Constant) -> str:
        """Return the text of a constant."""
        return constant_text(node, self)

    def kind(self, type_oid: int) -> Type:
        """Return the type with an OID."""
        return registry.get(type_oid)

    def type(self, type_oid: int, typmod: int) -> str:
        """Return a type as a cast takes it: bpchar is not character, which means character(1)."""
        if type_oid < FIRST_USER_OID:
            return format_type(type_oid, NO_LENGTH if typmod == -1 else typmod)
        return self.user_type(self.kind(type_oid))

    def user_type(self, kind: Type) -> str:
        """Return the name of a type of a user's, with its schema."""
        is_array = bool(kind.element_oid)
        named = self.kind(kind.element_oid) if is_array else kind
        return f"{quote_identifier(named.schema)}.{quote_identifier(named.name)}" + "[]" * is_array

    def range_tables(self) -> list[list[Entry]]:
        """Return the range tables of the query at hand and of those around it."""
        return []

    def case_line(self, words: str) -> str:
        """Return a line of a CASE: it is all one line here."""
        return words if words == "CASE" else f" {words}"

    @contextmanager
    def inside_case(self) -> Iterator[None]:
        """While what stands between CASE and END is printed, lines begin further to the right."""
        yield

    def other(self, node: bound.Expression) -> str:
        """Return the text of what only queries have. Raises SqlError 0A000."""
        del node
        raise unsupported("subqueries and aggregates are not allowed in stored expressions")


def _text(printer: ExpressionPrinter, expression: bound.Expression, *, show_implicit: bool) -> str:
    if _is_cast(expression):
        return _cast(printer, expression, show_implicit=show_implicit)
    write = _PRINTERS.get(type(expression))
    return printer.other(expression) if write is None else write(printer, expression)


_Write = Callable[[ExpressionPrinter, Any], str]


def constant_text(node: Any, printer: ExpressionPrinter) -> str:
    """Return the text of a constant, with its type where the parser would read another one."""
    if node.value is None:
        return f"NULL::{printer.type(node.type_oid, node.typmod)}"
    if node.type_oid == oids.BOOL:
        return "true" if node.value else "false"
    if node.type_oid == oids.REGCLASS:
        return f"'{node.value}'::regclass"  # its name may change: see dsql.catalog.stored_text
    text = printer.kind(node.type_oid).text_encoder(_SETTINGS)(node.value).decode()
    if node.type_oid in _BARE_NUMBERS and _is_bare_number(node, text):
        return text
    type_oid = oids.TEXT if node.type_oid == oids.UNKNOWN else node.type_oid
    literal = "'" + text.replace("'", "''") + "'"
    return f"{literal}::{printer.type(type_oid, node.typmod)}"


def _is_bare_number(node: Any, text: str) -> bool:
    """Tell whether the parser would read the same constant from the digits alone."""
    if not text[0].isdigit() or node.typmod != -1:
        return False
    if node.type_oid == oids.INT4:
        return True
    return isinstance(node.value, Decimal) and not text.isdigit() and "e" not in text.lower()


def _call(printer: ExpressionPrinter, node: Any) -> str:
    arguments = [printer.operand(argument) for argument in spread(node.function, node.arguments)]
    if node.function.written is not None:
        return str(node.function.written(arguments, ""))
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
    if _takes_array(node.function) and not isinstance(node.arguments[-1], bound.ArrayConstructor):
        arguments[-1] = f"VARIADIC {arguments[-1]}"
    return f"{printer.function(node.function)}({', '.join(arguments)})"


def spread(function: Any, arguments: Sequence[bound.Expression]) -> list[bound.Expression]:
    """Return arguments as they are written: the binder has gathered variadic ones in an array."""
    if _takes_array(function) and isinstance(arguments[-1], bound.ArrayConstructor):
        return [*arguments[:-1], *arguments[-1].elements]
    return list(arguments)


def _takes_array(function: Any) -> bool:
    """Tell whether a function is variadic and not VARIADIC "any", which takes what comes as it is."""
    if not getattr(function, "variadic", False):
        return False
    last = function.argument_types[-1]
    return last == oids.ANYARRAY or registry.get(last).category == "A"


def _is_cast(node: Any) -> bool:
    if isinstance(node, bound.Call):
        return node.cast
    return isinstance(node, bound.Relabel | bound.TextCast | bound.ApplyTypmod)


def _cast_argument(node: Any) -> Any:
    return node.arguments[0] if isinstance(node, bound.Call) else node.argument


def _target(printer: ExpressionPrinter, node: Any) -> str:
    """Return the type that a cast leads to."""
    coercion = node.function.implementation if isinstance(node, bound.Call) else None
    if isinstance(coercion, DomainCoercion):
        return printer.domain(node.function) + "[]" * coercion.of_elements
    return printer.type(node.type_oid, node.typmod)


def _cast(printer: ExpressionPrinter, node: Any, *, show_implicit: bool) -> str:
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
        return _text(printer, argument, show_implicit=show_implicit)
    target = _target(printer, node)
    checked = isinstance(node, bound.Call) and isinstance(
        node.function.implementation, DomainCoercion
    )
    constant = isinstance(argument, bound.Constant) and argument.typmod == -1 and not checked
    if constant and argument.type_oid == node.type_oid and argument.value is not None:
        text = constant_text(argument, printer)
        return f"{text.rpartition('::')[0] or text}::{target}"
    return f"({printer.text(argument)})::{target}"


def _joined(word: str) -> _Write:
    def text(printer: ExpressionPrinter, node: Any) -> str:
        return "(" + f" {word} ".join(printer.text(a) for a in node.arguments) + ")"

    return text


def _not(printer: ExpressionPrinter, node: Any) -> str:
    return f"(NOT {printer.text(node.argument)})"


def _null_test(printer: ExpressionPrinter, node: Any) -> str:
    return f"({printer.operand(node.argument)} IS {'NOT ' if node.negated else ''}NULL)"


def _boolean_test(printer: ExpressionPrinter, node: Any) -> str:
    word = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}[node.value]
    return f"({printer.text(node.argument)} IS {'NOT ' if node.negated else ''}{word})"


def _distinct(printer: ExpressionPrinter, node: Any) -> str:
    word = "IS NOT DISTINCT FROM" if node.negated else "IS DISTINCT FROM"
    return f"({printer.operand(node.left)} {word} {printer.operand(node.right)})"


def _null_if(printer: ExpressionPrinter, node: Any) -> str:
    return f"NULLIF({printer.operand(node.left)}, {printer.operand(node.right)})"


def _branch(printer: ExpressionPrinter, branch: Sequence[bound.Expression]) -> str:
    condition, result = branch
    return f"WHEN {printer.text(condition)} THEN {printer.operand(result)}"


def _case(printer: ExpressionPrinter, node: Any) -> str:
    text = printer.case_line("CASE")
    with printer.inside_case():
        for branch in node.branches:
            alike = isinstance(branch, bound.Alike)
            lines = _items(printer, branch, _branch) if alike else [_branch(printer, branch)]
            text += "".join(map(printer.case_line, lines))
        nothing = bound.Constant(type_oid=node.type_oid, typmod=node.typmod, value=None)
        text += printer.case_line(f"ELSE {printer.operand(node.otherwise or nothing)}")
    return text + printer.case_line("END")


def _coalesce(printer: ExpressionPrinter, node: Any) -> str:
    return f"COALESCE({', '.join(printer.operand(argument) for argument in node.arguments)})"


def _min_max(printer: ExpressionPrinter, node: Any) -> str:
    word = "GREATEST" if node.greatest else "LEAST"
    return f"{word}({', '.join(printer.operand(argument) for argument in node.arguments)})"


def _array_compare(printer: ExpressionPrinter, node: Any) -> str:
    word = "ALL" if node.all else "ANY"
    return f"({printer.operand(node.left)} {node.operator or '='} {word} ({printer.operand(node.array)}))"


def _array(printer: ExpressionPrinter, node: Any) -> str:
    text = f"ARRAY[{', '.join(printer.operand(element) for element in node.elements)}]"
    return text if node.elements else f"{text}::{printer.type(node.type_oid, node.typmod)}"


def _subscript(printer: ExpressionPrinter, node: Any) -> str:
    text = printer.operand(node.array)
    if not isinstance(node.array, bound.ColumnRef | bound.Subscript):
        text = f"({text})"
    uppers = node.upper if node.slice else [None] * len(node.indexes)
    for low, high in zip(node.indexes, uppers, strict=True):
        first = "" if low is None else printer.operand(low)
        second = "" if high is None else printer.operand(high)
        text += f"[{first}:{second}]" if node.slice else f"[{first}]"
    return text


def _field(printer: ExpressionPrinter, node: Any) -> str:
    columns = fields_of(node.record, printer.range_tables())
    if columns is None:
        raise unsupported("a field of this record has no text")
    return f"({printer.operand(node.record)}).{quote_identifier(columns[node.index][0])}"


def _row_compare(printer: ExpressionPrinter, node: Any) -> str:
    sides = [", ".join(printer.operand(part) for part in side) for side in (node.left, node.right)]
    return f"(ROW({sides[0]}) {node.operator} ROW({sides[1]}))"


def _alike(printer: ExpressionPrinter, node: Any) -> str:
    """Return the items of a list that are alike, without what is around all of the list."""
    separator = _SEPARATORS.get(node.joined, ", ")
    return separator.join(_items(printer, node, _operand_of))


def _operand_of(printer: ExpressionPrinter, item: Sequence[bound.Expression]) -> str:
    return printer.operand(item[0])


_SEPARATORS: dict[type[bound.Expression] | None, str] = {bound.And: " AND ", bound.Or: " OR "}


def _items(
    printer: ExpressionPrinter,
    node: bound.Alike,
    write: Callable[[ExpressionPrinter, Sequence[bound.Expression]], str],
) -> Iterator[str]:
    """Yield what `write` makes of each item; each kind is written once, and then what is given put in."""
    kinds = [_each(printer, template, write(printer, template)) for template in node.templates]
    return (next(kinds[kind]) for kind in node.order)


def _each(
    printer: ExpressionPrinter, template: Sequence[bound.Expression], text: str
) -> Iterator[str]:
    parts: list[Any] = _GIVEN.split(text)
    if len(parts) == 1:
        return repeat(text)
    given = {id(node): node for part in template for node, _ in nodes(part)}
    places = [given[int(number)] for number in parts[1::2]]
    parts[1::2] = [map(_written, repeat(printer), repeat(place), place.values) for place in places]
    parts[::2] = map(repeat, parts[::2])
    return map("".join, zip(*parts, strict=False))


def _given(_printer: ExpressionPrinter, node: Any) -> str:
    return f"\0{id(node)}\0"


def _written(printer: ExpressionPrinter, node: Any, value: Any) -> str:
    """Return the text of what is given for one item."""
    if isinstance(value, bound.Parameter):
        return f"${value.index + 1}"
    constant = bound.Constant(type_oid=node.type_oid, typmod=node.typmod, value=value)
    return printer.constant(constant)


_PRINTERS: dict[type[bound.Expression], _Write] = {
    bound.Alike: _alike,
    bound.Given: _given,
    bound.Constant: lambda printer, node: printer.constant(node),
    bound.ColumnRef: lambda printer, node: printer.column(node),
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
    bound.RowConstructor: lambda printer, node: printer.row(node),
    bound.RowCompare: _row_compare,
    bound.Subscript: _subscript,
    bound.FieldSelect: _field,
}
