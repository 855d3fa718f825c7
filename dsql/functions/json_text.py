"""Values of type json taken apart without losing their spelling.

json keeps its text, so the parts handed out are slices of it, whitespace inside included.
"""

from __future__ import annotations

import json
import re
from typing import Any

from dsql.types.json_errors import check_escapes

_decoder = json.JSONDecoder(parse_int=str, parse_float=str)
_space = re.compile(r"[ \t\n\r]*")


def _skip(text: str, at: int) -> int:
    found = _space.match(text, at)
    assert found is not None
    return found.end()


def kind(text: str) -> str:
    """Return json_typeof of a well-formed json text."""
    first = text[_skip(text, 0)]
    return {
        "{": "object",
        "[": "array",
        '"': "string",
        "t": "boolean",
        "f": "boolean",
        "n": "null",
    }.get(first, "number")


def members(text: str) -> list[tuple[str, str]]:
    """Return (key, value text) of an object, in order, duplicates included.

    Raises SqlError 22P05 or 22P02 for escapes that `text` cannot hold, wherever they are.
    """
    check_escapes(text)
    at = _skip(text, _skip(text, 0) + 1)
    found: list[tuple[str, str]] = []
    while text[at] != "}":
        key, at = _decoder.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, at = _decoder.raw_decode(text, start)
        found.append((key, text[start:at]))
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def elements(text: str) -> list[str]:
    """Return the element texts of an array."""
    at = _skip(text, _skip(text, 0) + 1)
    found: list[str] = []
    while text[at] != "]":
        _, end = _decoder.raw_decode(text, at)
        found.append(text[at:end])
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def as_text(text: str | None) -> str | None:
    """Return what ->> makes of a json text: strings without quotes, null as NULL.

    Raises SqlError 22P05 or 22P02 for escapes that `text` cannot hold.
    """
    if text is None:
        return None
    check_escapes(text)
    what = kind(text)
    if what == "null":
        return None
    value: Any = _decoder.decode(text) if what == "string" else text.strip(" \t\n\r")
    return str(value)
