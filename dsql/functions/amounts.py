"""Functions and operators of money."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from dsql.errors import SqlError
from dsql.functions.arithmetic import check_int8, divide_float8, divide_int, multiply_float8
from dsql.functions.definition import define
from dsql.types.money import check_money
from dsql.types.numeric import EXACT, rescale

_CENTS = Decimal(100)
_SMALL = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen
""".split()
_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
_GROUPS = ("", " thousand ", " million ", " billion ", " trillion ", " quadrillion ")


def _rounded(cents: float) -> int:
    if not math.isfinite(cents):
        raise SqlError("22003", "money out of range")
    return check_money(round(cents))


def _multiplied(left: float, right: float) -> int:
    return _rounded(multiply_float8(float(left), float(right)))


def _divided(cents: int, by: float) -> int:
    return _rounded(divide_float8(float(cents), by))


def _from_numeric(value: Decimal) -> int:
    if not value.is_finite():
        kind = "NaN" if value.is_nan() else "infinity"
        raise SqlError("0A000", f"cannot convert {kind} to bigint")
    if value.adjusted() > 20:
        raise SqlError("22003", "bigint out of range")
    return check_int8(int(rescale(EXACT.multiply(value, _CENTS), 0)))


def _words_of(number: int) -> str:
    """Return a number below 1,000 in words."""
    hundreds, rest = divmod(number, 100)
    if rest < 20:
        below = _SMALL[rest] if rest or not hundreds else ""
    else:
        below = _TENS[rest // 10] + (f" {_SMALL[rest % 10]}" if rest % 10 else "")
    if not hundreds:
        return below
    joint = " and " if 0 < rest < 20 else " "
    return f"{_SMALL[hundreds]} hundred{joint}{below}".rstrip()


def words(cents: int) -> str:
    """Return an amount in words, as on a cheque."""
    dollars, rest = divmod(abs(cents), 100)
    groups, left = [], dollars
    while left:
        left, group = divmod(left, 1_000)
        groups.append(group)
    named = zip(groups, _GROUPS, strict=False)
    text = "".join(_words_of(group) + name for group, name in reversed([*named]) if group)
    unit = "dollar" if dollars == 1 else "dollars"
    coins = f"{_words_of(rest)} {'cent' if rest == 1 else 'cents'}"
    whole = f"{'minus ' if cents < 0 else ''}{text or 'zero'} {unit} and {coins}"
    return whole[0].upper() + whole[1:]


def _integer_product(left: int, right: int) -> int:
    return check_money(left * right)


def _define_all() -> None:
    products: dict[str, Callable[..., int]] = {
        "flt4": _multiplied,
        "flt8": _multiplied,
        "int2": _integer_product,
        "int4": _integer_product,
        "int8": _integer_product,
    }
    for name, product in products.items():
        define(f"cash_mul_{name} {name}_mul_cash", product)
        define(f"cash_div_{name}", _divided if name.startswith("flt") else divide_int)
    define("cash_pl", lambda left, right: check_money(left + right))
    define("cash_mi", lambda left, right: check_money(left - right))
    define("cash_div_cash", lambda left, right: divide_float8(float(left), float(right)))
    define("cash_words", words)
    define("money(int4) money(int8)", lambda value: check_int8(value * 100))
    define("money(numeric)", _from_numeric)
    define("numeric(money)", lambda cents: Decimal(cents).scaleb(-2))


_define_all()
