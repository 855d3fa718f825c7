"""The text format of arrays: `{1,NULL,"a b"}`, `[0:1][2:3]={{1,2},{3,4}}`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dsql.errors import SqlError
from dsql.types.array import (
    DIMENSIONS_MAX,
    Shifted,
    check_bounds,
    dimensions,
    leaves,
    shifted,
    too_many_dimensions,
)
from dsql.types.pieces import PIECE, pieces
from dsql.types.size import check_elements, check_size, join
from dsql.types.type import Decode, Encode

_SPACES = " \t\n\r\v\f"  # fewer than what str.strip() takes
_QUOTED = re.compile(rb'[\s{}",\\]')
_PIECE = 16 * 1024
_PLAIN = re.compile(rb'\{(?!,)[^\s{}"\\]++(?<!,)\}')  # one dimension, and nothing quoted
_TOKEN = re.compile(
    r'\s*(?:([{},])|"((?:[^"\\]|\\.)*)"|((?:[^"\\{},]|\\.)+))\s*', re.DOTALL | re.ASCII
)
_NUMBER = re.compile(r"[-+0-9]+")
_LEADING_NUMBER = re.compile(r"[-+]?\d+", re.ASCII)
_DIGITS_MAX = 32  # of a bound: more is out of range however they go on


def _quoted(text: bytes) -> bytes:
    check_size(2 * len(text), text)
    inside = (piece.replace(b"\\", b"\\\\").replace(b'"', b'\\"') for piece in pieces(text))
    return b"".join([b'"', *inside, b'"'])


def text_encoder(encode: Encode) -> Encode:
    """Return the encoder of an array's text format, given that of its elements."""

    def element(item: Any) -> bytes:
        if item is None:
            return b"NULL"
        if isinstance(item, list):
            return items(item)
        text = encode(item)
        if len(text) > PIECE:
            return _quoted(text) if any(map(_QUOTED.search, pieces(text))) else text
        if not text or _QUOTED.search(text) or text.upper() == b"NULL":
            return _quoted(text)
        return text

    def items(value: list[Any]) -> bytes:
        return b"{" + join(b",", map(element, value)) + b"}"

    def encode_array(value: list[Any]) -> bytes:
        text = items(value)
        return _written_bounds(value) + text if isinstance(value, Shifted) and value else text

    return encode_array


def _written_bounds(value: Shifted) -> bytes:
    pairs = zip(value.lower, dimensions(value), strict=True)
    return b"".join(b"[%d:%d]" % (low, low + length - 1) for low, length in pairs) + b"="


def text_decoder(decode: Decode) -> Decode:
    """Return the decoder of an array's text format. It raises SqlError 22P02 if malformed."""

    def decode_array(data: bytes) -> list[Any]:
        if _PLAIN.fullmatch(data) and b",," not in data:
            check_elements(data.count(b",") + 1)
            items = _split(data[1:-1])
            return [None if item.upper() == b"NULL" else decode(item) for item in items]
        return _ArrayText(data.decode(), decode).parse()

    return decode_array


def _split(data: bytes) -> Iterator[bytes]:
    """Yield what is between commas; no step takes long, or makes many."""
    start = 0
    while (end := data.find(b",", start + _PIECE)) >= 0:
        yield from data[start:end].split(b",")
        start = end + 1
    yield from data[start:].split(b",")


class _ArrayText:
    """A parser of one array literal."""

    def __init__(self, text: str, decode: Decode) -> None:
        self.text = text
        self.decode = decode
        self.depth: int | None = None
        self.position = 0

    def parse(self) -> list[Any]:
        bounds = self.bounds()
        start = self.text[self.position :].lstrip(_SPACES)
        if not start.startswith("{"):
            raise self.malformed(
                'Array contents must start with "{".'
                if bounds
                else 'Array value must start with "{" or dimension information.'
            )
        self.token()
        value = self.items(1)
        if self.position != len(self.text):
            raise self.malformed("Junk after closing right brace.")
        if bounds and dimensions(value) != [length for _, length in bounds]:
            raise self.malformed("Specified array dimensions do not match array contents.")
        return shifted(value, [low for low, _ in bounds]) if leaves(value) else []

    def bounds(self) -> list[tuple[int, int]]:
        """Read what is before "=": the lower bound and length of each dimension."""
        found: list[tuple[int, int]] = []
        while self.skipped() == "[":
            if len(found) == DIMENSIONS_MAX:
                raise too_many_dimensions(len(found) + 1)
            self.position += 1
            lower, upper = (
                1,
                self.number('"[" must introduce explicitly-specified array dimensions.'),
            )
            if self.text[self.position : self.position + 1] == ":":
                self.position += 1
                lower, upper = upper, self.number("Missing array dimension value.")
            if self.text[self.position : self.position + 1] != "]":
                raise self.malformed('Missing "]" after array dimensions.')
            self.position += 1
            if upper < lower:
                raise SqlError("2202E", "upper bound cannot be less than lower bound")
            check_bounds(lower, upper - lower + 1)
            found.append((lower, upper - lower + 1))
        if found:
            if self.text[self.position : self.position + 1] != "=":
                raise self.malformed('Missing "=" after array dimensions.')
            self.position += 1
        return found

    def skipped(self) -> str:
        """Go on to the next character that is no space, and return it."""
        while self.text[self.position : self.position + 1] in tuple(_SPACES):
            self.position += 1
        return self.text[self.position : self.position + 1]

    def number(self, lacking: str) -> int:
        """Read a bound as PostgreSQL does, by atoi."""
        match = _NUMBER.match(self.text, self.position)
        if match is None:
            raise self.malformed(lacking)
        self.position = match.end()
        digits = _LEADING_NUMBER.match(match.group())
        return int(digits.group()[:_DIGITS_MAX]) if digits else 0

    def items(self, depth: int) -> list[Any]:
        """Read up to the closing brace; the opening one is behind us."""
        if depth > DIMENSIONS_MAX:
            raise too_many_dimensions(depth)
        values: list[Any] = []
        while True:
            symbol, value = self.token()
            if symbol == "}" and not values:
                if depth > 1:
                    raise self.malformed('Unexpected "}" character.')
                return values
            if symbol == "{":
                value = self.items(depth + 1)
            elif symbol:
                raise self.malformed(f'Unexpected "{symbol}" character.')
            elif self.depth not in (None, depth):
                raise self.malformed(
                    "Multidimensional arrays must have sub-arrays with matching dimensions."
                )
            else:
                self.depth = depth
            values.append(value)
            symbol, _ = self.token()
            if symbol == "}":
                return self.same_lengths(values)
            if symbol != ",":
                raise self.malformed("Unexpected array element.")

    def token(self) -> tuple[str, Any]:
        """Return (symbol, None) for a brace or comma, ("", element) for an element."""
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise self.malformed("Unexpected end of input.")
        self.position = match.end()
        symbol, quoted, bare = match.groups()
        if symbol:
            return symbol, None
        if quoted is not None:
            return "", self.decode(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL).encode())
        if "\\" not in bare and bare.strip(_SPACES).upper() == "NULL":
            return "", None
        return "", self.decode(
            re.sub(r"\\(.)", r"\1", bare.strip(_SPACES), flags=re.DOTALL).encode()
        )

    def same_lengths(self, values: list[Any]) -> list[Any]:
        if len({len(item) if isinstance(item, list) else -1 for item in values}) > 1:
            raise self.malformed(
                "Multidimensional arrays must have sub-arrays with matching dimensions."
            )
        return values

    def malformed(self, detail: str) -> SqlError:
        return SqlError("22P02", f'malformed array literal: "{self.text}"', detail=detail)
