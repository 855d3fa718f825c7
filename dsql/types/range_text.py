"""The text formats of ranges and multiranges: "[1,10)", "{[1,3),[7,)}"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dsql.errors import SqlError
from dsql.types.quoted_text import bound_text, skipped
from dsql.types.range import (
    EMPTY,
    IS_EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Bounds,
    Multirange,
    Range,
)
from dsql.types.size import join
from dsql.types.string import decode_utf8
from dsql.types.type import Decode, Encode

_QUOTED = re.compile(rb'[\s"\\()\[\],]')
# A range within a multirange up to its first closing bracket outside quotes.
_MEMBER = re.compile(r'[\[(](?:[^"\\)\]]|\\.|"(?:[^"\\]|\\.|"")*")*[)\]]', re.DOTALL)


def range_encoder(encode: Encode) -> Encode:
    """Return the encoder of a range's text, given that of its bounds."""

    def bound(value: Any) -> bytes:
        if value is None:
            return b""
        text = encode(value)
        if not text or _QUOTED.search(text):
            return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'""') + b'"'
        return text

    def encode_range(value: Range) -> bytes:
        lower, upper, flags = value
        if flags & IS_EMPTY:
            return b"empty"
        start = b"[" if flags & LOWER_INCLUSIVE else b"("
        end = b"]" if flags & UPPER_INCLUSIVE else b")"
        return join(b"", (start, bound(lower), b",", bound(upper), end))

    return encode_range


def range_decoder(decode: Decode, bounds: Bounds) -> Decode:
    """Return the decoder of a range's text. It raises SqlError 22P02, 22000 and what `decode` does."""

    def value(text: str) -> Any:
        return decode(text.encode())

    def decode_range(data: bytes) -> Range:
        lower, upper, flags = _parse(decode_utf8(data))
        if flags & IS_EMPTY:
            return EMPTY
        low = None if lower is None else value(lower)
        return bounds.make(low, None if upper is None else value(upper), flags)

    return decode_range


def _parse(text: str) -> tuple[str | None, str | None, int]:
    """Return the texts of the bounds, None for an infinite one, and the flags."""
    at = skipped(text, 0)
    if text[at : at + 5].lower() == "empty":
        if skipped(text, at + 5) < len(text):
            raise _malformed("range", text, 'Junk after "empty" key word.')
        return EMPTY
    if text[at : at + 1] not in ("[", "("):
        raise _malformed("range", text, "Missing left parenthesis or bracket.")
    flags = LOWER_INCLUSIVE if text[at] == "[" else 0
    lower, at = _bound(text, at + 1)
    if text[at] != ",":
        raise _malformed("range", text, "Missing comma after lower bound.")
    upper, at = _bound(text, at + 1)
    if text[at] == ",":
        raise _malformed("range", text, "Too many commas.")
    if skipped(text, at + 1) < len(text):
        raise _malformed("range", text, "Junk after right parenthesis or bracket.")
    flags |= UPPER_INCLUSIVE if text[at] == "]" else 0
    flags |= LOWER_INFINITE if lower is None else 0
    return lower, upper, flags | (UPPER_INFINITE if upper is None else 0)


def _bound(text: str, at: int) -> tuple[str | None, int]:
    """Return a bound's text, None for nothing at all, and where it ends."""
    found, end = bound_text(text, at)
    if text[end : end + 1] not in tuple(",)]"):
        raise _malformed("range", text, "Unexpected end of input.")
    return found, end


def _malformed(kind: str, text: str, detail: str) -> SqlError:
    return SqlError("22P02", f'malformed {kind} literal: "{text}"', detail=detail)


def multirange_encoder(encode: Encode) -> Encode:
    """Return the encoder of a multirange's text, given that of its ranges."""
    return lambda value: b"{" + join(b",", map(encode, value)) + b"}"


def multirange_decoder(decode: Decode, bounds: Bounds) -> Decode:
    """Return the decoder of a multirange's text, given that of its ranges. It raises SqlError 22P02."""

    def decode_multirange(data: bytes) -> Multirange:
        members = _members(decode_utf8(data))
        return bounds.joined([decode(member.encode()) for member in members])

    return decode_multirange


def _members(text: str) -> Iterator[str]:
    """Yield the texts of the ranges, without the empty ones."""
    at = skipped(text, 0)
    if text[at : at + 1] != "{":
        raise _malformed("multirange", text, "Missing left brace.")
    at = skipped(text, at + 1)
    is_first = True
    while not (is_first and text[at : at + 1] == "}"):
        is_first = False
        if text[at : at + 5].lower() == "empty":
            at += 5
        else:
            member = _member(text, at)
            yield member
            at += len(member)
        at = skipped(text, at)
        separator = _character(text, at)
        if separator == "}":
            break
        if separator != ",":
            raise _malformed("multirange", text, "Expected comma or end of multirange.")
        at = skipped(text, at + 1)
    if skipped(text, at + 1) < len(text):
        raise _malformed("multirange", text, "Junk after closing right brace.")


def _member(text: str, at: int) -> str:
    if _character(text, at) not in "[(":
        raise _malformed("multirange", text, "Expected range start.")
    match = _MEMBER.match(text, at)
    if match is None:
        raise _malformed("multirange", text, "Unexpected end of input.")
    return match.group()


def _character(text: str, at: int) -> str:
    if at >= len(text):
        raise _malformed("multirange", text, "Unexpected end of input.")
    return text[at]
