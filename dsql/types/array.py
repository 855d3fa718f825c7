"""Arrays: nested lists in memory, `{1,NULL,"a b"}` as text, PostgreSQL's array_send layout in binary.

Lower bounds are 1 in memory, but for what was a vector. A text like `[0:1]={1,2}` is read and its bounds
are dropped, and so is a stored array's.
All inner lists of one level have the same length, so the shape is that of the first elements.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsql.errors import SqlError
from dsql.types.binary_input import wrong_length
from dsql.types.size import check_elements, check_size, join
from dsql.types.type import Decode, Encode

DIMENSIONS_MAX = 6
_SPACES = " \t\n\r\v\f"  # fewer than what str.strip() takes
_QUOTED = re.compile(rb'[\s{}",\\]')
_PIECE = 16 * 1024
_PLAIN = re.compile(rb'\{(?!,)[^\s{}"\\]++(?<!,)\}')  # one dimension, and nothing quoted
_BOUNDS = re.compile(r"\s*((?:\[[+-]?\d+(?::[+-]?\d+)?\])+)\s*=", re.ASCII)
_TOKEN = re.compile(
    r'\s*(?:([{},])|"((?:[^"\\]|\\.)*)"|((?:[^"\\{},]|\\.)+))\s*', re.DOTALL | re.ASCII
)


class FromZero(list[Any]):
    """A one-dimensional array whose subscripts begin at 0, as those of int2vector and oidvector do."""


def lower_bound(value: Sequence[Any]) -> int:
    """Return the first subscript of an array, or of a vector (a tuple)."""
    return 0 if isinstance(value, tuple | FromZero) else 1


def like(value: Sequence[Any], items: list[Any]) -> list[Any]:
    """Return an array whose subscripts begin as those of `value` do."""
    return items if lower_bound(value) else FromZero(items)


def dimensions(value: Sequence[Any]) -> list[int]:
    """Return the length of each dimension: [] for an empty array, [0] for an empty vector."""
    if isinstance(value, tuple):
        return [len(value)]
    lengths: list[int] = []
    level: Any = value
    while isinstance(level, list):
        if not level:
            return []
        lengths.append(len(level))
        level = level[0]
    return lengths


def too_many_dimensions(count: int) -> SqlError:
    """Return the error (54000) of an array that would have so many."""
    message = f"number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"
    return SqlError("54000", message)


def map_leaves(function: Callable[[Any], Any], value: list[Any]) -> list[Any]:
    """Return a copy of the nested list with `function` applied to every element but None."""
    mapped = [
        None
        if item is None
        else map_leaves(function, item)
        if isinstance(item, list)
        else function(item)
        for item in value
    ]
    return like(value, mapped)


def leaves(value: Sequence[Any]) -> Sequence[Any]:
    """Return all elements in storage order."""
    if value and isinstance(value[0], list):
        return [leaf for item in value for leaf in leaves(item)]
    return value


def text_encoder(encode: Encode) -> Encode:
    """Return the encoder of an array's text format, given that of its elements."""

    def element(item: Any) -> bytes:
        if item is None:
            return b"NULL"
        if isinstance(item, list):
            return items(item)
        text = encode(item)
        if not text or _QUOTED.search(text) or text.upper() == b"NULL":
            check_size(2 * len(text), text)
            return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        return text

    def items(value: list[Any]) -> bytes:
        return b"{" + join(b",", map(element, value)) + b"}"

    def encode_array(value: list[Any]) -> bytes:
        text = items(value)
        return b"[0:%d]=%b" % (len(value) - 1, text) if value and not lower_bound(value) else text

    return encode_array


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
        bounds = _BOUNDS.match(text)
        self.position = bounds.end() if bounds else 0

    def parse(self) -> list[Any]:
        start = self.text[self.position :].lstrip(_SPACES)
        if not start.startswith("{"):
            raise self.malformed(
                'Array value must start with "{" or dimension information.'
                if not self.position
                else "Array contents must start with an opening brace."
            )
        self.token()
        value = self.items(1)
        if self.position != len(self.text):
            raise self.malformed("Junk after closing right brace.")
        return [] if not leaves(value) else value

    def items(self, depth: int) -> list[Any]:
        """Read up to the closing brace; the opening one is behind us."""
        if depth > DIMENSIONS_MAX:
            raise too_many_dimensions(depth)
        values: list[Any] = []
        while True:
            symbol, value = self.token()
            if symbol == "}" and not values:
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


