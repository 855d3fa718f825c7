"""Left-deep chains in a text (1 + 1 + 1 ..., joins, UNIONs), found before the parser recurses over them.

libpg_query recurses on the C stack over them and dies at about 25,000 links in 8 MiB of stack; right-deep
ones are bounded by the parser itself. AND and OR make lists, not chains, and so do commas and the branches
of CASE: each of their items begins anew. Joins and set operations go on across them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
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
# Where the scanner is needed to tell strings and comments from the rest: escapes, dollar quotes, comments.
_INTRICATE = re.compile(r"\\|--|/\*|\$(?!\d)")
_TOKEN = re.compile(
    r"'[^']*'|\"[^\"]*\"|[\w$\x80-\U0010ffff]+|::|[*/<>=~!@#%^&|`?]+|[^\s]", re.ASCII
)
_CONSTANTS = frozenset((grammar.ICONST, grammar.SCONST))
_COMMENTS = frozenset((grammar.C_COMMENT, grammar.SQL_COMMENT))
_OPENING = frozenset(("(", "[", "case"))
_CLOSING = frozenset((")", "]", "end"))
_SEPARATORS = frozenset((",", "and", "or", "when", "then", "else"))
_OF_QUERIES = frozenset(("union", "intersect", "except", "join"))
_MARKS = _OPENING | _CLOSING | _SEPARATORS | _OF_QUERIES | {";"}
_CONSTANT = "0"


def has_long_chain(text: str, scan: Callable[[str], Iterable[Any]]) -> bool:
    """Return whether a text may have a chain of more than some LINKS_MAX links. `scan` gives its tokens."""
    if len(text) <= LINKS_MAX or not _has_many_links(text):
        return False
    levels = [_Level()]  # open brackets, and CASE
    total = 0
    for token in _scanned(text, scan) if _INTRICATE.search(text) else _plain(text):
        level = levels[-1]
        if token not in _MARKS:
            if token[0] not in "'0123456789":
                level.links += 1
                total += 1
        elif token in _OPENING:
            levels.append(_Level())
        elif token in _CLOSING:
            if len(levels) > 1:
                total -= level.links + level.queries
                levels.pop()
        elif token in _SEPARATORS:
            total -= level.links
            level.links = 0
        elif token in _OF_QUERIES:
            level.queries += 3
            total += 3
        else:
            total -= level.links + level.queries
            level.links = level.queries = 0
        if total + len(levels) > _TOKENS_MAX:
            return True
    return False


def _plain(text: str) -> Iterator[str]:
    """Yield the tokens of a text without escapes, dollar quotes and comments, in lower case."""
    return (found.group().lower() for found in _TOKEN.finditer(text))


def _scanned(text: str, scan: Callable[[str], Iterable[Any]]) -> Iterator[str]:
    """Yield the tokens of a text as the scanner sees them, in lower case."""
    script = text.encode()
    for token in scan(text):
        if token.token in _CONSTANTS:
            yield _CONSTANT
        elif token.token not in _COMMENTS:
            yield script[token.start : token.end].decode().lower()


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
