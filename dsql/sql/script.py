"""Scripts of many statements, parsed in groups.

libpg_query cannot be interrupted, and what it makes of 100,000 statements fills the memory. So a long
script is cut between statements. All of it is checked before anything runs, as PostgreSQL does; a group is
parsed once more when the first of its statements needs a tree. Those that differ from others in their
constants only never do (`dsql.sql.normalize`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dsql.errors import SqlError
from dsql.sql import large_texts
from dsql.sql.gate import ParsedStatement, check_script, parse_script

_GROUP_BYTES = 50_000  # at least: some 20 ms of libpg_query
# The one place where a semicolon inside a statement is not in parentheses.
_BODY = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)

_Span = tuple[int, int]  # of bytes


def read_script(text: str) -> Script:
    """Return the statements of a script in order. Raises what `dsql.sql.gate.parse_script` does."""
    if len(text) <= _GROUP_BYTES or text.count(";") < 2 or "\0" in text or _BODY.search(text):
        return parse_script(text)
    groups = _groups(text)
    return GroupedScript(groups) if len(groups) > 1 else parse_script(text)


class Unparsed:
    """A statement of a script that has not been parsed yet. `text` may begin with a comment."""

    __slots__ = ("_group", "_number", "long_names", "text")

    def __init__(self, text: str, group: Group, number: int, long_names: tuple[str, ...]) -> None:
        self.text = text
        self.long_names = long_names
        self._group = group
        self._number = number

    def parsed(self) -> ParsedStatement:
        """Return the statement with its tree."""
        return self._group.parsed()[self._number]


class Group:
    """Whole statements of a script, one behind the other. `offset` characters come before it."""

    __slots__ = ("_parsed", "_script", "_spans", "offset", "text")

    def __init__(self, script: bytes, spans: list[_Span], offset: int) -> None:
        self.text = script.decode()
        self.offset = offset
        self._script = script
        self._spans = spans
        self._parsed: list[ParsedStatement] = []

    def __len__(self) -> int:
        return len(self._spans)

    def check(self) -> tuple[str, ...]:
        """Return the identifiers that are too long. Raises the error of the first bad statement."""
        try:
            return check_script(self.text)
        except SqlError as error:
            error.position += self.offset if error.position else 0
            raise

    def texts(self) -> Iterator[str]:
        """Yield each statement's text."""
        for start, end in self._spans:
            yield self._script[start:end].decode().strip()

    def parsed(self) -> list[ParsedStatement]:
        """Return its statements, placed as they are in the whole script."""
        if not self._parsed:
            self._parsed = parse_script(self.text)
            assert len(self._parsed) == len(self), "the scanner sees the parser's statements"
            for statement in self._parsed:
                statement.move(self.offset)
        return self._parsed

    def forget(self) -> None:
        """Let go of the trees."""
        self._parsed = []


class GroupedScript:
    """The statements of a script in `groups`, each parsed at most once per iteration."""

    def __init__(self, groups: list[Group]) -> None:
        self._groups = groups
        self._long_names = tuple(name for group in groups for name in group.check())

    def __len__(self) -> int:
        return sum(map(len, self._groups))

    def __iter__(self) -> Iterator[Unparsed]:
        long_names = self._long_names
        for group in self._groups:
            for number, text in enumerate(group.texts()):
                yield Unparsed(text, group, number, long_names)
                long_names = ()
            group.forget()


def _groups(text: str) -> list[Group]:
    """Return the parts of a text, whole statements each; none of a text that is not UTF-8."""
    try:
        script = text.encode()
    except UnicodeEncodeError:
        return []
    groups: list[Group] = []
    spans: list[_Span] = []
    begin = offset = 0
    for start, end in _spans(script):
        if start - begin >= _GROUP_BYTES:
            groups.append(Group(script[begin:start], spans, offset))
            offset += len(groups[-1].text)
            begin, spans = start, []
        spans.append((start - begin, end - begin))
    return [*groups, Group(script[begin:], spans, offset)]


def _spans(script: bytes) -> Iterator[_Span]:
    """Yield where statements start and end; none if the text cannot be cut into tokens."""
    answer = large_texts.split(script)
    result = answer.struct
    for index in range(0 if result.error else result.n_stmts):
        statement = result.stmts[index].contents
        start = statement.stmt_location
        yield start, start + statement.stmt_len


Script = list[ParsedStatement] | GroupedScript
