"""numeric does not depend on the thread's decimal context, and its limits are PostgreSQL's."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal, Inexact, Rounded, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsql.functions.builtin  # noqa: F401
from dsql.errors import SqlError
from dsql.functions import numeric_powers as powers
from dsql.functions import numerics
from dsql.functions.aggregates import _integer_mean
from dsql.functions.math import width_bucket_numeric
from dsql.functions.number_templates import number_to_char, to_number
from dsql.types.numeric import decode_binary, encode_binary, format_numeric, parse_numeric

LONG = Decimal("-12345678901234567890123456789012345.678")


@pytest.fixture(autouse=True)
def _refuse_the_default_context() -> Iterator[None]:
    """Any operation that rounds in the thread's own context fails."""
    with localcontext(Context(prec=1, traps=[Inexact, Rounded])):
        yield


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: numerics.negate(LONG), "12345678901234567890123456789012345.678"),
        (lambda: numerics.abs_of(LONG), "12345678901234567890123456789012345.678"),
        (
            lambda: numerics.numeric_div(LONG, Decimal(3)),
            "-4115226300411522630041152263004115.226",
        ),
        (lambda: numerics.numeric_mod(LONG, Decimal(7)), "-4.678"),
        (lambda: numerics.round_to(LONG, 1), "-12345678901234567890123456789012345.7"),
        (lambda: numerics.trunc(LONG, 1), "-12345678901234567890123456789012345.6"),
        (lambda: numerics.ceil(LONG), "-12345678901234567890123456789012345"),
        (lambda: _integer_mean([2, LONG]), "-6172839450617283945061728394506172.839"),
        (lambda: powers.power(LONG, Decimal(1)), "-12345678901234567890123456789012345.6780000000000000"),
        (lambda: powers.sqrt(Decimal(2)), "1.414213562373095"),
        (lambda: powers.exp(Decimal(1)), "2.7182818284590452"),
        (lambda: powers.ln(Decimal(2)), "0.6931471805599453"),
        (lambda: powers.log(Decimal(2), Decimal(10)), "3.3219280948873623"),
        (lambda: to_number("12345678901234567890123456789012345-", "9" * 40 + "S"), str(LONG)[:-4]),
    ],
)  # fmt: skip
def test_long_numbers_keep_their_digits(value: object, expected: str) -> None:
    assert callable(value)
    assert format_numeric(value()) == expected


def test_templates_and_buckets_take_long_numbers() -> None:
    assert number_to_char(LONG, "9" * 40 + ".999").strip() == str(LONG)
    assert width_bucket_numeric(LONG, Decimal(0), LONG, 10) == 11


@given(st.decimals(min_value=Decimal("1e-50"), max_value=Decimal("1e50"), places=60))
def test_ln_and_exp_undo_each_other(value: Decimal) -> None:
    found = powers._exp(powers._ln(value, 150), 150)
    with localcontext(Context(prec=400)):
        assert abs(found - value) <= value * Decimal("1e-140")


@pytest.mark.parametrize("digits", [100, 1000])
def test_ln_and_exp_agree_with_the_decimal_module(digits: int) -> None:
    context = Context(prec=digits)
    value = context.divide(Decimal(17), Decimal(7))
    for own, theirs in ((powers._exp, context.exp), (powers._ln, context.ln)):
        difference = context.subtract(own(value, digits), theirs(value))
        assert not difference or difference.adjusted() < 2 - digits


@pytest.mark.parametrize(
    "call",
    [
        lambda: powers.exp(Decimal(6000)),
        lambda: powers.power(Decimal(2), Decimal("9000.5")),
        lambda: powers.power(Decimal(10), Decimal(131_072)),
        lambda: powers.power(Decimal(10), Decimal(2_000_000_000)),
        lambda: numerics.numeric_add(Decimal("9e131071"), Decimal("9e131071")),
        lambda: numerics.numeric_div(Decimal("9e131071"), Decimal("0.1")),
        lambda: numerics.round_to(Decimal("9e131071"), -131_072),
        lambda: numerics.factorial(32_178),
        lambda: parse_numeric("1e-16384"),
        lambda: parse_numeric("1e131072"),
    ],
)
def test_what_postgresql_refuses_is_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(SqlError, match="value overflows numeric format"):
        call()


@pytest.mark.parametrize("text", ["0", "-1.50", "1e-16383", "9e131071", "9" * 131_072, "nan"])
def test_binary_form_round_trips_at_the_limits(text: str) -> None:
    value = parse_numeric(text)
    assert str(decode_binary(encode_binary(value))) == str(value)
