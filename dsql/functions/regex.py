r"""PostgreSQL's advanced regular expressions (ARE) translated to Python's `re`.

What differs is translated: escapes (\m, \M, \y, \A, \Z), bracket expressions with classes, `$` (never
before a trailing newline), flags and embedded options. One thing cannot be: where several
alternatives match, POSIX takes the longest and Python the first.
"""

from __future__ import annotations

import re
from functools import lru_cache

from dsql.errors import SqlError

_CLASSES = {
    "alpha": "^\\W\\d_", "digit": "0-9", "alnum": "^\\W_", "upper": "A-Z", "lower": "a-z",
    "space": "\\s", "blank": " \\t", "punct": "!-/:-@\\[-`{-~", "xdigit": "0-9A-Fa-f",
    "cntrl": "\\x00-\\x1f\\x7f", "print": "\\x20-\\x7e", "graph": "\\x21-\\x7e", "word": "\\w",
}  # fmt: skip
# Inside a larger bracket a negated class cannot stand; these positive forms cover what re can say.
_INSIDE = _CLASSES | {"alpha": "a-zA-Z\u00aa-\U0010ffff", "alnum": "0-9a-zA-Z\u00aa-\U0010ffff"}
_ESCAPES = {
    "m": r"\b(?=\w)", "M": r"\b(?<=\w)", "y": r"\b", "Y": r"\B", "A": r"\A", "Z": r"\Z",
    "d": "[0-9]", "D": "[^0-9]", "w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S",
    "a": r"\x07", "b": r"\x08", "B": r"\\", "e": r"\x1b", "f": r"\f", "n": r"\n", "r": r"\r",
    "t": r"\t", "v": r"\v", "0": r"\x00",
}  # fmt: skip
_MESSAGES = (
    ("unterminated character set", "brackets [] not balanced"),
    ("missing ), unterminated", "parentheses () not balanced"),
    ("unbalanced parenthesis", "parentheses () not balanced"),
    ("nothing to repeat", "quantifier operand invalid"),
    ("multiple repeat", "quantifier operand invalid"),
    ("min repeat greater", "invalid repetition count(s)"),
    ("bad character range", "invalid character range"),
    ("invalid group reference", "invalid backreference number"),
    ("bad escape", "invalid escape \\ sequence"),
)


def _invalid(message: str) -> SqlError:
    return SqlError("2201B", f"invalid regular expression: {message}")


class Flags:
    """Parsed option letters of regexp_* functions."""

    def __init__(self, letters: str = "", *, allow_global: bool = False) -> None:
        self.every = False
        self.ignore_case = self.literal = self.expanded = False
        self.newline_stops_dot = self.newline_anchors = False
        for letter in letters:
            self._take(letter, allow_global)

    def _take(self, letter: str, allow_global: bool) -> None:
        if letter == "g" and allow_global:
            self.every = True
        elif letter in "ic":
            self.ignore_case = letter == "i"
        elif letter in "nmspw":
            self.newline_stops_dot = letter in "nmp"
            self.newline_anchors = letter in "nmw"
        elif letter in "xt":
            self.expanded = letter == "x"
        elif letter == "q":
            self.literal = True
        elif letter not in "eb":
            raise SqlError("22023", f'invalid regular expression option: "{letter}"')


@lru_cache(1024)
def compile_regex(pattern: str, letters: str = "") -> re.Pattern[str]:
    """Return the compiled form of an ARE. Raises SqlError 2201B or 22023."""
    flags = Flags(letters, allow_global=True)
    if pattern.startswith("***="):
        flags.literal, pattern = True, pattern[4:]
    elif pattern.startswith("***:"):
        pattern = pattern[4:]
    embedded = re.match(r"\(\?([a-z]+)\)", pattern)
    if embedded and not flags.literal:
        for letter in embedded[1]:
            flags._take(letter, False)
        pattern = pattern[embedded.end() :]
    source = re.escape(pattern) if flags.literal else _Translator(pattern, flags).translate()
    options = (
        (re.IGNORECASE if flags.ignore_case else 0)
        | (0 if flags.newline_stops_dot else re.DOTALL)
        | (re.MULTILINE if flags.newline_anchors else 0)
        | (re.VERBOSE if flags.expanded else 0)
    )
    try:
        return re.compile(source, options)
    except (re.error, OverflowError) as error:
        message = str(error)
        for theirs, ours in _MESSAGES:
            if theirs in message:
                raise _invalid(ours) from None
        raise _invalid(message) from None


