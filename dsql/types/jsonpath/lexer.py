"""Cuts a jsonpath into tokens, by the rules of PostgreSQL's jsonpath_scan.l.

Of all rules the one that takes most characters wins, of equals the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dsql.errors import SqlError

_OTHER = r'[^?%$.\[\]{}()|&!=<>@#,*:+\-/\\" \t\n\r\f]'
_INTEGER = r"(?:0|[1-9][0-9]*)"
_DECIMAL = rf"(?:{_INTEGER}\.[0-9]*|\.[0-9]+)"
_REAL = rf"(?:(?:{_DECIMAL}|{_INTEGER})[Ee][-+]?[0-9]+)"
_RULES = tuple(
    (kind, re.compile(source, re.DOTALL))
    for kind, source in (
        ("symbol", r"&&|\|\||\*\*|<=|==|<>|!=|>=|[?%$.\[\]{}()|&!=<>@#,*:+\-/]"),
        ("variable", rf"\$({_OTHER}+)"),
        ("quoted variable", r'\$"'),
        ("blank", r"[ \t\n\r\f]+"),
        ("comment", r"/\*"),
        ("number", _REAL),
        ("number", _DECIMAL),
        ("integer", _INTEGER),
        ("invalid numeric literal", rf"(?:{_DECIMAL}|{_INTEGER})[Ee][-+]"),
        ("trailing junk after numeric literal", rf"(?:{_REAL}|{_DECIMAL}|{_INTEGER}){_OTHER}"),
        ("string", r'"'),
        ("name", rf"(?:{_OTHER}|(?=\\))"),
    )
)
_NAME_PART = re.compile(rf"{_OTHER}+")
_QUOTED_PART = re.compile(r'[^\\"]+')
_UNICODE = re.compile(r"(?:\\u(?:[0-9A-Fa-f]{4}|\{[0-9A-Fa-f]{1,6}\}))+")
_CODE = re.compile(r"\\u\{?([0-9A-Fa-f]+)\}?")
_HEX = re.compile(r"\\x([0-9A-Fa-f]{2})")
_BROKEN = re.compile(r"\\u(?:\{[0-9A-Fa-f]{0,6}|[0-9A-Fa-f]{0,3})|\\x[0-9A-Fa-f]?")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
KEYWORDS = frozenset(
    """is to abs lax flag last null size true type with false floor double exists starts strict
    ceiling unknown datetime keyvalue like_regex""".split()
)
_LOWERCASE_KEYWORDS = frozenset(("null", "true", "false"))


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: string, number, integer, variable, name, end, or a keyword or symbol itself.

    `shown` is what an error that is found here names, "" for the end of the input.
    """

    kind: str
    text: str
    shown: str


def syntax_error(message: str, shown: str) -> SqlError:
    """Return the error at a place: `shown` is what stands there, "" at the end."""
    where = f'at or near "{shown}"' if shown else "at end"
    return SqlError("42601", f"{message} {where} of jsonpath input")


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens; the last one is the end. Raises SqlError 42601, 22P02, 22P05."""
    at = 0
    while at < len(text):
        kind, found = _longest(text, at)
        shown, at = found[0], found.end()
        if kind == "comment":
            at = _behind_comment(text, at)
        elif kind in ("string", "quoted variable"):
            value, at = _quoted(text, at)
            yield Token("variable" if shown == '$"' else "string", value, '"')
        elif kind == "name":
            value, at, shown = _name(text, found.start())
            yield Token(_keyword(value) or "name", value, shown)
        elif kind == "symbol":
            yield Token("!=" if shown == "<>" else shown, shown, shown)
        elif kind in ("variable", "number", "integer"):
            yield Token(kind, found[found.re.groups], shown)
        elif kind != "blank":
            raise syntax_error(kind, shown)
    yield Token("end", "", "")


def _longest(text: str, at: int) -> tuple[str, re.Match[str]]:
    matches = ((kind, rule.match(text, at)) for kind, rule in _RULES)
    found = [(kind, match) for kind, match in matches if match]
    best = max(found, key=lambda pair: _length(text, *pair), default=None)
    assert best is not None, text[at]
    return best


def _length(text: str, kind: str, match: re.Match[str]) -> int:
    """Return how many characters a rule takes; a name goes on to the next other character."""
    part = _NAME_PART.match(text, match.start()) if kind == "name" else None
    return (part or match).end() - match.start()


def _behind_comment(text: str, at: int) -> int:
    end = text.find("*/", at)
    if end < 0:
        raise syntax_error("unexpected end of comment", "")
    return end + 2


def _keyword(name: str) -> str:
    lowered = name.lower()
    if lowered not in KEYWORDS or (lowered in _LOWERCASE_KEYWORDS and name != lowered):
        return ""
    return lowered


def _name(text: str, at: int) -> tuple[str, int, str]:
    """Return (a name, where it ends, what an error there names)."""
    parts: list[str] = []
    while at < len(text):
        if text[at] == "\\":
            part, at = _escape(text, at)
        elif found := _NAME_PART.match(text, at):
            part, at = found[0], found.end()
        else:
            break
        parts.append(part)
    # PostgreSQL has read on to what ends the name: blanks, which it took, or something it put back.
    blanks = re.compile(r"[ \t\n\r\f]*").match(text, at)
    return "".join(parts), at, blanks[0] if blanks else ""


def _quoted(text: str, at: int) -> tuple[str, int]:
    """Return what stands before the next quote, and where it ends."""
    parts: list[str] = []
    while at < len(text):
        if text[at] == '"':
            return "".join(parts), at + 1
        if text[at] == "\\":
            part, at = _escape(text, at)
        else:
            found = _QUOTED_PART.match(text, at)
            assert found is not None
            part, at = found[0], found.end()
        parts.append(part)
    raise syntax_error("unexpected end of quoted string", "")


def _escape(text: str, at: int) -> tuple[str, int]:
    """Return what an escape sequence means, and where it ends."""
    if found := _UNICODE.match(text, at):
        return _characters(found[0]), found.end()
    if found := _HEX.match(text, at):
        return _character(int(found[1], 16)), found.end()
    if found := _BROKEN.match(text, at):
        what = "unicode" if found[0].startswith("\\u") else "hex character"
        raise syntax_error(f"invalid {what} sequence", found[0])
    if at + 1 == len(text):
        raise syntax_error("unexpected end after backslash", "\\")
    return _ESCAPES.get(text[at + 1], text[at + 1]), at + 2


def _characters(escapes: str) -> str:
    r"""Return what a run of \u escapes means; surrogates must come in pairs."""
    out, high = [], 0
    for found in _CODE.finditer(escapes):
        code = int(found[1], 16)
        if 0xD800 <= code < 0xDC00:
            if high:
                raise _unpaired("Unicode high surrogate must not follow a high surrogate.")
            high = code
            continue
        is_low = 0xDC00 <= code < 0xE000
        if is_low != bool(high):
            raise _unpaired("Unicode low surrogate must follow a high surrogate.")
        if is_low:
            code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)
        high = 0
        out.append(_character(code))
    if high:
        raise _unpaired("Unicode low surrogate must follow a high surrogate.")
    return "".join(out)


def _unpaired(detail: str) -> SqlError:
    return SqlError("22P02", "invalid input syntax for type jsonpath", detail=detail)


def _character(code: int) -> str:
    if not code:
        raise SqlError(
            "22P05",
            "unsupported Unicode escape sequence",
            detail="\\u0000 cannot be converted to text.",
        )
    if code > 0x10FFFF:
        raise SqlError("42601", "invalid Unicode code point")
    return chr(code)
