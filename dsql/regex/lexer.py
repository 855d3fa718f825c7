"""The characters of a regular expression's text: white space, comments and escapes."""

from __future__ import annotations

import re

from dsql.errors import SqlError
from dsql.regex import characters
from dsql.regex.characters import Ranges

_SINGLE = {
    "a": "\x07", "b": "\b", "B": "\\", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
    "v": "\v",
}  # fmt: skip
_CLASSES: dict[str, Ranges] = {
    "d": characters.DIGIT, "s": characters.SPACE, "w": characters.WORD,
    "D": characters.complement(characters.DIGIT),
    "S": characters.complement(characters.SPACE),
    "W": characters.complement(characters.WORD),
}  # fmt: skip
_HEX = {
    "x": re.compile("[0-9a-fA-F]{1,255}"),
    "u": re.compile("[0-9a-fA-F]{4}"),
    "U": re.compile("[0-9a-fA-F]{8}"),
}
_DECIMAL = re.compile("[0-9]+")
_OCTAL = re.compile("[0-7]{1,3}")
_WHITE = re.compile(r"(?:[ \t\n\r\v\f]|#[^\n]*)*")
_COMMENT = re.compile(r"\(\?#[^)]*\)?")
_CODE_MAX = 0x7FFFFFFE


def invalid(message: str) -> SqlError:
    """Return the error of a pattern that cannot be read."""
    return SqlError("2201B", f"invalid regular expression: {message}")


class Source:
    """A pattern and the place up to which it is read."""

    def __init__(self, text: str, at: int, expanded: bool) -> None:
        self.text = text
        self.at = at
        self.expanded = expanded

    def at_end(self) -> bool:
        """Return whether everything is read."""
        return self.at >= len(self.text)

    def sees(self, word: str) -> bool:
        """Return whether a word comes next."""
        return self.text.startswith(word, self.at)

    def behind(self) -> str:
        """Return the character that was taken last."""
        return self.text[self.at - 1]

    def peek(self, ahead: int = 0) -> str:
        """Return a character that comes, "" behind the end."""
        return self.text[self.at + ahead : self.at + ahead + 1]

    def next(self) -> str:
        """Take a character; there must be one."""
        self.at += 1
        return self.text[self.at - 1]

    def take(self, word: str) -> bool:
        """Take a word if it comes next."""
        if not self.sees(word):
            return False
        self.at += len(word)
        return True

    def match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        """Take what a lexical rule matches next."""
        found = expression.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def skip_comments(self, advanced: bool) -> None:
        """Skip (?#...) of an ARE, and white space and # comments under the option x."""
        while self.expanded or self.peek() == "(":
            before = self.at
            if self.expanded:
                self.match(_WHITE)
            if advanced:
                self.match(_COMMENT)
            if self.at == before:
                return

    def ends_basic(self) -> bool:
        """Return whether a $ that comes next stands where it anchors in a BRE."""
        if self.expanded:
            white = _WHITE.match(self.text, self.at + 1)
            after = white.end() if white else self.at + 1
        else:
            after = self.at + 1
        return after == len(self.text) or self.text.startswith("\\)", after)

    def reference(self, groups: int) -> int:
        r"""Take the number of a back reference behind its backslash; 0 if none comes."""
        if self.peek() not in tuple("123456789"):
            return 0
        found = _DECIMAL.match(self.text, self.at)
        assert found is not None
        number = int(found[0][:10])
        # One digit is always a reference; \10 is octal unless there are that many groups.
        if len(found[0]) > 1 and number > groups:
            return 0
        self.at = found.end()
        return number

    def escape(self) -> str | Ranges:
        """Take an ARE's escape behind its backslash: a character, or a class of them."""
        if self.at_end():
            raise invalid("invalid escape \\ sequence")
        char = self.next()
        if not (char.isascii() and char.isalnum()):
            return char
        if char in _SINGLE:
            return _SINGLE[char]
        if char in _CLASSES:
            return _CLASSES[char]
        if char == "c" and not self.at_end():
            return chr(ord(self.next()) & 31)
        if char in _HEX:
            return self._hexadecimal(_HEX[char])
        if char.isdigit():
            self.at -= 1
            return self._octal()
        raise invalid("invalid escape \\ sequence")

    def escape_in_brackets(self) -> str | Ranges:
        """Take an escape inside of a bracket expression, where nothing can be a reference."""
        if self.reference(0):
            raise invalid("invalid escape \\ sequence")
        return self.escape()

    def _hexadecimal(self, digits: re.Pattern[str]) -> str | Ranges:
        found = self.match(digits)
        code = int(found[0], 16) if found else _CODE_MAX + 1
        if code > _CODE_MAX:
            raise invalid("invalid escape \\ sequence")
        return chr(code) if code <= characters.CODE_POINT_MAX else ()

    def _octal(self) -> str:
        found = self.match(_OCTAL)
        if found is None:
            raise invalid("invalid escape \\ sequence")
        code = int(found[0], 8)
        if code > 0xFF:  # a digit too much
            self.at -= 1
            code >>= 3
        return chr(code)
