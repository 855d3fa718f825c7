from __future__ import annotations

from decimal import Decimal

import pytest

from dsql.errors import SqlError
from dsql.types import interval, oids, typmod
from dsql.types.type import FormatSettings


@pytest.mark.parametrize(
    ("oid", "modifiers", "name"),
    [
        (oids.VARCHAR, (10,), "character varying(10)"),
        (oids.NUMERIC, (10, 2), "numeric(10,2)"),
        (oids.NUMERIC, (5, -3), "numeric(5,-3)"),
        (oids.TIMESTAMPTZ, (3,), "timestamp(3) with time zone"),
        (oids.INTERVAL, (interval.DAY_BIT,), "interval day"),
    ],
)
def test_format_type_spells_the_modifier(oid: int, modifiers: tuple[int, ...], name: str) -> None:
    assert typmod.format_type(oid, typmod.encode(oid, modifiers)) == name


def test_too_long_a_string_gets_22001_unless_the_cast_is_written() -> None:
    mod = typmod.encode(oids.VARCHAR, (3,))
    cut = typmod.enforcer(oids.VARCHAR, mod, explicit=True)
    refuse = typmod.enforcer(oids.VARCHAR, mod, explicit=False)
    assert cut is not None
    assert refuse is not None
    assert cut("abcd") == "abc"
    assert refuse("abc  ") == "abc"
    with pytest.raises(SqlError, match=r"value too long for type character varying\(3\)"):
        refuse("abcd")


def test_numeric_overflow_names_the_limit() -> None:
    enforce = typmod.enforcer(oids.NUMERIC, typmod.encode(oids.NUMERIC, (4, 2)), explicit=False)
    assert enforce is not None
    assert enforce(Decimal("1.005")) == Decimal("1.01")
    with pytest.raises(SqlError) as caught:
        enforce(Decimal("99.995"))
    assert caught.value.detail.endswith("must round to an absolute value less than 10^2.")


def test_an_intervals_fields_say_what_a_bare_number_means() -> None:
    mod = typmod.encode(oids.INTERVAL, (interval.DAY_BIT,))
    assert typmod.input_decoder(oids.INTERVAL, mod, FormatSettings())("5") == (0, 5, 0)
