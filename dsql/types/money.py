"""money. A value is an int of cents; texts are those of lc_monetary C: -$1,234.56."""

from __future__ import annotations

import re
import struct

from dsql.errors import SqlError
from dsql.types.integer import fixed_decoder
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8

_BOUND = 1 << 63
_DIGITS_MAX = 19
_SPACES = r"[ \t\n\v\f\r]*"
_FORM = re.compile(
    rf"{_SPACES}\$?{_SPACES}(?P<sign>[-(+]|){_SPACES}\$?{_SPACES}"
    r"(?P<whole>[0-9,]*)(?:\.(?P<cents>(?:,*[0-9]){0,2}),*(?P<rest>[0-9]*))?"
    r"(?P<end>[ \t\n\v\f\r)+$-]*)",
    re.ASCII,
)


def check_money(cents: int) -> int:
    """Return an amount. Raises SqlError 22003 if it has more than 64 bits."""
    if -_BOUND <= cents < _BOUND:
        return cents
    raise SqlError("22003", "money out of range")


def _decode(data: bytes) -> int:
    """Read an amount as cash_in does: commas anywhere, a sign or a parenthesis on either side."""
    text = decode_utf8(data)
    found = _FORM.fullmatch(text)
    if not found:
        raise SqlError("22P02", f'invalid input syntax for type money: "{text}"')
    whole = found["whole"].replace(",", "")
    cents = (found["cents"] or "").replace(",", "").ljust(2, "0")
    digits = (whole + cents).lstrip("0")
    if len(digits) > _DIGITS_MAX:
        raise _out_of_range(text)
    amount = int(digits or "0") + ((found["rest"] or "0")[0] >= "5")
    if found["sign"] in ("-", "(") or "-" in found["end"]:
        amount = -amount
    if not -_BOUND <= amount < _BOUND:
        raise _out_of_range(text)
    return amount


def _out_of_range(text: str) -> SqlError:
    return SqlError("22003", f'value "{text}" is out of range for type money')


def money_text(cents: int) -> str:
    """Return an amount's text."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole:,}.{rest:02}"


define(
    "money",
    encode=lambda value: money_text(value).encode(),
    decode=_decode,
    binary_encode=struct.Struct("!q").pack,
    binary_decode=fixed_decoder("!q"),
)
