"""Values within the texts of others, as records and ranges quote them, by double quotes or backslashes."""

from __future__ import annotations

import re

SPACES = " \t\n\r\v\f"
_BOUND = re.compile(r'(?:[^"\\,)\]]|\\.|"(?:[^"\\]|\\.|"")*")*', re.DOTALL)
_FIELD = re.compile(r'(?:[^"\\,)]|\\.|"(?:[^"\\]|\\.|"")*")*', re.DOTALL)
_PART = re.compile(r'\\(.)|"((?:[^"\\]|\\.|"")*)"|([^"\\]+)', re.DOTALL)
_QUOTED_PART = re.compile(r'\\(.)|"(")|([^"\\]+)', re.DOTALL)


def bound_text(text: str, at: int) -> tuple[str | None, int]:
    """Return the text of a range's bound, None for nothing at all, and where it ends: at , ) or ]."""
    return _read(_BOUND, text, at)


def field_text(text: str, at: int) -> tuple[str | None, int]:
    """Return the text of a record's field, None for nothing at all, and where it ends: at , or )."""
    return _read(_FIELD, text, at)


def skipped(text: str, at: int) -> int:
    """Return the place of the next character that is no space."""
    while at < len(text) and text[at] in SPACES:
        at += 1
    return at


def _read(pattern: re.Pattern[str], text: str, at: int) -> tuple[str | None, int]:
    match = pattern.match(text, at)
    assert match is not None
    return (_unquoted(match.group()) if match.group() else None), match.end()


def _unquoted(raw: str) -> str:
    parts = _PART.findall(raw)
    return "".join(escaped or plain or _inner(quoted) for escaped, quoted, plain in parts)


def _inner(quoted: str) -> str:
    return "".join(a or b or c for a, b, c in _QUOTED_PART.findall(quoted))
