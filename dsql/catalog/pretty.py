"""Expression text without the parentheses that a reader does not need, as pg_get_expr(..., true) shows it.

Stored text has parentheses around every operation: `((a > 0) AND (b > (1)::numeric))`. Pretty text keeps
those that hold a nested operation apart: `a > 0 AND b > 1::numeric`.
"""

from __future__ import annotations

import re

_TOKENS = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\w[\w$]*(?:\.\w+)*|\(|\)|::|\s+|[^\w\s()'\"]+", re.UNICODE
)
_CALLED = re.compile(r"[\w\"\]]\Z")
_BEFORE_PARENTHESES = {"ANY", "ALL", "FILTER", "OVER", "GROUP"}
_BOOLEAN = {"AND", "OR", "NOT"}
_KEYWORDS = _BOOLEAN | {"WHEN", "THEN", "ELSE", "IS", "FROM", "DISTINCT", "CASE"}


def pretty(text: str) -> str:
    """Return an expression's text with as few parentheses as PostgreSQL shows when asked nicely."""
    tree, _ = _parse(_TOKENS.findall(text), 0)
    return _render(tree, top=True)


_Group = list["str | _Group"]


def _parse(tokens: list[str], at: int) -> tuple[_Group, int]:
    """Return the items up to the closing parenthesis; a nested list is a parenthesised part."""
    items: _Group = []
    while at < len(tokens) and tokens[at] != ")":
        if tokens[at] == "(":
            inner, at = _parse(tokens, at + 1)
            items.append(inner)
        else:
            items.append(tokens[at])
        at += 1
    return items, at


def _render(items: _Group, *, top: bool = False) -> str:
    if top and len(items) == 1 and isinstance(items[0], list) and not _has_query(items[0]):
        return _render(items[0], top=True)
    words = {item for item in items if isinstance(item, str)}
    parts: list[str] = []
    for position, item in enumerate(items):
        if isinstance(item, str):
            parts.append(item)
            continue
        following = items[position + 1] if position + 1 < len(items) else ""
        keep = _has_query(item) or _is_call(parts) or not _may_drop(item, words, following)
        text = _render(item)
        parts.append(f"({text})" if keep else text)
    return "".join(parts)


def _has_query(group: _Group) -> bool:
    """Tell whether a parenthesised part is a query, which begins with a space, or a test of one."""
    return _is_query(group) or any(isinstance(item, list) and _is_query(item) for item in group)


def _is_query(group: _Group) -> bool:
    return isinstance(group[0], str) and group[0].isspace() if group else False


def _is_call(parts: list[str]) -> bool:
    """Tell whether what comes before the parenthesis is a name, such as a function's or ANY."""
    before = "".join(parts)
    if not before or not _CALLED.search(before):
        return len(parts) > 1 and parts[-1].isspace() and parts[-2] in _BEFORE_PARENTHESES
    return parts[-1] not in _KEYWORDS


def _may_drop(group: _Group, outer: set[str], following: str | _Group) -> bool:
    inner = {item for item in group if isinstance(item, str)}
    operators = [item for item in inner if item.isspace()]
    if following == "::":
        return not operators
    if outer & _BOOLEAN:
        nested_or = "OR" in inner and "OR" not in outer
        negated = "NOT" in outer and bool(inner & {"AND", "OR"})
        return not (nested_or or negated or inner & {"ANY", "ALL"})
    return "WHERE" in outer or (bool(outer & {"WHEN"}) and not inner & _BOOLEAN)
