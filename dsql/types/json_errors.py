"""What is wrong with a JSON text, in PostgreSQL's words.

The decoder tells only that a text is malformed. It is then read once more by the rules of PostgreSQL's
`jsonapi.c`, whose tokens are larger than JSON's: `1x` is one invalid token, not a number and a letter.
"""

from __future__ import annotations

import re

from dsql.errors import SqlError

_SPACE = re.compile(r"[ \t\n\r]*")
_ALPHANUMERIC = "[0-9A-Za-z_\x80-\U0010ffff]"
_WORD = re.compile(f"{_ALPHANUMERIC}*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER_LIKE = re.compile(rf"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?{_ALPHANUMERIC}*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_HEX_DIGITS = re.compile("[0-9a-fA-F]{0,4}")
_ESCAPED = frozenset('"\\/bfnrt')
_EXCERPT_BYTES = 50

_END, _STRING, _SCALAR = "end", "string", "scalar"

# By what was expected where a token stands that PostgreSQL's parser does not take.
_EXPECTED = {
    "end": "end of input",
    "value": "JSON value",
    "string": "string",
    "label": '":"',
    "first element": "JSON value",
    "next element": '"," or "]"',
    "first field": 'string or "}"',
    "next field": '"," or "}"',
}


def json_error(text: str, *, unescaped: bool) -> SqlError:
    """Return the error of a malformed text; `unescaped`: its strings' escapes are read, as jsonb's are."""
    return _fault(text, unescaped=unescaped) or SqlError("22P02", _INVALID)


def _fault(text: str, *, unescaped: bool) -> SqlError | None:
    reader = _Reader(text, unescaped)
    try:
        reader.read()
    except _MalformedError as malformed:
        return SqlError(
            malformed.sqlstate,
            malformed.message,
            detail=malformed.detail,
            where=reader.excerpt(),
        )
    return None


def check_escapes(text: str) -> None:
    """Raise SqlError 22P02 or 22P05 if a well-formed json text has a string that `text` cannot hold."""
    if "\\u" in text and _DOUBTFUL.search(text) is not None:
        error = _fault(text, unescaped=True)
        if error is not None:
            raise error


_INVALID = "invalid input syntax for type json"
_DOUBTFUL = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class _MalformedError(Exception):
    def __init__(self, detail: str, sqlstate: str = "22P02", message: str = _INVALID) -> None:
        super().__init__(detail)
        self.detail = detail
        self.sqlstate = sqlstate
        self.message = message


class _Reader:
    """Reads a text token by token; the current one is `text[start:end]`."""

    def __init__(self, text: str, unescaped: bool) -> None:
        self._text = text
        self._unescaped = unescaped
        self._start = self._end = 0
        self._kind = ""

    def read(self) -> None:
        """Raise _MalformedError at the first fault."""
        closers: list[str] = []
        expected = "value"
        self._next()
        while expected != "end":
            expected = self._step(expected, closers)
        if self._kind != _END:
            raise self._unexpected("end")

    def _step(self, expected: str, closers: list[str]) -> str:
        """Take a token, and return what has to follow."""
        kind = self._kind
        closer = closers[-1] if closers else ""
        if expected == "label":
            return self._take(":", expected, "value")
        if expected == "string" or (expected == "first field" and kind != "}"):
            return self._take(_STRING, expected, "label")
        if kind == closer and expected != "value":
            closers.pop()
        elif expected in ("next element", "next field"):
            return self._take(",", expected, "value" if closer == "]" else "string")
        elif kind in ("{", "["):
            closers.append("}" if kind == "{" else "]")
            return self._take(kind, expected, "first field" if kind == "{" else "first element")
        elif kind not in (_STRING, _SCALAR):
            raise self._unexpected(expected)
        return self._take(kind, expected, _after(closers))

    def _take(self, kind: str, expected: str, following: str) -> str:
        if self._kind != kind:
            raise self._unexpected(expected)
        self._next()
        return following

    def _unexpected(self, expected: str) -> _MalformedError:
        if self._kind == _END:
            return _MalformedError("The input string ended unexpectedly.")
        token = self._text[self._start : self._end]
        return _MalformedError(f'Expected {_EXPECTED[expected]}, but found "{token}".')

    def _next(self) -> None:
        text = self._text
        start = self._start = _matched(_SPACE, text, self._end)
        self._end = start + 1
        if start == len(text):
            self._end = start
            self._kind = _END
        elif text[start] in "{}[],:":
            self._kind = text[start]
        elif text[start] == '"':
            self._read_string()
            self._kind = _STRING
        elif text[start] == "-" or text[start] in "0123456789":
            self._end = _matched(_NUMBER_LIKE, text, start)
            self._known(_NUMBER.fullmatch(text, start, self._end) is not None)
        else:
            self._end = max(_matched(_WORD, text, start), start + 1)
            self._known(text[start : self._end] in ("true", "false", "null"))

    def _known(self, is_known: bool) -> None:
        if not is_known:
            raise self._invalid_token()
        self._kind = _SCALAR

    def _invalid_token(self) -> _MalformedError:
        return _MalformedError(f'Token "{self._text[self._start : self._end]}" is invalid.')

    def _read_string(self) -> None:
        """Go behind the closing quote."""
        text = self._text
        position = self._start + 1
        high = False  # a high surrogate has come, for which the low one has to follow
        while True:
            position = self._end = _matched(_PLAIN, text, begin := position)
            if high and position > begin:
                self._end = begin + 1
                raise _MalformedError(_LOW_SURROGATE)
            if position == len(text):
                raise self._invalid_token()
            if text[position] == '"':
                self._end = position + 1
                if high:
                    raise _MalformedError(_LOW_SURROGATE)
                return
            if text[position] != "\\":
                value = ord(text[position])
                raise _MalformedError(f"Character with value 0x{value:02x} must be escaped.")
            position, high = self._read_escape(position + 1, high)

    def _read_escape(self, position: int, high: bool) -> tuple[int, bool]:
        """Return the place behind what follows a backslash, and whether it is a high surrogate."""
        text = self._text
        self._end = min(position + 1, len(text))
        if position == len(text):
            raise self._invalid_token()
        if text[position] != "u":
            if high:
                raise _MalformedError(_LOW_SURROGATE)
            if text[position] not in _ESCAPED:
                self._start = position
                raise _MalformedError(f'Escape sequence "\\{text[position]}" is invalid.')
            return position + 1, False
        end = _matched(_HEX_DIGITS, text, position + 1)
        self._end = min(end + 1, len(text))
        if end == len(text) and end < position + 5:
            raise self._invalid_token()
        if end < position + 5:
            raise _MalformedError('"\\u" must be followed by four hexadecimal digits.')
        self._end = end
        return end, self._unescaped and _is_high(int(text[position + 1 : end], 16), high)

    def excerpt(self) -> str:
        """Return the line that the current token ends, as a CONTEXT."""
        before = self._text[: self._start]
        line_start = before.rfind("\n") + 1
        shown = self._text[line_start : self._end]
        cut = 0
        while len(shown[cut:].encode()) >= _EXCERPT_BYTES:
            cut += 1
        if len(shown[:cut].encode()) <= len("..."):
            cut = 0
        rest = self._text[self._end : self._end + 1]
        suffix = "..." if self._kind != _END and rest and rest not in "\r\n" else ""
        prefix = "..." if cut else ""
        return f"JSON data, line {before.count(chr(10)) + 1}: {prefix}{shown[cut:]}{suffix}"


_LOW_SURROGATE = "Unicode low surrogate must follow a high surrogate."
_TWO_HIGH_SURROGATES = "Unicode high surrogate must not follow a high surrogate."


def _is_high(code_point: int, after_high: bool) -> bool:
    """Tell whether an escape is the first half of a pair. Raises _MalformedError where it cannot stand."""
    if 0xD800 <= code_point < 0xDC00:
        if after_high:
            raise _MalformedError(_TWO_HIGH_SURROGATES)
        return True
    if after_high != (0xDC00 <= code_point < 0xE000):
        raise _MalformedError(_LOW_SURROGATE)
    if code_point == 0:
        raise _MalformedError(
            "\\u0000 cannot be converted to text.", "22P05", "unsupported Unicode escape sequence"
        )
    return False


def _after(closers: list[str]) -> str:
    """Return what has to follow a value."""
    if not closers:
        return "end"
    return "next field" if closers[-1] == "}" else "next element"


def _matched(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Return the end of a pattern that matches everywhere."""
    match = pattern.match(text, position)
    assert match is not None
    return match.end()
