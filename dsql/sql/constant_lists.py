"""Long lists of plain constants, taken out of a script before it is parsed.

IN (1, 2, ...), ARRAY[...] and VALUES (1, 'a'), (2, 'b'), ... of megabytes are data, no program. To parse
and bind them node by node costs microseconds and a kilobyte a constant. Here they are found in the text,
and all but the first item or row is blanked, so that every position stays:

    select 1 where a in (1, 2, 3)     ->  select 1 where a in (1      )     and the list "1, 2, 3"

What the pattern takes for a list may be part of a string, a comment or other syntax. So a list counts only
once the tree builder has met the node it belongs to, its first constant at the list's position; if one is
left over, the statement is parsed again as it was written (`dsql.sql.gate.whole`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import Any

LIST_CHARACTERS_MIN = 4_096  # shorter ones are not worth a second look

# No group has a possessive quantifier: Python 3.11.2 lets what such a group began stand when it fails.
_C = r"(?:-?[0-9]++(?:\.[0-9]++)?(?:e[+-]?[0-9]++)?|'[^']*+'(?:'[^']*+')*|(?:null|true|false)\b)"
_ROW = rf"\(\s*+{_C}(?:\s*+,\s*+{_C})*\s*+\)"
_FLAGS = re.ASCII | re.IGNORECASE
_CONSTANT = re.compile(_C, _FLAGS)
_FIRST_ROW = re.compile(_ROW, _FLAGS)
_START = re.compile(r"\b(?:in\s*+\(|array\s*+\[|(values))\s*+", _FLAGS)
_PIECE_CHARACTERS = 512 * 1024
_START_CHARACTERS = 64
_END = re.compile(r"\s*+[)\]]")
_COMMA = re.compile(r"\s*+,")
_ITEMS = 256  # in one step of a match, which keeps a place for each to go back to


def _further(item: str) -> re.Pattern[str]:
    return re.compile(rf"(?:\s*+,\s*+{item}){{1,{_ITEMS}}}", _FLAGS)


_CONSTANTS = _further(_C)
_ROWS = _further(_ROW)
_INTEGERS = re.compile(r"[-0-9,()\s]++", re.ASCII)
_NO_PARENTHESES = str.maketrans("", "", "()")


class Kind(enum.Enum):
    """What the constants of a column are, NULLs aside."""

    INTEGER = enum.auto()
    NUMBER = enum.auto()
    STRING = enum.auto()
    BOOLEAN = enum.auto()


class ConstantList:
    """Rows of `width` constants; those of IN and ARRAY have one.

    `text` is what was written from the first constant on, `position` that constant's 1-based character.
    """

    __slots__ = ("position", "text", "width")

    def __init__(self, text: str, position: int, width: int) -> None:
        self.text = text
        self.position = position
        self.width = width

    def moved(self, characters: int) -> ConstantList:
        """Return the list as one that is so much farther on in the script."""
        return ConstantList(self.text, self.position + characters, self.width)

    def columns(self) -> list[tuple[Kind, list[Any]]] | None:
        """Return kind and values of each column; None if one has constants of several kinds.

        An INTEGER's values are int, those of a NUMBER or STRING str, of a BOOLEAN bool; NULL is None.
        """
        width = self.width
        if _INTEGERS.fullmatch(self.text):
            items = self.text.translate(_NO_PARENTHESES).split(",")
            try:
                return [(Kind.INTEGER, [*map(int, items[at::width])]) for at in range(width)]
            except ValueError:  # thousands of digits
                return None
        literals = _CONSTANT.findall(self.text)
        columns = [_column(literals[at::width]) for at in range(width)]
        return None if None in columns else columns  # type: ignore[return-value]

    def constants(self) -> Iterator[tuple[str, int]]:
        """Yield every constant as it was written, row by row, with its position."""
        for found in _CONSTANT.finditer(self.text):
            yield found.group(), self.position + found.start()


def take_out(text: str) -> tuple[str, list[ConstantList]]:
    """Return a script without its long lists, and these in order."""
    if len(text) < LIST_CHARACTERS_MIN:
        return text, []
    parts: list[str] = []
    lists: list[ConstantList] = []
    copied = at = 0
    while found := _next_start(text, at):
        start = at = found.end()
        in_rows = found.group(1) is not None
        first = (_FIRST_ROW if in_rows else _CONSTANT).match(text, start)
        if first is None:
            continue
        end = at = _last(_ROWS if in_rows else _CONSTANTS, text, first.end())
        if end - start < LIST_CHARACTERS_MIN or end == first.end():
            continue
        if _COMMA.match(text, end) if in_rows else not _END.match(text, end):
            continue
        width = len(_CONSTANT.findall(first.group()))
        if in_rows and not _is_even(text, (start, end), width):
            continue
        start += _offset(first.group())
        lists.append(ConstantList(text[start:end], start + 1, width))
        parts += (text[copied : first.end()], " " * (end - first.end()))
        copied = end
    return "".join(parts) + text[copied:], lists


def _next_start(text: str, at: int) -> re.Match[str] | None:
    """Return the next place where a list may begin; each step looks at a piece of the text.

    One with many spaces across the end of a piece is left to the parser.
    """
    while at < len(text):
        if found := _START.search(text, at, at + _PIECE_CHARACTERS):
            return found
        at += _PIECE_CHARACTERS - _START_CHARACTERS
    return None


def _last(items: re.Pattern[str], text: str, at: int) -> int:
    """Return where the last of the further items ends that begin at a place."""
    while found := items.match(text, at):
        at = found.end()
    return at


def _offset(item: str) -> int:
    """Return where in an item or row its first constant is."""
    found = _CONSTANT.search(item)
    assert found is not None
    return found.start()


def _is_even(text: str, span: tuple[int, int], width: int) -> bool:
    """Return True if every row of a span has as many constants as the first."""
    row = rf"\(\s*+{_C}(?:\s*+,\s*+{_C}){{{width - 1}}}\s*+\)"
    first = re.compile(row, _FLAGS).match(text, span[0])
    return first is not None and _last(_further(row), text, first.end()) == span[1]


def _column(literals: list[str]) -> tuple[Kind, list[Any]] | None:
    starts = {literal[0] for literal in literals}
    nulls = bool(starts & {"n", "N"})
    starts -= {"n", "N"}
    if starts <= {"'"}:
        return Kind.STRING, [_string(literal) for literal in literals]
    if starts <= set("-0123456789"):
        try:
            return Kind.INTEGER, [_integer(literal) for literal in literals]
        except ValueError:
            if nulls or not all(map(_is_fraction, literals)):
                return None
            return Kind.NUMBER, literals
    if starts <= set("tTfF"):
        return Kind.BOOLEAN, [_TRUTH[literal[0].lower()] for literal in literals]
    return None


_TRUTH = {"t": True, "f": False, "n": None}


def _string(literal: str) -> str | None:
    return literal[1:-1].replace("''", "'") if literal[0] == "'" else None


def _integer(literal: str) -> int | None:
    return int(literal) if literal[0] not in "nN" else None


def _is_fraction(literal: str) -> bool:
    return "." in literal or "e" in literal or "E" in literal
