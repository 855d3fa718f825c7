"""Writes a jsonpath as PostgreSQL's jsonpath_out does.

In one place better: it writes `exists (($.a + 1).type())` without the inner parentheses and would read
something else from that.
"""

from __future__ import annotations

import json
from decimal import Decimal

from dsql.errors import SqlError
from dsql.types.jsonpath.nodes import (
    LAST_LEVEL,
    PRIORITIES,
    AnyElement,
    AnyKey,
    Binary,
    Current,
    Datetime,
    Descent,
    Elements,
    Exists,
    Filter,
    IsUnknown,
    JsonPath,
    Key,
    Last,
    LikeRegex,
    Literal,
    Method,
    Not,
    Path,
    Root,
    Step,
    Unary,
    Variable,
)
from dsql.types.numeric import format_numeric

_quote = json.encoder.encode_basestring
_UNARY, _OTHERS = 5, 6  # priorities


def print_path(value: JsonPath) -> str:
    """Return the text of a jsonpath. Raises SqlError 54001."""
    try:
        return ("" if value.lax else "strict ") + _path(value.path, nested=True)
    except RecursionError:
        raise SqlError("54001", "stack depth limit exceeded") from None


def _path(path: Path, *, nested: bool) -> str:
    """Return the text of a path; `nested`: an operator needs parentheses."""
    head = _head(path[0], nested=nested, followed=len(path) > 1)
    return head + "".join(map(_accessor, path[1:]))


def _head(step: Step, *, nested: bool, followed: bool) -> str:
    match step:
        case Literal(Decimal() as number):
            text = format_numeric(number)
            return f"({text})" if followed else text
        case Literal(value):
            return _quote(value) if isinstance(value, str) else json.dumps(value)
        case Variable(name):
            return "$" + _quote(name)
        case Root():
            return "$"
        case Current():
            return "@"
        case Last():
            return "last"
    text = _operation(step)
    delimited = isinstance(step, Not | IsUnknown | Exists)
    return f"({text})" if followed or (nested and not delimited) else text


def _operation(step: Step) -> str:
    own = _priority(step)

    def operand(path: Path) -> str:
        return _path(path, nested=_priority(path[0]) <= own)

    match step:
        case Binary(operator, left, right):
            return f"{operand(left)} {operator} {operand(right)}"
        case Unary(operator, inner):
            return operator + operand(inner)
        case LikeRegex(subject, pattern, flags):
            text = f"{operand(subject)} like_regex {_quote(pattern)}"
            return f'{text} flag "{flags}"' if flags else text
        case Not(predicate):
            return f"!({_path(predicate, nested=False)})"
        case IsUnknown(predicate):
            return f"({_path(predicate, nested=False)}) is unknown"
        case Exists(path):
            return f"exists ({_path(path, nested=False)})"
    raise AssertionError(step)


def _priority(step: Step) -> int:
    if isinstance(step, Binary):
        return PRIORITIES[step.operator]
    return _UNARY if isinstance(step, Unary) else _OTHERS


def _accessor(step: Step) -> str:
    match step:
        case Key(name):
            return "." + _quote(name)
        case AnyKey():
            return ".*"
        case AnyElement():
            return "[*]"
        case Elements(ranges):
            return "[" + ",".join(_range(first, last) for first, last in ranges) + "]"
        case Descent(first, last):
            return ".**" + _levels(first, last)
        case Filter(predicate):
            return f"?({_path(predicate, nested=False)})"
        case Method(name):
            return f".{name}()"
        case Datetime(template):
            return f".datetime({'' if template is None else _quote(template)})"
    raise AssertionError(step)


def _range(first: Path, last: Path | None) -> str:
    text = _path(first, nested=False)
    return text if last is None else f"{text} to {_path(last, nested=False)}"


def _levels(first: int, last: int) -> str:
    if (first, last) == (0, LAST_LEVEL):
        return ""
    shown = ["last" if level == LAST_LEVEL else str(level) for level in (first, last)]
    return "{" + (shown[0] if first == last else " to ".join(shown)) + "}"