class _Translator:
    """Walks an ARE and writes the Python pattern."""

    def __init__(self, pattern: str, flags: Flags) -> None:
        self.pattern = pattern
        self.flags = flags
        self.at = 0
        self.out: list[str] = []

    def translate(self) -> str:
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            self.at += 1
            if char == "\\":
                self.out.append(self.escape())
            elif char == "[":
                self.out.append(self.bracket())
            elif char == "$":
                self.out.append("$" if self.flags.newline_anchors else r"\Z")
            elif self.is_python_only(char):
                raise _invalid("quantifier operand invalid")
            else:
                self.out.append(char)
        return "".join(self.out)

    def is_python_only(self, char: str) -> bool:
        """Return whether Python would take what follows as possessive or as a named group."""
        if char in "*+?}" and self.pattern[self.at : self.at + 1] == "+":
            return bool(self.out)
        return char == "(" and self.pattern.startswith("?P", self.at)

    def escape(self) -> str:
        if self.at >= len(self.pattern):
            raise _invalid("invalid escape \\ sequence")
        char = self.pattern[self.at]
        self.at += 1
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char in "xuU":
            return self.code_point({"x": 255, "u": 4, "U": 8}[char])
        if char == "c" and self.at < len(self.pattern):
            self.at += 1
            return re.escape(chr(ord(self.pattern[self.at - 1]) & 31))
        if char.isdigit():
            number = re.compile(r"\d*").match(self.pattern, self.at)
            assert number is not None
            self.at = number.end()
            return f"(?:\\{char}{number[0]})"
        if char.isalpha():
            raise _invalid("invalid escape \\ sequence")
        return re.escape(char)

    def code_point(self, width: int) -> str:
        found = re.compile(r"[0-9a-fA-F]+").match(self.pattern, self.at)
        if not found or (width < 255 and len(found[0]) < width):
            raise _invalid("invalid escape \\ sequence")
        digits = found[0] if width == 255 else found[0][:width]
        self.at += len(digits)
        return re.escape(chr(int(digits, 16) & 0x1FFFFF))

    def bracket(self) -> str:
        """Translate a bracket expression; `[` is behind us."""
        rest = self.pattern[self.at :]
        for word, boundary in (("[:<:]]", r"\b(?=\w)"), ("[:>:]]", r"\b(?<=\w)")):
            if rest.startswith(word):
                self.at += len(word)
                return boundary
        parts = ["["]
        if rest.startswith("^"):
            parts.append("^")
            self.at += 1
            if self.flags.newline_stops_dot:
                parts.append("\\n")
        start = self.at
        while True:
            if self.at >= len(self.pattern):
                raise _invalid("brackets [] not balanced")
            char = self.pattern[self.at]
            self.at += 1
            if char == "]" and self.at - 1 > start:
                break
            parts.append(self.bracket_item(char))
        parts.append("]")
        # [[:alpha:]] alone can use the exact, negated form.
        if len(parts) == 3 and parts[1] == _INSIDE["alpha"]:
            return f"[{_CLASSES['alpha']}]"
        if len(parts) == 3 and parts[1] == _INSIDE["alnum"]:
            return f"[{_CLASSES['alnum']}]"
        return "".join(parts)

    def bracket_item(self, char: str) -> str:
        if char == "[" and self.pattern[self.at : self.at + 1] in (":", "=", "."):
            kind = self.pattern[self.at]
            end = self.pattern.find(kind + "]", self.at + 1)
            if end < 0:
                raise _invalid("brackets [] not balanced")
            name = self.pattern[self.at + 1 : end]
            self.at = end + 2
            if kind != ":":
                return re.escape(name)
            if name not in _INSIDE:
                raise _invalid("invalid character class")
            return _INSIDE[name]
        if char == "\\":
            escaped = self.escape()
            return escaped[1:-1] if escaped in ("[0-9]",) else escaped
        return "\\" + char if char in "[&~|" else char


def similar_to_regex(pattern: str, escape: str | None) -> str:
    r"""Return the ARE that PostgreSQL makes of a SIMILAR TO pattern (`escape` None: backslash)."""
    mark = "\\" if escape is None else escape
    if len(mark) > 1:
        raise SqlError(
            "22025",
            "invalid escape string",
            hint="Escape string must be empty or one character.",
        )
    out, separators, at, in_bracket = ["^(?:"], 0, 0, False
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if mark and char == mark and at < len(pattern):
            following = pattern[at]
            at += 1
            if following == '"' and not in_bracket:
                separators += 1
                out.append({1: "){1,1}?(", 2: "){1,1}(?:"}.get(separators, ""))
            else:
                out.append("\\" + following)
        elif in_bracket:
            out.append("\\\\" if char == "\\" else char)
            in_bracket = char != "]"
        elif char == "[":
            out.append(char)
            in_bracket = True
        else:
            out.append(
                {"%": ".*", "_": ".", "(": "(?:"}.get(
                    char, "\\" + char if char in "\\.^$" else char
                )
            )
    if separators > 2:
        raise SqlError(
            "2200C",
            "SQL regular expression may not contain more than two escape-double-quote separators",
        )
    return "".join(out) + ")$"
