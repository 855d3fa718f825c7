"""numeric: Decimal values whose exponent is minus PostgreSQL's display scale.

Every value has an exponent <= 0 (so 1e5 is held as 100000) and zero is never negative, which makes
`-exponent` the dscale. Arithmetic uses EXACT, a context wide enough that sums and products never round.
"""

from __future__ import annotations

import decimal
import re
import struct
from decimal import Decimal

from dsql.errors import SqlError
from dsql.types.binary_input import wrong_length
from dsql.types.pg_type import define
from dsql.types.pieces import in_pieces, lstrip
from dsql.types.string import decode_utf8

DIGITS_BEFORE_POINT_MAX = 131_072
DIGITS_AFTER_POINT_MAX = 16_383

_CHARACTERS_MAX = DIGITS_BEFORE_POINT_MAX + DIGITS_AFTER_POINT_MAX + 32
_DIGITS = re.compile(r"\d+", re.ASCII)

EXACT = decimal.Context(
    prec=300_000,
    rounding=decimal.ROUND_HALF_UP,
    Emin=-999_999,
    Emax=999_999,
    traps=[],
)
NAN = Decimal("NaN")
_SYNTAX = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SPECIAL = re.compile(r"([+-]?)(nan|inf(?:inity)?)", re.IGNORECASE)
_ZERO = Decimal(0)
_SIGNS = {0x0000: 0, 0x4000: 1}
_SPECIAL_CODES = {0xC000: NAN, 0xD000: Decimal("Infinity"), 0xF000: Decimal("-Infinity")}


def overflow() -> SqlError:
    """Return the error of a number that numeric cannot hold."""
    return SqlError("22003", "value overflows numeric format")


def checked(value: Decimal) -> Decimal:
    """Return a result that has its scale already. Raises SqlError 22003 if it is too big."""
    if value.adjusted() >= DIGITS_BEFORE_POINT_MAX:
        raise overflow()
    return value


def canonical(value: Decimal) -> Decimal:
    """Return `value` with an exponent <= 0 and no negative zero. Raises SqlError 22003 if too big."""
    if not value.is_finite():
        return NAN if value.is_nan() else value
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if value and value.adjusted() >= DIGITS_BEFORE_POINT_MAX:
        raise overflow()
    if exponent > 0:
        value = value.quantize(_ZERO, context=EXACT) if value else _ZERO
    elif -exponent > DIGITS_AFTER_POINT_MAX:
        value = rescale(value, DIGITS_AFTER_POINT_MAX)
    return value if value else value.copy_abs()


def scale_of(value: Decimal) -> int:
    """Return the display scale (digits after the point); 0 for NaN and infinities."""
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def rescale(value: Decimal, scale: int) -> Decimal:
    """Round half away from zero to `scale` digits; a negative scale rounds left of the point."""
    if not value.is_finite():
        return value
    if scale >= 0:
        result = value.quantize(Decimal((0, (1,), -scale)), context=EXACT)
    else:
        rounded = value.quantize(Decimal((0, (1,), -scale)), context=EXACT)
        result = rounded.quantize(_ZERO, context=EXACT)
    return result if result else result.copy_abs()


def parse_numeric(text: str) -> Decimal:
    """Read a numeric. Raises SqlError 22P02 or 22003."""
    word = text.strip(" \t\n\r\v\f")
    if len(word) > _CHARACTERS_MAX:
        word = _without_zeros(word)
    if _SYNTAX.fullmatch(word):
        if "e" in word or "E" in word:
            power = int(re.split("[eE]", word)[1][:12])
            if abs(power) > 200_000:
                raise overflow()
        value = EXACT.create_decimal(word)
        if scale_of(value) > DIGITS_AFTER_POINT_MAX:
            raise overflow()
        return canonical(value)
    special = _SPECIAL.fullmatch(word)
    if not special or (special[2].lower() == "nan" and special[1]):
        raise SqlError("22P02", f'invalid input syntax for type numeric: "{text}"')
    return NAN if special[2].lower() == "nan" else Decimal(special[1] + "Infinity")


