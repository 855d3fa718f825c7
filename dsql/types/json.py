"""json and jsonb.

A json value is its text, checked. A jsonb value is PostgreSQL's output text of it: keys sorted by
length and then bytes, duplicates gone (the last one wins), `": "` and `", "` between parts, numbers as
numeric prints them. `load` turns either into Python objects (numbers are int or Decimal), `dump` back.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from dsql.errors import SqlError
from dsql.limits import JSON_CHARACTERS_MAX
from dsql.types.json_errors import check_escapes, json_error
from dsql.types.numeric import EXACT, canonical, format_numeric
from dsql.types.pg_type import define
from dsql.types.size import check_size, join
from dsql.types.string import decode_utf8

_quote = json.encoder.encode_basestring
_INT_DIGITS_MAX = 18
_REMEMBERED_CHARACTERS_MAX = 65_536
_QUOTED_GROWTH = 6  # a control character becomes \u0001


def _parse_int(text: str) -> int | Decimal:
    return int(text) if len(text) <= _INT_DIGITS_MAX else canonical(EXACT.create_decimal(text))


def _parse_float(text: str) -> Decimal:
    exponent = re.search(r"[eE]([+-]?\d+)", text)
    if exponent and abs(int(exponent[1][:9])) > 200_000:
        raise SqlError("22003", "value overflows numeric format")
    return canonical(EXACT.create_decimal(text))


def _refuse_constant(text: str) -> Any:
    raise json.JSONDecodeError(text, text, 0)


_checker = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
_loader = json.JSONDecoder(
    parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant
)


def _decode(decoder: json.JSONDecoder, text: str) -> Any:
    """Run a decoder. Raises SqlError 22P02 with PostgreSQL's message and a detail."""
    if len(text) > JSON_CHARACTERS_MAX:
        raise SqlError("54000", "json text is too large to be taken apart")
    try:
        return decoder.decode(text)
    except json.JSONDecodeError:
        raise json_error(text, unescaped=decoder is _loader) from None
    except RecursionError:
        raise SqlError("54001", "stack depth limit exceeded") from None


def check_json(text: str) -> str:
    """Return a json text unchanged if it is well-formed. Raises SqlError 22P02."""
    _decode(_checker, text)
    return text


def load(text: str) -> Any:
    """Return the Python objects of a json or jsonb text. They are shared: never change them."""
    return _load_again(text) if len(text) <= _REMEMBERED_CHARACTERS_MAX else _decode(_loader, text)


@lru_cache(64)
def _load_again(text: str) -> Any:
    return _decode(_loader, text)


def normalize(text: str) -> str:
    """Return the jsonb form of a JSON text. Raises SqlError 22P02 or 22P05."""
    value = _decode(_loader, text)
    check_escapes(text)
    return dump(value)


def key_order(key: str) -> tuple[int, bytes]:
    """Return the order of keys in a jsonb object: shorter first, then by bytes."""
    data = key.encode()
    return len(data), data


def dump(value: Any) -> str:
    """Return the jsonb text of Python objects (None, bool, int, Decimal, str, list, dict)."""
    if isinstance(value, str):
        return _quote(value)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, dict):
        keys = sorted(value, key=key_order) if len(value) > 1 else value
        return "{" + join(", ", (f"{_quote(key)}: {dump(value[key])}" for key in keys)) + "}"
    if isinstance(value, list):
        return "[" + join(", ", map(dump, value)) + "]"
    return format_numeric(value) if isinstance(value, Decimal) else str(value)


def quote(text: str) -> str:
    """Return the JSON string literal of a text. Raises SqlError 54000."""
    check_size(len(text) * _QUOTED_GROWTH if len(text) > _REMEMBERED_CHARACTERS_MAX else 0, text)
    return _quote(text)


_RANKS = {type(None): 1, str: 2, int: 3, Decimal: 3, bool: 4, list: 5, dict: 6}


def order_key(value: Any) -> Any:
    """Return a key that orders loaded jsonb values as PostgreSQL does.

    object > array > boolean > number > string > null; more members are greater than fewer, except that an
    empty top-level array is below everything.
    """
    rank = _RANKS[type(value)]
    if isinstance(value, list):
        return rank, len(value), [order_key(item) for item in value]
    if isinstance(value, dict):
        keys = sorted(value, key=key_order)
        return rank, len(keys), [(key_order(key), order_key(value[key])) for key in keys]
    return rank, 0 if value is None else value


def jsonb_sort_key(text: str) -> Any:
    """Return the sort key of a jsonb value."""
    value = load(text)
    return (0,) if value == [] and isinstance(value, list) else order_key(value)


def jsonb_hash_key(text: str) -> Any:
    """Return the hash key of a jsonb value: 1.0 and 1 are equal, and 1 and true are not."""
    return _frozen(load(text)) if "." in text else text


def _frozen(value: Any) -> str:
    """Return the jsonb text with trailing zeros of numbers removed."""
    if isinstance(value, Decimal):
        return format_numeric(canonical(value.normalize(EXACT)))
    if isinstance(value, dict):
        keys = sorted(value, key=key_order)
        return "{" + join(", ", (f"{_quote(key)}: {_frozen(value[key])}" for key in keys)) + "}"
    if isinstance(value, list):
        return "[" + join(", ", map(_frozen, value)) + "]"
    return dump(value)


def _decode_jsonb_binary(data: bytes) -> str:
    if not data:
        raise SqlError("08P01", "insufficient data left in message")
    if data[:1] != b"\x01":
        raise SqlError("XX000", f"unsupported jsonb version number {data[0]}")
    return normalize(decode_utf8(data[1:]))


define(
    "json",
    encode=str.encode,
    decode=lambda data: check_json(decode_utf8(data)),
    binary_encode=str.encode,
    binary_decode=lambda data: check_json(decode_utf8(data)),
    text_template="{0}.encode()",
)
define(
    "jsonb",
    encode=str.encode,
    decode=lambda data: normalize(decode_utf8(data)),
    binary_encode=lambda value: b"\x01" + value.encode(),
    binary_decode=_decode_jsonb_binary,
    text_template="{0}.encode()",
    sort_key=jsonb_sort_key,
    hash_key=jsonb_hash_key,
)
