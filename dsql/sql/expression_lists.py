"""Long lists of expressions of a few kinds, taken out of a script before it is parsed.

`a = b + 1 OR a = c * 2 OR a = b + 3 OR ...` of megabytes is two expressions and two columns of numbers. To
parse, bind and plan it term by term costs some 50 microseconds and 4 KB a term. Here the items of such a
list are found in the text and sorted by what they are besides their literals; all but the first and the
last one are replaced with a parameter that no client can have, and blanks, so that every position stays:

    a in (b, b + 1, c * 2, b + 3, 0)   ->   a in (b, ($1000000000)       , 0)
    and the kinds `b + 1`, with 1 and 3 for its literal, and `c * 2`

Taken are the items of IN, ARRAY, COALESCE, GREATEST and LEAST, operands of AND and OR, branches of CASE
and rows of VALUES. What the scan takes for one is whatever stands between two separators of one list; the
parser judges each kind alone (`dsql.sql.gate.parse_kind`). Where a kind cannot be bound once for all its
items, the statement is bound again as it was written: `NotAlikeError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

TEXT_CHARACTERS_MIN = 16 * 1024  # shorter ones are not worth a second look
MARK: Final = 1_000_000_000  # the first of the numbers of made-up parameters
_ITEMS_MIN = 64
_STRETCH_CHARACTERS_MIN = 1_024  # more than what it is replaced with
_ITEMS_PER_KIND_MIN = 4
_KINDS_MAX = 10_000
_FAILURES_MAX = 8  # lists that are looked at in vain
_PIECE_CHARACTERS = 512 * 1024
_LONGEST_INTRICACY = 16

# Where the scan below could not tell strings from the rest: dollar quotes, and comments but for simple
# ones, which are blanked.
_INTRICATE = re.compile(r"--|/\*|\$(?!\d{1,8}\b)")
_COMMENT = re.compile(r"""'[^']*'|"[^"]*"|--[^\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/""")
# Many blanks are a token because no interrupt can cut the search for the next one.
_TOKEN = re.compile(r"""[A-Za-z_\x80-\U0010ffff][\w$]*|'[^']*'|"[^"]*"|[][(),;]|\s{64,65536}""")
_LITERAL = re.compile(
    r"""((?<![\w.$])(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?(?![\w.])|(?:'[^']*')+|"[^"]*")""",
    re.IGNORECASE,
)
_INT4_DIGITS_MAX = 9  # every number of so many digits is an int4, with a minus before it as well
_INT8_DIGITS = range(11, 19)
_LISTS = frozenset(("in", "coalesce", "greatest", "least", "array"))
_CLAUSES = frozenset(
    "select from where group order having limit offset fetch for union intersect except returning set on "
    "using window into values join when then else".split()
)
_STRUCTURE = _CLAUSES | {"and", "or", "between", "case", "end"}
_LENGTHS = {",": 1, "or": 2, "and": 3, "when": 0}


class NotAlikeError(Exception):
    """Items that looked alike are to be bound one by one."""


@dataclass(slots=True)
class Column:
    """The literals of a kind at one place, `offset` characters into its text, as they were written."""

    offset: int
    literals: list[str]


@dataclass(slots=True)
class Kind:
    """Items that are alike: the `text` of the first, at the 1-based character `position`.

    `columns` are its literals that are not the same in all items.
    """

    text: str
    position: int
    columns: list[Column]

    @property
    def is_branch(self) -> bool:
        """Whether it is WHEN ... THEN ..., no expression."""
        return self.text[:4].lower() == "when"


@dataclass(slots=True)
class ExpressionList:
    """The items of a list besides its first and last: `order` has the number of each one's kind.

    `position` is the 1-based character where they begin. In the script `$number` stands for them.
    """

    number: int
    position: int
    kinds: list[Kind]
    order: list[int]

    def move(self, characters: int) -> None:
        """Let the list be one that is so much farther on in the script."""
        self.position += characters
        for kind in self.kinds:
            kind.position += characters


def take_out_expressions(text: str) -> tuple[str, list[ExpressionList]]:
    """Return a script without its long lists of alike expressions, and these in order."""
    if len(text) < TEXT_CHARACTERS_MIN:
        return text, []
    written, text = text, _without_comments(text)
    if _is_intricate(text):
        return written, []
    parts: list[str] = []
    lists: list[ExpressionList] = []
    copied = failures = 0
    for stretch in sorted(_stretches(text), key=lambda found: (found.start, -found.end)):
        if stretch.start < copied or failures == _FAILURES_MAX:
            continue
        found = _expressions(text, stretch, MARK + len(lists))
        if found is None:
            failures += 1
            continue
        lists.append(found)
        mark = (
            f"when (${found.number}) then 0 " if found.kinds[0].is_branch else f"(${found.number})"
        )
        parts += (text[copied : stretch.start], mark.ljust(stretch.end - stretch.start))
        copied = stretch.end
    return ("".join(parts) + text[copied:], lists) if lists else (written, [])


def _without_comments(text: str) -> str:
    """Return a text with blanks for its comments, as far as they are simple."""
    if "--" not in text and "/*" not in text:
        return text
    return _COMMENT.sub(_blanked, text)


def _blanked(found: re.Match[str]) -> str:
    token = found.group()
    return token if token[0] in "'\"" else " " * len(token)


def _is_intricate(text: str) -> bool:
    starts = range(0, len(text), _PIECE_CHARACTERS)
    size = _PIECE_CHARACTERS + _LONGEST_INTRICACY
    return any(_INTRICATE.search(text, start, start + size) for start in starts)


