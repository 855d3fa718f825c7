"""float4 and float8: shortest text that reads back exactly, as PostgreSQL 12 and later print."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable

from dsql.errors import SqlError
from dsql.types.binary_input import wrong_length
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8
from dsql.types.type import FormatSettings

_FLOAT4 = struct.Struct("!f")
_FLOAT8 = struct.Struct("!d")
_SYNTAX = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SPECIAL = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}
_FIXED_DIGITS_FLOAT4, _FIXED_DIGITS_FLOAT8 = 6, 15  # from this exponent on: scientific notation


def round_float4(value: float) -> float:
    """Return the nearest single-precision number. Raises SqlError 22003 on overflow."""
    try:
        return float(_FLOAT4.unpack(_FLOAT4.pack(value))[0])
    except OverflowError:
        raise SqlError("22003", "value out of range: overflow") from None


def format_float8(value: float) -> bytes:
    """Return PostgreSQL's shortest exact text of a double."""
    text = repr(value)
    if text.endswith(".0"):
        if len(text) <= 16:
            return text[:-2].encode()
        return _layout(text[:-2], _FIXED_DIGITS_FLOAT8)
    if "e" not in text and text[0] not in "in-" and len(text) <= 15:
        return text.encode()
    return _special(value) or _layout(text, _FIXED_DIGITS_FLOAT8)


def format_float4(value: float) -> bytes:
    """Return PostgreSQL's shortest exact text of a single-precision number."""
    special = _special(value)
    if special:
        return special
    # Denormals have fewer digits than six.
    for digits in range(1 if abs(value) < 1.2e-38 else 6, 9):
        text = f"{value:.{digits}g}"
        if _FLOAT4.unpack(_FLOAT4.pack(float(text)))[0] == value:
            break
    else:
        text = f"{value:.9g}"
    return _layout(text, _FIXED_DIGITS_FLOAT4)


def _special(value: float) -> bytes:
    if math.isfinite(value):
        return b""
    return b"NaN" if math.isnan(value) else b"Infinity" if value > 0 else b"-Infinity"


def _layout(text: str, fixed_digits: int) -> bytes:
    """Lay out a decimal text in fixed or scientific notation by its exponent, as ryu's printer does."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, power = text.removeprefix("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return (sign + "0").encode()
    exponent = len(digits) - len(fraction) - 1 + int(power or 0)
    digits = digits.rstrip("0")
    if not -4 <= exponent < fixed_digits:
        point = "." if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{point}{digits[1:]}e{exponent:+03d}".encode()
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}".encode()
    head, tail = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{head}{'.' if tail else ''}{tail}".encode()


def _rounded(precision: int) -> Callable[[float], bytes]:
    """Return the encoder under extra_float_digits <= 0: C's %.*g."""
    return lambda value: _special(value) or f"{value:.{precision}g}".encode()


def decode_float8(data: bytes, sql_name: str = "double precision") -> float:
    """Read a double. Raises SqlError 22P02 or 22003."""
    text = decode_utf8(data)
    word = text.strip(" \t\n\r\v\f")
    if _SYNTAX.fullmatch(word):
        value = float(word)
        if math.isinf(value) or (value == 0 and re.search("[1-9]", word.lower().split("e")[0])):
            raise SqlError("22003", f'"{word}" is out of range for type {sql_name}')
        return value
    bare = word.lower().lstrip("+-") if len(word) - len(word.lstrip("+-")) <= 1 else ""
    if bare not in _SPECIAL:
        raise SqlError("22P02", f'invalid input syntax for type {sql_name}: "{text}"')
    return -_SPECIAL[bare] if word.startswith("-") else _SPECIAL[bare]


def decode_float4(data: bytes) -> float:
    """Read a single-precision number. Raises SqlError 22P02 or 22003."""
    value = decode_float8(data, "real")
    try:
        rounded = float(_FLOAT4.unpack(_FLOAT4.pack(value))[0])
    except OverflowError:
        rounded = math.inf
    if (math.isinf(rounded) and not math.isinf(value)) or (rounded == 0 and value != 0):
        raise SqlError("22003", f'"{decode_utf8(data).strip()}" is out of range for type real')
    return rounded


def nan_last(value: float) -> tuple[bool, float]:
    """Return the sort and hash key of floats: NaN equals itself and is above everything."""
    return (True, 0.0) if value != value else (False, value)


def _binary_decoder(layout: struct.Struct) -> Callable[[bytes], float]:
    def decode(data: bytes) -> float:
        try:
            return float(layout.unpack(data)[0])
        except struct.error:
            raise wrong_length(data, layout.size) from None

    return decode


def _text_encoder(
    shortest: Callable[[float], bytes], digits: int
) -> Callable[[FormatSettings], Callable[[float], bytes]]:
    def make(settings: FormatSettings) -> Callable[[float], bytes]:
        extra = settings.extra_float_digits
        return shortest if extra > 0 else _rounded(max(digits + extra, 1))

    return make


define(
    "float4",
    text_encoder=_text_encoder(format_float4, 6),
    decode=decode_float4,
    binary_encode=_FLOAT4.pack,
    binary_decode=_binary_decoder(_FLOAT4),
    sort_key=nan_last,
    hash_key=nan_last,
)
define(
    "float8",
    text_encoder=_text_encoder(format_float8, 15),
    decode=decode_float8,
    binary_encode=_FLOAT8.pack,
    binary_decode=_binary_decoder(_FLOAT8),
    sort_key=nan_last,
    hash_key=nan_last,
)
