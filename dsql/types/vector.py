"""int2vector and oidvector: the catalogs' arrays of numbers, whose subscripts begin at 0.

A vector is a tuple, so in an array of vectors it is one element. What a cast makes of it, and so most
functions of arrays get, is what `array.from_zero` makes.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from dsql.errors import SqlError
from dsql.types import array_binary, registry
from dsql.types.integer import integer_decoder
from dsql.types.oids import INT2, INT2VECTOR, OID, OIDVECTOR
from dsql.types.pg_type import define
from dsql.types.type import Decode, Encode

Vector = tuple[int, ...]

VECTORS = frozenset((INT2VECTOR, OIDVECTOR))
_decode_int2 = integer_decoder("smallint", -(2**15), 2**15 - 1)
_decode_oid = integer_decoder("oid", -(2**31), 2**32 - 1)
_NUMBERS = re.compile(rb"\s*(?:[+-]?\d+\s*)*", re.ASCII)


def _decode_int2vector(data: bytes) -> Vector:
    return tuple(map(_decode_int2, data.split()))


def _decode_oidvector(data: bytes) -> Vector:
    """Read numbers up to the first thing that is none, as strtoul does."""
    numbers = _NUMBERS.match(data)
    rest = data[numbers.end() :] if numbers else data
    if rest:
        raise SqlError("22P02", f'invalid input syntax for type oid: "{rest.decode()}"')
    return tuple(number & (2**32 - 1) for number in map(_decode_oid, data.split()))


def _text_encoder(name: str) -> Encode:
    """Return the encoder of a vector, or of an array that was declared to be one."""

    def encode(value: Vector | list[Any]) -> bytes:
        try:
            text = b" ".join([b"%d" % item for item in value])
        except TypeError:
            raise _invalid(name) from None
        if value == []:
            raise _invalid(name)
        return text

    return encode


def _invalid(name: str) -> SqlError:
    return SqlError("42804", f"array is not a valid {name}")


def _binary_encoder(element_oid: int, layout: str) -> Encode:
    pack = struct.Struct(layout).pack

    def encode(value: Vector) -> bytes:
        header = struct.pack("!iiIii", 1, 0, element_oid, len(value), 0)
        items = [pack(item) for item in value]
        return header + b"".join(struct.pack("!i", len(item)) + item for item in items)

    return encode


def _binary_decoder(name: str, element_oid: int) -> Decode:
    """Return the decoder of an array of one dimension without NULLs whose lower bound is 0."""

    def decode(data: bytes) -> Vector:
        numbers = decode_array(data)
        dimensions, lower = data[:4], data[16:20]
        if dimensions != b"\0\0\0\1" or lower != bytes(4) or None in numbers:
            raise SqlError("22P03", f"invalid {name} data")
        return tuple(numbers)

    decode_array = array_binary.binary_decoder(element_oid, registry.get(element_oid).binary_decode)
    return decode


def _length_first(value: Vector) -> tuple[int, Vector]:
    return len(value), value


define(
    "int2vector",
    encode=_text_encoder("int2vector"),
    decode=_decode_int2vector,
    binary_encode=_binary_encoder(INT2, "!h"),
    binary_decode=_binary_decoder("int2vector", INT2),
    store_template="list({0})",
    load_template="tuple({0})",
)
define(
    "oidvector",
    encode=_text_encoder("oidvector"),
    decode=_decode_oidvector,
    binary_encode=_binary_encoder(OID, "!I"),
    binary_decode=_binary_decoder("oidvector", OID),
    store_template="list({0})",
    load_template="tuple({0})",
    sort_key=_length_first,
)