# ---------------------------------------------------------------- where lists are


@dataclass(slots=True)
class _Stretch:
    """Places of separators of one list, each `length` characters long. What is between two is an item."""

    separators: list[int]
    length: int

    @property
    def start(self) -> int:
        return self.separators[0] + self.length

    @property
    def end(self) -> int:
        return self.separators[-1]

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield where each item starts and ends."""
        start = self.start
        for end in self.separators[1:]:
            yield start, end
            start = end + self.length


@dataclass(slots=True)
class _Level:
    """What was seen inside one pair of brackets, or of CASE and END, since its list or clause began."""

    closing: str
    is_list: bool = False
    betweens: int = 0
    separators: dict[str, list[int]] = field(
        default_factory=lambda: {separator: [] for separator in _LENGTHS}
    )

    def ended(self, *words: str) -> Iterator[_Stretch]:
        """Yield the stretches of some separators that are worth it, and begin new ones."""
        for word in words:
            places = self.separators[word]
            if len(places) > _ITEMS_MIN and (word != "," or self.is_list):
                stretch = _Stretch(places, _LENGTHS[word])
                if stretch.end - stretch.start >= _STRETCH_CHARACTERS_MIN:
                    yield stretch
            if places:
                self.separators[word] = []


def _stretches(text: str) -> Iterator[_Stretch]:
    """Yield the stretches of a text; none if its brackets do not match, or a string has a prefix (e'')."""
    levels = [_Level("")]
    found: list[_Stretch] = []
    previous = ""
    for match in _TOKEN.finditer(text):
        token = match.group()
        level = levels[-1]
        if token == ",":
            found += level.ended("and", "or")
            level.separators[","].append(match.start())
        elif token in "([":
            levels.append(_Level(")" if token == "(" else "]", previous in _LISTS))
        elif token in ")]":
            if level.closing != token:
                return
            found += level.ended(*_LENGTHS)
            levels.pop()
        elif token.isspace():
            continue
        elif token == ";":
            found += level.ended(*_LENGTHS)
        elif token[0] == "'":
            before = text[match.start() - 1]
            if before.isalnum() or before in "_&":
                return
        else:
            previous = token.lower()
            if previous in _STRUCTURE and text[match.start() - 1] != ".":
                if previous == "end" and level.closing != "end":
                    return
                found += _after_word(levels, previous, match.start())
            continue
        previous = ""
    if len(levels) == 1:
        found += levels[0].ended(*_LENGTHS)
        yield from found


def _after_word(levels: list[_Level], word: str, place: int) -> Iterator[_Stretch]:
    """Note a word of SQL at a place, and yield the stretches that it ends."""
    level = levels[-1]
    if word == "between":
        level.betweens += 1
    elif word == "and" and level.betweens:
        level.betweens -= 1
    elif word == "and":
        level.separators[word].append(place)
    elif word == "or":
        yield from level.ended("and")
        level.separators[word].append(place)
    elif word == "case":
        levels.append(_Level("end"))
    elif word == "end":
        yield from level.ended(*_LENGTHS)
        levels.pop()
    elif word in ("when", "then", "else") and level.closing == "end":
        yield from level.ended("and", "or")
        if word == "when":
            level.separators[word].append(place)
    else:
        yield from level.ended(*_LENGTHS)
        level.is_list = word == "values"


# ---------------------------------------------------------------- what they are made of


def _expressions(text: str, stretch: _Stretch, number: int) -> ExpressionList | None:
    """Return the list of a stretch, None if its items are of too many kinds."""
    most = min((len(stretch.separators) - 1) // _ITEMS_PER_KIND_MIN, _KINDS_MAX)
    numbers: dict[tuple[str, ...], int] = {}
    firsts: list[tuple[int, list[str]]] = []
    found: list[list[str]] = []  # the literals of each kind, item by item
    order: list[int] = []
    for start, end in stretch.spans():
        item = text[start:end]
        parts = _LITERAL.split(item.strip())
        literals = parts[1::2]
        shape = (*parts[::2], *map(_class_of, literals))
        kind = numbers.setdefault(shape, len(numbers))
        if kind == len(found):
            if kind == most or not item.strip() or "select" in item.lower():
                return None  # a query is planned each time
            firsts.append((start + len(item) - len(item.lstrip()), parts))
            found.append([])
        found[kind] += literals
        order.append(kind)
    kinds = [
        Kind("".join(parts), start + 1, _columns(parts, literals))
        for (start, parts), literals in zip(firsts, found, strict=True)
    ]
    return ExpressionList(number, stretch.start + 1, kinds, order)


def _class_of(literal: str) -> str:
    """Return what literals have in common that can stand for one another."""
    if literal[0] == '"':
        return literal
    if literal[0] == "'":
        return "'"
    if not literal.isdigit():
        return "."
    if len(literal) <= _INT4_DIGITS_MAX:
        return "4"
    return "8" if len(literal.lstrip("0")) in _INT8_DIGITS else literal


def _columns(parts: list[str], found: list[str]) -> list[Column]:
    """Return the columns of a kind; its first item is given as text and literals in turns."""
    columns = []
    offset = 0
    width = len(parts) // 2
    for place in range(width):
        offset += len(parts[2 * place])
        literals = found[place::width]
        if literals.count(literals[0]) < len(literals):
            columns.append(Column(offset, literals))
        offset += len(parts[2 * place + 1])
    return columns