def _without_zeros(word: str) -> str:
    """Return a long number without zeros before it, or what is none.

    Raises SqlError 22003 for one that is still so long that it must have too many digits.
    """
    sign = word[:1] if word[:1] in ("+", "-") else ""
    digits = lstrip(word[len(sign) :], "0")
    if len(digits) > _CHARACTERS_MAX:
        shape = in_pieces(lambda piece: _DIGITS.sub("0", piece), digits)
        if _SYNTAX.fullmatch(sign + shape):
            raise overflow()
        return "x"
    return f"{sign}0{digits}" if len(digits) < len(word) - len(sign) else word


def format_numeric(value: Decimal) -> str:
    """Return the text format: fixed notation with the value's scale."""
    return format(value, "f") if value else format(value.copy_abs(), "f")


def encode_binary(value: Decimal) -> bytes:
    """Return numeric_send's bytes: base-10000 digits with weight, sign and dscale."""
    if not value.is_finite():
        code = 0xC000 if value.is_nan() else 0xD000 if value > 0 else 0xF000
        return struct.pack("!hhHH", 0, 0, code, 0)
    sign, digits, _ = value.as_tuple()
    scale = scale_of(value)
    text = "".join(map(str, digits)).lstrip("0")
    whole, fraction = text[: max(len(text) - scale, 0)], text[max(len(text) - scale, 0) :]
    fraction = fraction.rjust(scale, "0") if text else ""
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    text = whole + fraction
    groups = [int(text[at : at + 4]) for at in range(0, len(text), 4)]
    first = next((at for at, group in enumerate(groups) if group), len(groups))
    weight = len(whole) // 4 - 1 - first if first < len(groups) else 0
    groups = groups[first:]
    while groups and groups[-1] == 0:
        groups.pop()
    header = struct.pack("!HhHH", len(groups), weight, 0x4000 if sign and groups else 0, scale)
    return header + struct.pack(f"!{len(groups)}h", *groups)


def decode_binary(data: bytes) -> Decimal:
    """Read numeric_send's bytes. Raises SqlError 08P01, 22P03."""
    try:
        count, weight, sign, scale = struct.unpack_from("!HhHH", data)
        groups = struct.unpack_from(f"!{count}h", data, 8)
    except struct.error:
        raise wrong_length(data, len(data) + 1) from None
    if len(data) != 8 + 2 * count:
        raise wrong_length(data, 8 + 2 * count)
    if sign not in _SPECIAL_CODES and sign not in _SIGNS:
        raise SqlError("22P03", 'invalid sign in external "numeric" value')
    if scale > DIGITS_AFTER_POINT_MAX:
        raise SqlError("22P03", 'invalid scale in external "numeric" value')
    if sign in _SPECIAL_CODES:
        return _SPECIAL_CODES[sign]
    if any(not 0 <= group < 10_000 for group in groups):
        raise SqlError("22P03", 'invalid digit in external "numeric" value')
    digits = "".join(f"{group:04d}" for group in groups) or "0"
    value = Decimal((_SIGNS[sign], tuple(map(int, digits)), 4 * (weight + 1 - len(groups))))
    return canonical(rescale(value, scale))


def nan_last(value: Decimal) -> tuple[bool, Decimal]:
    """Return the sort and hash key: NaN equals itself and is above infinity."""
    return (True, _ZERO) if value.is_nan() else (False, value)


define(
    "numeric",
    encode=lambda value: format_numeric(value).encode(),
    decode=lambda data: parse_numeric(decode_utf8(data)),
    binary_encode=encode_binary,
    binary_decode=decode_binary,
    text_template="format_numeric({0}).encode()",
    store_template="str({0})",
    load_template="Decimal({0})",
    sort_key=nan_last,
    hash_key=nan_last,
)
