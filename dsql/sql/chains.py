"""Left-deep chains in a text (1 + 1 + 1 ..., joins, UNIONs), found before the parser recurses over them.

libpg_query recurses on the C stack over them and dies at about 25,000 links in 8 MiB of stack; right-deep
ones are bounded by the parser itself. AND and OR make lists, not chains, and so do commas and the branches
of CASE: each of their items begins anew. Joins and set operations go on across them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable
from typing import Any

grammar: Any = importlib.import_module("postgast.pg_query_pb2")

LINKS_MAX = 8_000
_TOKENS_MAX = 3 * LINKS_MAX  # operands count as well, hence the factor
_LINK = re.compile(
    r"[-+*/<>=~!@#%^&|`?.:\[]+|\b(?:union|intersect|except|join|is|at|collate|like|ilike|similar|"
    r"between|in|not|isnull|notnull)\b",
    re.IGNORECASE,
)
_PIECE_CHARACTERS = 256 * 1024
_LONGEST_LINK = len("intersect")
_CONSTANTS = frozenset((grammar.ICONST, grammar.SCONST))
_SEPARATORS = frozenset((grammar.AND, grammar.OR, grammar.WHEN, grammar.THEN, grammar.ELSE))
_OF_QUERIES = frozenset((grammar.UNION, grammar.INTERSECT, grammar.EXCEPT, grammar.JOIN))


def has_long_chain(text: str, scan: Callable[[str], Iterable[Any]]) -> bool:
    """Return whether a text may have a chain of more than some LINKS_MAX links. `scan` gives its tokens."""
    if len(text) <= LINKS_MAX or not _has_many_links(text):
        return False
    levels = [_Level()]  # open brackets, and CASE
    total = 0
    for token in scan(text):
        character = text[token.start : token.end] if token.end - token.start == 1 else ""
        level = levels[-1]
        if character in ("(", "[") or token.token == grammar.CASE:
            levels.append(_Level())
        elif (character in (")", "]") or token.token == grammar.END_P) and len(levels) > 1:
            total -= level.links + level.queries
            levels.pop()
        elif character == ";":
            total -= level.links + level.queries
            level.links = level.queries = 0
        elif character == "," or token.token in _SEPARATORS:
            total -= level.links
            level.links = 0
        elif token.token in _OF_QUERIES:
            level.queries += 3
            total += 3
        elif token.token not in _CONSTANTS:
            level.links += 1
            total += 1
        if total + len(levels) > _TOKENS_MAX:
            return True
    return False


def _has_many_links(text: str) -> bool:
    # A word that a piece ends in is no link less: it is looked at with the next one.
    links = start = 0
    while start < len(text):
        piece = text[start : start + _PIECE_CHARACTERS]
        links += len(_LINK.findall(piece))
        if links > LINKS_MAX:
            return True
        start += (
            max(len(piece) - _LONGEST_LINK, 1) if len(piece) == _PIECE_CHARACTERS else len(piece)
        )
    return False


class _Level:
    """What was counted inside one pair of brackets."""

    __slots__ = ("links", "queries")

    def __init__(self) -> None:
        self.links = 0
        self.queries = 0
