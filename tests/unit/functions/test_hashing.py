"""Hashes: PostgreSQL's own values, and the same for what is equal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.errors import SqlError
from dsql.functions.hashing import hash_of
from dsql.types import oids


@pytest.mark.parametrize(
    ("oid", "value", "seed", "hashed"),
    [
        (oids.TEXT, "hello", None, -1_870_292_951),
        (oids.INT4, 1, None, -1_905_060_026),
        (oids.NUMERIC, Decimal("12345678.9"), None, -1_037_569_625),
        (oids.TEXT, "a longer text of more than twelve bytes", 42, -2_382_780_892_067_006_185),
        (oids.INTERVAL, (1, 0, 0), None, 1_574_789_525),
    ],
)
def test_hashes_are_those_that_postgresql_15_was_seen_to_give(
    oid: int, value: Any, seed: int | None, hashed: int
) -> None:
    bits = 32 if seed is None else 64
    assert hash_of(oid)(value, seed) == hashed % (1 << bits)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.integers(0, 6))
def test_numbers_hash_alike_whatever_zeros_they_end_in(value: Decimal, zeros: int) -> None:
    longer = Decimal(f"{value:f}" + ("" if "." in f"{value:f}" else ".") + "0" * zeros)
    assert hash_of(oids.NUMERIC)(value, None) == hash_of(oids.NUMERIC)(longer, None)


@given(st.integers(-(2**31), 2**31 - 1))
def test_an_integer_hashes_alike_in_both_widths(value: int) -> None:
    assert hash_of(oids.INT8)(value, None) == hash_of(oids.INT4)(value, None)


def test_a_type_without_equality_has_no_hash() -> None:
    with pytest.raises(SqlError, match="could not identify a hash function for type json"):
        hash_of(oids.JSON)
