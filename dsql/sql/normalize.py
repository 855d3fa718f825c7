"""Literals to parameters, so that statements of the simple protocol that differ only in them share a plan.

`SELECT b FROM t WHERE a = 5 AND c = 'x'` becomes `SELECT b FROM t WHERE a = $1 AND c = $2` with the
constants 5 and 'x'. That must never change what a statement means, hence:

- a number is declared as the type the literal has (int4, numeric), a string stays unknown, so operators and
  functions resolve as before;
- literals stay where they are part of the syntax or mean something else than their value: after a word
  that is not listed below (date '...', ESCAPE, ROWS 5), in ORDER BY and GROUP BY (output column numbers),
  in type modifiers; a text with anything unusual (comments, dollar signs, backslashes, DISTINCT) is left
  alone;
- whatever fails for the normalised text, binding it or reading its constants, is done again with the
  original text, whose result or error is the one that counts.

It is a scan over the text, no parse: it must cost less than what a cache hit saves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsql.types import oids

LITERALS_MAX = 64  # longer lists would fill the plan cache with their lengths
TEXT_CHARACTERS_MAX = 8_192
_INT4_DIGITS_MAX = 9  # every number of so many digits is an int4, with a minus before it as well

_TOKEN = re.compile(
    r"""\s*(?:
        ([^\W\d]\w*)            # 1 word
      | (\d+(?:\.\d+)?)(?![\w.]) # 2 number
      | '((?:[^']|'')*)'        # 3 string
      | "(?:[^"]|"")*"          # quoted identifier
      | (\S)                    # 4 any other character
    )""",
    re.VERBOSE,
)
_UNUSUAL = re.compile(r"[$\\]|--|/\*|\bdistinct\b|;\s*\S", re.IGNORECASE)
_STATEMENTS = frozenset({"select", "insert", "update", "delete"})
_BEFORE_WORDS = frozenset(
    {
        "and",
        "between",
        "else",
        "having",
        "ilike",
        "in",
        "like",
        "limit",
        "not",
        "offset",
        "or",
        "returning",
        "select",
        "then",
        "when",
        "where",
    }
)
_BEFORE_CHARACTERS = frozenset("(,=<>+-*/%|")
_AFTER_BY = frozenset(
    {"limit", "offset", "having", "fetch", "for", "window", "union", "intersect", "except"}
)


@dataclass(frozen=True, slots=True)
class Normalized:
    """A text with parameters, the OIDs to declare for them (0: unknown), and the constants' texts.

    Plans are cached under (text, types).
    """

    text: str
    types: tuple[int, ...]
    constants: tuple[str, ...]


def normalize(text: str) -> Normalized | None:
    """Return the normalised form of a statement, None if it has none."""
    if len(text) > TEXT_CHARACTERS_MAX or _UNUSUAL.search(text) is not None:
        return None
    first = _TOKEN.match(text)
    if first is None or (first.group(1) or "").lower() not in _STATEMENTS:
        return None
    return _Scan(text).run()


class _Scan:
    """One pass over a text; `previous` is the word (lower case) or character before the current token."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts: list[str] = []
        self.types: list[int] = []
        self.constants: list[str] = []
        self.copied = 0
        self.depth = 0
        self.blocked_from = (
            -1
        )  # the parenthesis depth of an ORDER BY or a type modifier, -1 outside

    def run(self) -> Normalized | None:
        previous = before = ""
        for match in _TOKEN.finditer(self.text):
            kind = match.lastindex
            if kind == 1:
                before, previous = previous, match.group(1).lower()
                self._word(previous)
                continue
            if kind == 4:
                character = match.group(4)
                if character.isdigit() or character in "'\"":
                    return None  # a number or a quote that the pattern did not take whole
                self._character(character, before)
                before, previous = previous, character
                continue
            if kind is not None and self._replaceable(previous):
                self._take(match, kind)
            if previous == "'" and kind == 3:
                return None  # 'a' 'b' is one literal
            before, previous = previous, "'" if kind == 3 else "1"
        return self._finish()

    def _word(self, word: str) -> None:
        if word == "by":
            if self.blocked_from < 0:
                self.blocked_from = self.depth
        elif word in _AFTER_BY and self.depth == self.blocked_from:
            self.blocked_from = -1

    def _character(self, character: str, before: str) -> None:
        if character == "(":
            if before in (":", "as") and self.blocked_from < 0:
                self.blocked_from = self.depth + 1  # numeric(10, 2) after :: or AS
            self.depth += 1
        elif character == ")":
            self.depth -= 1
            if self.depth < self.blocked_from:
                self.blocked_from = -1

    def _replaceable(self, previous: str) -> bool:
        if self.blocked_from >= 0:
            return False
        return previous in _BEFORE_CHARACTERS or previous in _BEFORE_WORDS

    def _take(self, match: re.Match[str], kind: int) -> None:
        literal = match.group(kind)
        if kind == 2:
            if "." in literal:
                type_oid = oids.NUMERIC
            elif len(literal) <= _INT4_DIGITS_MAX:
                type_oid = oids.INT4
            else:
                return
            start, end = match.span(2)
        else:
            literal = literal.replace("''", "'")
            type_oid = 0
            start, end = match.start(3) - 1, match.end(3) + 1
        self.types.append(type_oid)
        self.constants.append(literal)
        self.parts.append(self.text[self.copied : start])
        self.parts.append(f"${len(self.types)}")
        self.copied = end

    def _finish(self) -> Normalized | None:
        if not self.types or len(self.types) > LITERALS_MAX:
            return None
        self.parts.append(self.text[self.copied :])
        return Normalized("".join(self.parts), tuple(self.types), tuple(self.constants))
