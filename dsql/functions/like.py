"""LIKE and ILIKE: time linear in the text for every pattern.

A pattern is cut at its `%` into segments. The first must begin the text and the last must end it; each one
between is taken where it is found first, since no later place could leave more text for the rest. So
nothing backtracks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.templates import export
from dsql.functions.text import lower

Test = Callable[[str], bool]

# Longer patterns are compiled at each call, which costs no more than matching them; the cache stays small.
_CACHED_LENGTH_MAX = 1000
_TOKEN = re.compile(r"\\(.)|(%)|(_)|([^\\%_]+)|\\\Z", re.DOTALL)


class _Segment:
    """What stands between two `%`: literal text, or with `_` an expression of fixed length."""

    __slots__ = ("_compiled", "length", "literal", "only_wildcards")

    def __init__(self, parts: list[tuple[bool, str]]) -> None:
        self.length = sum(len(text) for _, text in parts)
        self.only_wildcards = all(wildcard for wildcard, _ in parts)
        self._compiled = None
        self.literal = "".join(text for _, text in parts)
        if any(wildcard for wildcard, _ in parts):
            source = "".join("." if wildcard else re.escape(text) for wildcard, text in parts)
            self._compiled = re.compile(source, re.DOTALL)

    def find(self, text: str, start: int) -> int:
        """Return where the segment stands first at or after `start`, -1 for nowhere."""
        if self._compiled is None:
            return text.find(self.literal, start)
        found = self._compiled.search(text, start)
        return -1 if found is None else found.start()

    def stands_at(self, text: str, start: int) -> bool:
        if self._compiled is None:
            return text.startswith(self.literal, start)
        return self._compiled.match(text, start) is not None


def _segments(pattern: str) -> tuple[list[_Segment], bool]:
    """Return the segments and whether the pattern ends in an unfinished escape."""
    segments: list[list[tuple[bool, str]]] = [[]]
    unfinished = False
    for found in _TOKEN.finditer(pattern):
        if found[2]:
            segments.append([])
        elif found[3]:
            segments[-1].append((True, "_"))
        elif found[0] == "\\":
            unfinished = True
        else:
            segments[-1].append((False, found[1] or found[4]))
    if unfinished:
        # PostgreSQL takes the % and _ before the escape in one go.
        while len(segments) > 2 and all(wildcard for wildcard, _ in segments[-2] + segments[-1]):
            segments[-2:] = [segments[-2] + segments[-1]]
    # Of several % in a row one is enough; empty segments stay at the ends only.
    inner = [parts for parts in segments[1:-1] if parts]
    kept = [segments[0], *inner, *segments[-1:]] if len(segments) > 1 else segments
    return [_Segment(parts) for parts in kept], unfinished


def _compile(pattern: str) -> Test:
    """Return the test whether a text is LIKE the pattern."""
    segments, unfinished = _segments(pattern)
    if unfinished:
        return _unfinished(segments)
    first, last, between = segments[0], segments[-1], segments[1:-1]
    if len(segments) == 1:
        return lambda text: len(text) == first.length and first.stands_at(text, 0)
    if len(segments) == 3 and not first.length and not last.length:
        (middle,) = between
        return lambda text: middle.find(text, 0) >= 0

    def matches(text: str) -> bool:
        at = _end_of(first, between, text)
        start = len(text) - last.length
        return 0 <= at <= start and last.stands_at(text, start)

    return matches


def _end_of(first: _Segment, between: list[_Segment], text: str) -> int:
    """Return where these segments end in the text, -1 if they are not all there."""
    if not first.stands_at(text, 0):
        return -1
    at = first.length
    for segment in between:
        found = segment.find(text, at)
        if found < 0:
            return -1
        at = found + segment.length
    return at


def _unfinished(segments: list[_Segment]) -> Test:
    """Match a pattern that ends in an escape: an error only where matching gets that far."""
    first, last = segments[0], segments[-1]

    def matches(text: str) -> bool:
        if len(segments) == 1:
            start = 0 if last.stands_at(text, 0) else -1
        else:
            at = _end_of(first, segments[1:-1], text)
            start = -1 if at < 0 or at == len(text) else last.find(text, at)
        # After a % with _ PostgreSQL looks at the escape whether text is left or not.
        looked_at = len(segments) > 1 and last.length > 0 and last.only_wildcards
        if start >= 0 and (looked_at or start + last.length < len(text)):
            raise SqlError("22025", "LIKE pattern must not end with escape character")
        return False

    return matches


_compiled = lru_cache(1024)(_compile)


@export
def like_matcher(pattern: str) -> Test:
    """Return the test whether a text is LIKE the pattern (escape character backslash)."""
    return (_compiled if len(pattern) <= _CACHED_LENGTH_MAX else _compile)(pattern)


@export
def ilike(text: str, pattern: str) -> bool:
    """Return whether a text is LIKE the pattern when case does not count. Raises SqlError 22025."""
    return like_matcher(lower(pattern))(lower(text))


def like_escape(pattern: str, escape: str) -> str:
    """Return a pattern with another escape character as one with backslash. Raises SqlError 22025."""
    if len(escape) > 1:
        raise SqlError(
            "22025",
            "invalid escape string",
            hint="Escape string must be empty or one character.",
        )
    if escape == "\\":
        return pattern
    out: list[str] = []
    characters = iter(pattern)
    for char in characters:
        if escape and char == escape:
            out.append("\\" + next(characters, ""))
        else:
            out.append("\\\\" if char == "\\" else char)
    return "".join(out)


def _latin(value: bytes) -> str:
    return value.decode("latin-1")


define("textlike namelike like(text,text) like(name,text)", template="like_matcher({1})({0})")
define("textnlike namenlike notlike(text,text) notlike(name,text)",
       template="(not like_matcher({1})({0}))")  # fmt: skip
define("bpcharlike", template="like_matcher({1})({0})")
define("bpcharnlike", template="(not like_matcher({1})({0}))")
define("texticlike nameiclike bpchariclike", template="ilike({0}, {1})")
define("texticnlike nameicnlike bpcharicnlike", template="(not ilike({0}, {1}))")
define("bytealike like(bytea,bytea)", lambda a, b: like_matcher(_latin(b))(_latin(a)))
define("byteanlike notlike(bytea,bytea)", lambda a, b: not like_matcher(_latin(b))(_latin(a)))
define("like_escape(text,text)", like_escape)
define("like_escape(bytea,bytea)",
       lambda a, b: like_escape(_latin(a), _latin(b)).encode("latin-1"))  # fmt: skip
