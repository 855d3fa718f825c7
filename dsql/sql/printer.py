"""Prints the trees of `dsql.sql.tree` as PostgreSQL text that parses back to the same libpg_query tree.

sqlglot's own printer is compiled and closed to subclasses, and it would rewrite functions and operators;
this one keeps them as they are. Operators inside operators are put in parentheses, as PostgreSQL's own
printer does, so precedence never has to be known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from dsql.errors import unsupported
from dsql.sql.depth import stack_depth_error
from dsql.sql.query_printer import PRINTERS, order_text, window_text
from dsql.sql.tree_operators import OPERATOR_NAMES
from dsql.types.identifier import quote_identifier

Printer = Callable[["TreePrinter", Any], str]

_COMPOUND = (
    *OPERATOR_NAMES,
    exp.Operator,
    exp.Neg,
    exp.And,
    exp.Or,
    exp.Not,
    exp.Is,
    exp.In,
    exp.Between,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.Collate,
)


def print_tree(tree: exp.Expression) -> str:
    """Return the SQL text of a statement or expression tree."""
    try:
        return TreePrinter().sql(tree)
    except RecursionError:
        raise stack_depth_error() from None


def _operand(gen: TreePrinter, node: Any) -> str:
    text = gen.sql(node)
    if isinstance(node, _COMPOUND) or _is_negative(node) or _is_infix_call(node):
        return f"({text})"
    return text


def _is_infix_call(node: Any) -> bool:
    """AT TIME ZONE is a call that is written between its operands."""
    return (
        isinstance(node, exp.Anonymous)
        and bool(node.args.get("sql_syntax"))
        and (node.this in ("timezone", "is_normalized"))
    )


def _is_negative(node: Any) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and node.this.startswith("-")


def _list(gen: TreePrinter, nodes: Any) -> str:
    return ", ".join(gen.sql(node) for node in nodes)


# ---------------------------------------------------------------- expressions


def _literal(_gen: TreePrinter, node: Any) -> str:
    if not node.is_string:
        return str(node.this)
    text: str = node.this.replace("'", "''")
    if "\\" in text:
        return "E'" + text.replace("\\", "\\\\") + "'"
    return f"'{text}'"


def _identifier(_gen: TreePrinter, node: Any) -> str:
    return quote_identifier(node.this)


def _column(gen: TreePrinter, node: Any) -> str:
    parts = [node.args.get(key) for key in ("catalog", "db", "table", "this")]
    return ".".join(gen.sql(part) for part in parts if part is not None)


_PATTERNS = {
    "~~": "LIKE",
    "!~~": "NOT LIKE",
    "~~*": "ILIKE",
    "!~~*": "NOT ILIKE",
    "~": "SIMILAR TO",
    "!~": "NOT SIMILAR TO",
}


def _operator(gen: TreePrinter, node: Any) -> str:
    name = OPERATOR_NAMES.get(type(node)) or node.args["operator"]
    right: Any = node.args["expression"]
    left = node.args.get("this")
    if node.args.get("schema"):
        name = f"OPERATOR({quote_identifier(node.args['schema'])}.{name})"
    if node.args.get("keyword"):
        return f"{_operand(gen, left)} {_PATTERNS[name]} {_pattern(gen, right)}"
    if isinstance(right, (exp.Any, exp.All)):
        word = "ANY" if isinstance(right, exp.Any) else "ALL"
        return f"{_operand(gen, left)} {name} {word} ({gen.sql(right.this)})"
    if left is None:
        return f"{name} {_operand(gen, right)}"
    return f"{_operand(gen, left)} {name} {_operand(gen, right)}"


def _pattern(gen: TreePrinter, right: Any) -> str:
    """The right side of LIKE and SIMILAR TO, whose ESCAPE the parser has turned into a call."""
    if isinstance(right, exp.Anonymous) and right.this in ("like_escape", "similar_to_escape"):
        pattern, *escape = right.expressions
        text = _operand(gen, pattern)
        return f"{text} ESCAPE {_operand(gen, escape[0])}" if escape else text
    return _operand(gen, right)


def _infix(word: str) -> Printer:
    def printer(gen: TreePrinter, node: Any) -> str:
        return f"{_operand(gen, node.this)} {word} {_operand(gen, node.args['expression'])}"

    return printer


def _chain(word: str, cls: Any) -> Printer:
    """AND and OR chains, flat: they are left-deep and may be thousands long."""

    def printer(gen: TreePrinter, node: Any) -> str:
        parts = []
        while isinstance(node, cls):
            parts.append(_operand(gen, node.args["expression"]))
            node = node.args["this"]
        parts.append(_operand(gen, node))
        return f" {word} ".join(reversed(parts))

    return printer


def _is(gen: TreePrinter, node: Any) -> str:
    word = "IS NOT" if node.args["negate"] else "IS"
    return f"{_operand(gen, node.this)} {word} {gen.sql(node.args['expression'])}"


def _between(gen: TreePrinter, node: Any) -> str:
    word = ("NOT " if node.args["negate"] else "") + "BETWEEN"
    if node.args["symmetric"]:
        word += " SYMMETRIC"
    low, high = _operand(gen, node.args["low"]), _operand(gen, node.args["high"])
    return f"{_operand(gen, node.this)} {word} {low} AND {high}"


def _in(gen: TreePrinter, node: Any) -> str:
    word = "NOT IN" if node.args.get("negate") else "IN"
    query = node.args.get("query")
    inside = gen.sql(query.this) if query is not None else _list(gen, node.expressions)
    return f"{_operand(gen, node.this)} {word} ({inside})"


def _case(gen: TreePrinter, node: Any) -> str:
    parts = ["CASE"]
    if node.args.get("this") is not None:
        parts.append(_operand(gen, node.this))
    parts.extend(
        f"WHEN {gen.sql(branch.this)} THEN {gen.sql(branch.args['true'])}"
        for branch in node.args["ifs"]
    )
    if node.args.get("default") is not None:
        parts.append(f"ELSE {gen.sql(node.args['default'])}")
    return " ".join([*parts, "END"])


def _named_call(word: str) -> Printer:
    def printer(gen: TreePrinter, node: Any) -> str:
        return f"{word}({_list(gen, [node.this, *node.expressions])})"

    return printer


def _nullif(gen: TreePrinter, node: Any) -> str:
    return f"NULLIF({gen.sql(node.this)}, {gen.sql(node.args['expression'])})"


def _type(gen: TreePrinter, node: Any) -> str:
    names = node.args["names"]
    modifiers = node.expressions
    if names[:1] == ["pg_catalog"] and names[-1] == "interval" and modifiers:
        return _interval_type(node)
    name = ".".join(quote_identifier(part) for part in names)
    if modifiers:
        name += f"({_list(gen, modifiers)})"
    prefix = "SETOF " if node.args.get("setof") else ""
    return f"{prefix}{name}{'[]' * node.args['dimensions']}"


# PostgreSQL's INTERVAL_MASK bits (utils/timestamp.h) as they are written.
_YEAR, _MONTH, _DAY, _HOUR, _MINUTE, _SECOND = 4, 2, 8, 1024, 2048, 4096
_INTERVAL_FIELDS = {
    _YEAR: "YEAR",
    _MONTH: "MONTH",
    _DAY: "DAY",
    _HOUR: "HOUR",
    _MINUTE: "MINUTE",
    _SECOND: "SECOND",
    _YEAR | _MONTH: "YEAR TO MONTH",
    _DAY | _HOUR: "DAY TO HOUR",
    _DAY | _HOUR | _MINUTE: "DAY TO MINUTE",
    _DAY | _HOUR | _MINUTE | _SECOND: "DAY TO SECOND",
    _HOUR | _MINUTE: "HOUR TO MINUTE",
    _HOUR | _MINUTE | _SECOND: "HOUR TO SECOND",
    _MINUTE | _SECOND: "MINUTE TO SECOND",
}


def _interval_type(node: Any) -> str:
    fields, *precision = [int(item.this) for item in node.expressions]
    words = _INTERVAL_FIELDS.get(fields, "")
    brackets = "[]" * node.args["dimensions"]
    suffix = f"({precision[0]})" if precision else ""
    if words:
        return f"interval {words}{suffix}{brackets}"
    return f"interval{suffix}{brackets}"


def _cast(gen: TreePrinter, node: Any) -> str:
    return f"CAST({gen.sql(node.this)} AS {_type(gen, node.args['to'])})"


def _collate(gen: TreePrinter, node: Any) -> str:
    return f"{_operand(gen, node.this)} COLLATE {_column(gen, node.args['expression'])}"


def _row(gen: TreePrinter, node: Any) -> str:
    word = "ROW" if node.args.get("row") else ""
    return f"{word}({_list(gen, node.expressions)})"


def _array(gen: TreePrinter, node: Any) -> str:
    if "query" in node.args:
        return f"ARRAY({gen.sql(node.args['query'])})"
    return f"ARRAY[{_list(gen, node.expressions)}]"


def _primary(gen: TreePrinter, node: Any) -> str:
    """What subscripts and fields may follow without parentheses: columns and parameters."""
    text = gen.sql(node)
    if isinstance(node, (exp.Parameter, exp.Bracket)):
        return text
    if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
        return text
    return f"({text})"


def _bracket(gen: TreePrinter, node: Any) -> str:
    return _primary(gen, node.this) + "".join(f"[{gen.sql(i)}]" for i in node.expressions)


def _slice(gen: TreePrinter, node: Any) -> str:
    return f"{gen.sql(node.args.get('this'))}:{gen.sql(node.args.get('expression'))}"


def _dot(gen: TreePrinter, node: Any) -> str:
    return f"({gen.sql(node.this)}).{gen.sql(node.args['expression'])}"


def _var(_gen: TreePrinter, node: Any) -> str:
    precision = node.args.get("precision")
    return f"{node.this.upper()}({precision})" if precision is not None else str(node.this.upper())


def _kwarg(gen: TreePrinter, node: Any) -> str:
    return f"{gen.sql(node.this)} => {gen.sql(node.args['expression'])}"


def _bit_string(prefix: str) -> Printer:
    return lambda _gen, node: f"{prefix}'{node.this}'"


# ---------------------------------------------------------------- calls


def _sql_syntax(gen: TreePrinter, node: Any) -> str | None:
    """The calls that SQL spells with words; None for those that read back as plain calls."""
    arguments = [gen.sql(argument) for argument in node.expressions]
    operands = [_operand(gen, argument) for argument in node.expressions]
    name = node.this
    if name == "timezone" and len(arguments) == 2:
        return f"{operands[1]} AT TIME ZONE {operands[0]}"
    if name == "timezone":
        return f"{operands[0]} AT LOCAL"
    if name in ("normalize", "is_normalized"):
        return _normalization(node, operands)
    if name == "extract":
        return f"EXTRACT({node.expressions[0].this} FROM {arguments[1]})"
    if name == "overlay":
        count = f" FOR {arguments[3]}" if len(arguments) > 3 else ""
        return f"OVERLAY({arguments[0]} PLACING {arguments[1]} FROM {arguments[2]}{count})"
    if name == "position":
        return f"POSITION({operands[1]} IN {operands[0]})"
    if name == "substring" and len(arguments) > 1:
        count = f" FOR {arguments[2]}" if len(arguments) > 2 else ""
        return f"SUBSTRING({arguments[0]} FROM {arguments[1]}{count})"
    side = {"btrim": "BOTH", "ltrim": "LEADING", "rtrim": "TRAILING"}.get(name)
    if side is not None:
        characters = f"{arguments[1]} " if len(arguments) > 1 else ""
        return f"TRIM({side} {characters}FROM {arguments[0]})"
    return None


def _normalization(node: Any, operands: list[str]) -> str:
    form = node.expressions[1].this if len(operands) > 1 else ""
    if node.this == "normalize":
        return f"NORMALIZE({operands[0]}{', ' + form if form else ''})"
    return f"{operands[0]} IS {form + ' ' if form else ''}NORMALIZED"


def _call(gen: TreePrinter, node: Any) -> str:
    args = node.args
    if args.get("sql_syntax"):
        special = _sql_syntax(gen, node)
        if special is not None:
            return special
    name = quote_identifier(node.this)
    if args.get("schema"):
        name = f"{quote_identifier(args['schema'])}.{name}"
    inside = "*" if args.get("star") else _list(gen, node.expressions)
    if args.get("variadic"):
        *fixed, last = [gen.sql(argument) for argument in node.expressions]
        inside = ", ".join([*fixed, f"VARIADIC {last}"])
    if args.get("distinct"):
        inside = f"DISTINCT {inside}"
    if args.get("order") is not None:
        inside += f" {order_text(gen, args['order'])}"
    text = f"{name}({inside})"
    if args.get("within_group") is not None:
        text += f" WITHIN GROUP ({order_text(gen, args['within_group'])})"
    if args.get("filter") is not None:
        text += f" FILTER (WHERE {gen.sql(args['filter'])})"
    over = args.get("over")
    if over is not None:
        named = isinstance(over, exp.Identifier)
        text += f" OVER {gen.sql(over)}" if named else f" OVER ({window_text(gen, over)})"
    return text


def _grouping(gen: TreePrinter, node: Any) -> str:
    return f"GROUPING({_list(gen, node.expressions)})"


def _ordered(gen: TreePrinter, node: Any) -> str:
    text = _operand(gen, node.this)
    if node.args.get("using"):
        text += f" USING {node.args['using']}"
    elif node.args["desc"]:
        text += " DESC"
    if bool(node.args["nulls_first"]) != bool(node.args["desc"]):
        text += " NULLS FIRST" if node.args["nulls_first"] else " NULLS LAST"
    return text


EXPRESSION_PRINTERS: dict[type, Printer] = {
    **dict.fromkeys((*OPERATOR_NAMES, exp.Operator), _operator),
    exp.Literal: _literal,
    exp.Identifier: _identifier,
    exp.Column: _column,
    exp.Neg: lambda gen, node: f"- {_operand(gen, node.this)}",
    exp.Not: lambda gen, node: f"NOT {_operand(gen, node.this)}",
    exp.And: _chain("AND", exp.And),
    exp.Or: _chain("OR", exp.Or),
    exp.NullSafeEQ: _infix("IS NOT DISTINCT FROM"),
    exp.NullSafeNEQ: _infix("IS DISTINCT FROM"),
    exp.Is: _is,
    exp.Between: _between,
    exp.In: _in,
    exp.Case: _case,
    exp.Coalesce: _named_call("COALESCE"),
    exp.Greatest: _named_call("GREATEST"),
    exp.Least: _named_call("LEAST"),
    exp.Nullif: _nullif,
    exp.Exists: lambda gen, node: f"EXISTS ({gen.sql(node.this)})",
    exp.Cast: _cast,
    exp.DataType: _type,
    exp.Collate: _collate,
    exp.Tuple: _row,
    exp.Array: _array,
    exp.Bracket: _bracket,
    exp.Slice: _slice,
    exp.Dot: _dot,
    exp.Var: _var,
    exp.Kwarg: _kwarg,
    exp.BitString: _bit_string("B"),
    exp.HexString: _bit_string("X"),
    exp.Parameter: lambda _gen, node: f"${node.this.this}",
    exp.Anonymous: _call,
    exp.Grouping: _grouping,
    exp.Ordered: _ordered,
    exp.Null: lambda _gen, _node: "NULL",
    exp.Star: lambda _gen, _node: "*",
    exp.Boolean: lambda _gen, node: "true" if node.this else "false",
}


class TreePrinter:
    """Prints trees by a table from node class to function."""

    def sql(self, node: Any) -> str:
        """Return the text of a node; "" for None. Raises SqlError 0A000 for an unknown class."""
        if node is None:
            return ""
        if isinstance(node, str):
            return node
        printer = _PRINTERS.get(type(node))
        if printer is None:
            raise unsupported(f"{node.key} is not supported")
        return printer(self, node)


_PRINTERS: dict[type, Printer] = {**EXPRESSION_PRINTERS, **PRINTERS}