def binary_encoder(element_oid: int, encode: Encode) -> Encode:
    """Return the encoder of an array's binary format (array_send)."""

    def encode_array(value: list[Any]) -> bytes:
        lengths = dimensions(value)
        elements = leaves(value)
        has_null = any(item is None for item in elements)
        head = struct.pack("!iiI", len(lengths), has_null, element_oid)
        lower = lower_bound(value)
        head += b"".join(struct.pack("!ii", length, lower) for length in lengths)
        return head + join(b"", map(element, elements if lengths else []))

    def element(item: Any) -> bytes:
        if item is None:
            return b"\xff\xff\xff\xff"
        data = encode(item)
        return struct.pack("!i", len(data)) + data

    return encode_array


def binary_decoder(element_oid: int, decode: Decode) -> Decode:
    """Return the decoder of an array's binary format. It raises SqlError 08P01, 22P03 or 42804."""

    def decode_array(data: bytes) -> list[Any]:
        try:
            return _decode_binary(data, element_oid, decode)
        except struct.error:
            raise wrong_length(data, len(data) + 1) from None

    return decode_array


def _decode_binary(data: bytes, element_oid: int, decode: Decode) -> list[Any]:
    count, flags, sent_oid = struct.unpack_from("!iiI", data)
    if count < 0:
        raise SqlError("22P03", f"invalid number of dimensions: {count}")
    if count > DIMENSIONS_MAX:
        raise too_many_dimensions(count)
    if flags not in (0, 1):
        raise SqlError("22P03", "invalid array flags")
    if sent_oid != element_oid:
        raise SqlError(
            "42804",
            f"binary data has array element type {sent_oid} instead of expected {element_oid}",
        )
    lengths = [struct.unpack_from("!i", data, 12 + 8 * axis)[0] for axis in range(count)]
    total = 1 if lengths else 0
    for length in lengths:
        total *= length
    if not 0 <= total * 4 <= len(data):
        raise SqlError("22P03", "invalid array size in binary data")
    position = 12 + 8 * count
    elements: list[Any] = []
    for _ in range(total):
        (size,) = struct.unpack_from("!i", data, position)
        position += 4
        if size < 0:
            elements.append(None)
        elif position + size > len(data):
            raise SqlError("22P03", "insufficient data left in message")
        else:
            elements.append(decode(data[position : position + size]))
            position += size
    if position != len(data):
        raise wrong_length(data, position)
    return _fold(elements, lengths)


def _fold(elements: list[Any], lengths: list[int]) -> list[Any]:
    """Nest a flat list into the given dimensions."""
    for length in reversed(lengths[1:]):
        elements = [elements[at : at + length] for at in range(0, len(elements), length)]
    return elements


def sort_key(element: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """Return the key by which arrays order: elements first (NULL last), then the shape."""
    key = element or (lambda item: item)

    def array_key(value: Sequence[Any]) -> Any:
        items = [(1, 0) if item is None else (0, key(item)) for item in leaves(value)]
        return items, dimensions(value), lower_bound(value)

    return array_key


def hash_key(element: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """Return the hashable key of arrays; equal arrays have equal keys."""
    key = element or (lambda item: item)

    def array_key(value: Sequence[Any]) -> Any:
        return (
            tuple(None if item is None else key(item) for item in leaves(value)),
            tuple(dimensions(value)),
            lower_bound(value),
        )

    return array_key
