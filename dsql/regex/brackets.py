"""Bracket expressions: [a-z], [^[:digit:]_], [[.hyphen.]]."""

from __future__ import annotations

from dsql.regex import characters
from dsql.regex.characters import Ranges
from dsql.regex.lexer import Source, invalid


class Brackets:
    """Reads bracket expressions of one pattern."""

    def __init__(self, source: Source, advanced: bool, ignore_case: bool, stops: bool) -> None:
        self.source = source
        self.advanced = advanced
        self.ignore_case = ignore_case
        self.newline_stops = stops

    def read(self) -> Ranges:
        """Read up to and with the closing bracket; the opening one is behind us."""
        negative = self.source.take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self.source.take("]"):
            ranges += self._part(first=first)
            first = False
        found = characters.union(ranges)
        if not negative:
            return found
        newline = characters.NEWLINE if self.newline_stops else ()
        return characters.complement(characters.union((*found, *newline)))

    def _part(self, *, first: bool) -> Ranges:
        """Read a character, range, class or collating element."""
        char = self._next()
        if char == "-" and not first and not self.source.sees("]"):
            raise invalid("invalid character range")
        if char == "[":
            if self.source.take(":"):
                return self._character_class()
            if self.source.take("="):
                return self._cased(((code := self._element("="), code),))
            low = self._element(".") if self.source.take(".") else ord(char)
        elif char == "\\" and self.advanced:
            found = self.source.escape_in_brackets()
            if not isinstance(found, str):
                return found
            low = ord(found)
        else:
            low = ord(char)
        return self._cased(((low, self._upper_end(low)),))

    def _next(self) -> str:
        if self.source.at_end():
            raise invalid("brackets [] not balanced")
        return self.source.next()

    def _upper_end(self, low: int) -> int:
        """Read the end of a range if one follows."""
        source = self.source
        if not source.sees("-") or source.peek(1) == "]":
            return low
        source.next()
        char = self._next()
        if char == "[" and source.take("."):
            high = self._element(".")
        elif char == "[" and source.peek() in (":", "="):
            raise invalid("invalid character range")
        elif char == "\\" and self.advanced:
            found = source.escape_in_brackets()
            if found and not isinstance(found, str):
                raise invalid("invalid character range")
            high = ord(found) if isinstance(found, str) else characters.CODE_POINT_MAX
        else:
            high = ord(char)
        if source.at_end():
            raise invalid("brackets [] not balanced")
        if high < low:
            raise invalid("invalid character range")
        return high

    def _cased(self, ranges: Ranges) -> Ranges:
        return characters.both_cases(ranges) if self.ignore_case else ranges

    def _name(self, kind: str) -> str:
        end = self.source.text.find(kind + "]", self.source.at)
        if end < 0:
            raise invalid("brackets [] not balanced")
        name = self.source.text[self.source.at : end]
        self.source.at = end + 2
        return name

    def _character_class(self) -> Ranges:
        name = self._name(":")
        if name not in characters.CLASSES:
            raise invalid("invalid character class")
        if self.ignore_case and name in ("lower", "upper"):
            name = "alpha"
        return characters.CLASSES[name]

    def _element(self, kind: str) -> int:
        name = self._name(kind)
        if len(name) == 1:
            return ord(name)
        if name not in characters.NAMES:
            raise invalid("invalid collating element")
        return characters.NAMES[name]
