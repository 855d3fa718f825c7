"""A compiled regular expression and its matches, as the functions of SQL use them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from dsql.errors import SqlError
from dsql.regex.dissection import Dissector, Flag, Spans, cut
from dsql.regex.lexer import invalid
from dsql.regex.parser import Options, parse
from dsql.regex.subject import Subject

_CACHED = 64  # each may come to hold some megabytes of RE2's automata
_CACHED_LENGTH_MAX = 1000


class Match:
    """Where an expression and its groups matched; group 0 is the whole."""

    __slots__ = ("_spans", "_subject")

    def __init__(self, subject: Subject, spans: Spans) -> None:
        self._subject = subject
        self._spans = spans

    def __getitem__(self, group: int) -> str | None:
        first, last = self._spans[group]
        if first < 0:
            return None
        return self._subject.data[first:last].decode("utf-8", "surrogatepass")

    @property
    def count(self) -> int:
        """How many groups the expression has."""
        return len(self._spans) - 1

    def start(self, group: int = 0) -> int:
        """Return the first character's index, -1 if the group took no part."""
        first = self._spans[group][0]
        return first if first < 0 else self._subject.index(first)

    def end(self, group: int = 0) -> int:
        """Return the index behind the last character, -1 if the group took no part."""
        last = self._spans[group][1]
        return last if last < 0 else self._subject.index(last)

    @property
    def width(self) -> int:
        """The length in bytes."""
        first, last = self._spans[0]
        return last - first

    def next_offset(self) -> int:
        """Return where the next search begins: one further if this match is empty."""
        first, last = self._spans[0]
        return self._subject.after(last) if first == last else last


class Regex:
    """An expression with its options. Matching raises SqlError 54001 when it would take too long."""

    def __init__(self, pattern: str, options: Options) -> None:
        try:
            node, self.groups = parse(pattern, options)
            self._part = cut(node)
            self._matcher = self._part.matcher
        except RecursionError:
            raise invalid("regular expression is too complex") from None
        self._shorter = bool(self._part.flags & Flag.SHORTER)
        self._refers = bool(self._part.flags & Flag.REFERS)
        self._ignore_case = options.ignore_case

    def matches(self, text: str) -> bool:
        """Return whether the expression matches anywhere in a text."""
        subject = Subject(text)
        if self._refers:
            return self._find(subject, 0) is not None
        return self._matcher.search(subject, 0) is not None

    def search(self, text: str) -> Match | None:
        """Return the first match."""
        return self._find(Subject(text), 0)

    def finditer(self, text: str, start: int = 0) -> Iterator[Match]:
        """Yield the matches from a character's index on; after an empty one, one character further."""
        subject = Subject(text)
        offset = subject.offset(start)
        while offset <= len(subject.data):
            found = self._find(subject, offset)
            if found is None:
                return
            yield found
            offset = found.next_offset()

    def _find(self, subject: Subject, start: int) -> Match | None:
        subject.restart()
        while start <= len(subject.data):
            span = self._matcher.search(subject, start)
            if span is None:
                return None
            begin, end = span
            if self._shorter:
                end = self._part.shortest(subject, begin, begin, end)
            spans = self._dissect(subject, begin, end)
            if spans is not None:
                return Match(subject, spans)
            start = subject.after(begin)
        return None

    def _dissect(self, subject: Subject, begin: int, end: int) -> Spans | None:
        """Return the spans of the groups; None if back references hold for no end from `begin`."""
        if not self.groups:
            return [(begin, end)]
        last = len(subject.data)
        while end >= 0:
            dissector = Dissector(subject, self.groups, self._same)
            try:
                found = dissector.dissect(self._part, begin, end)
            except RecursionError:
                raise invalid("regular expression is too complex") from None
            if found:
                dissector.spans[0] = (begin, end)
                return dissector.spans
            assert self._refers, "a match has its groups somewhere"
            if self._shorter:
                end = -1 if end == last else self._part.shortest(subject, begin, end + 1, last)
            else:
                end = -1 if end == begin else self._matcher.longest(subject, begin, end - 1)
        return None

    def _same(self, left: bytes, right: bytes) -> bool:
        """Return whether a back reference's text is what the group matched."""
        return left == right or (self._ignore_case and left.lower() == right.lower())


def parse_letters(letters: str, function: str) -> tuple[Options, bool]:
    """Return the options of a function's flags, and whether g is among them. Raises SqlError 22023.

    `function` is the name of one that does not know g, "" for others.
    """
    options, every = Options(), False
    for letter in letters:
        if letter == "g":
            every = True
        elif not options.take("b" if letter == "e" else letter):  # PostgreSQL reads e as b here
            raise SqlError("22023", f'invalid regular expression option: "{letter}"')
    if every and function:
        raise SqlError("22023", f'{function}() does not support the "global" option')
    return options, every


def _compile(pattern: str, letters: str) -> Regex:
    return Regex(pattern, parse_letters(letters, "")[0])


_compiled = lru_cache(_CACHED)(_compile)


def compile_regex(pattern: str, letters: str = "") -> Regex:
    """Return the compiled form of an expression. Raises SqlError 2201B or 22023."""
    return (_compiled if len(pattern) <= _CACHED_LENGTH_MAX else _compile)(pattern, letters)
