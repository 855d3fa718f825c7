"""Scripts of many statements, parsed in groups.

libpg_query cannot be interrupted, and what it makes of 100,000 statements fills the memory. So a long
script is cut between statements. All of it is parsed before anything runs, as PostgreSQL does, but only its
errors are kept; each group is parsed once more when its turn comes.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from dsql.errors import SqlError
from dsql.sql.gate import ParsedStatement, parse_script

_native: Any = importlib.import_module("postgast.native").lib

_GROUP_BYTES = 50_000  # at least: some 20 ms of libpg_query
# The one place where a semicolon inside a statement is not in parentheses.
_BODY = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)


def read_script(text: str) -> Script:
    """Return the statements of a script in order. Raises what `dsql.sql.gate.parse_script` does."""
    if len(text) <= _GROUP_BYTES or text.count(";") < 2 or _BODY.search(text):
        return parse_script(text)
    groups = _groups(text)
    return GroupedScript(groups) if len(groups) > 1 else parse_script(text)


class GroupedScript:
    """The statements of a script in `groups` of statements, each parsed when it is iterated over."""

    def __init__(self, groups: list[str]) -> None:
        self._groups = groups
        self._length = 0
        long_names: list[str] = []
        for _, statements in self._parsed():
            self._length += len(statements)
            long_names += statements[0].long_names if statements else ()
        self._long_names = tuple(long_names)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[ParsedStatement]:
        first = True
        for offset, statements in self._parsed():
            if first and statements:
                statements[0].long_names = self._long_names
                first = False
            for statement in statements:
                statement.move(offset)
                yield statement

    def _parsed(self) -> Iterator[tuple[int, list[ParsedStatement]]]:
        """Yield the statements of each group, placed as if it were alone, and where it starts."""
        offset = 0
        for group in self._groups:
            try:
                statements = parse_script(group)
            except SqlError as error:
                error.position += offset if error.position else 0
                raise
            yield offset, statements
            offset += len(group)


def _groups(text: str) -> list[str]:
    """Return the parts of a text, whole statements each; none of a text that is not UTF-8."""
    try:
        script = text.encode()
    except UnicodeEncodeError:
        return []
    cuts = [0, *_cuts(script), len(script)]
    return [script[start:end].decode() for start, end in pairwise(cuts)]


def _cuts(script: bytes) -> Iterator[int]:
    """Yield where groups after the first start; nowhere if the text cannot be cut into tokens."""
    result = _native.pg_query_split_with_scanner(script)
    try:
        start = 0
        for index in range(0 if result.error else result.n_stmts):
            at = result.stmts[index].contents.stmt_location
            if at - start >= _GROUP_BYTES:
                yield at
                start = at
    finally:
        _native.pg_query_free_split_result(result)


Script = list[ParsedStatement] | GroupedScript
