from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsql.types.builtin  # noqa: F401  (every type must be known here)
from dsql.encoding import keycode
from dsql.encoding.keycode import KeyColumn, encode
from dsql.errors import SqlError
from dsql.types import array, network

INT8, BOOL, TEXT, BPCHAR, BYTEA, FLOAT8, NUMERIC = 20, 16, 25, 1042, 17, 701, 1700
UUID, INTERVAL, TIMETZ, INT4, JSONB = 2950, 1186, 1266, 23, 3802
TID, PG_LSN, BIT, INET, INT4_ARRAY, TEXT_ARRAY = 27, 3220, 1560, 869, 1007, 1009

integers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "a", "a\x00", "a\x00b", "a\x01", "ab", "é", "\U0010ffff"]
)
blobs = st.binary(max_size=6) | st.sampled_from([b"", b"\x00", b"\x00\xff", b"\x00\x01", b"\xff"])
numerics = st.decimals(allow_nan=False, allow_infinity=True) | st.decimals(
    min_value=-1000, max_value=1000, places=3
)
spans = st.tuples(st.integers(-20, 20), st.integers(-60, 60), st.integers(-(10**12), 10**12))
networks = st.builds(
    lambda number, width, prefix: network.value_of(
        network.Address(width, min(prefix, width), number % (1 << width))
    ),
    st.integers(0, 2**128 - 1) | st.sampled_from([10 << 24, (10 << 24) + 1, 11 << 24]),
    st.sampled_from([32, 128]),
    st.integers(0, 128),
)
arrays = st.builds(
    lambda items, lower, folded: array.shifted(
        [items] if folded and items else items, lower[: 1 + folded]
    ),
    st.lists(st.integers(-2, 2) | st.none(), max_size=3),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.booleans(),
)


def float_order(value: float) -> tuple[bool, float]:
    return (math.isnan(value), 0.0 if math.isnan(value) else value)


def span_order(value: tuple[int, int, int]) -> int:
    return (value[0] * 30 + value[1]) * 86_400_000_000 + value[2]


FAMILIES: dict[str, tuple[int, st.SearchStrategy[Any], Any]] = {
    "integers": (INT8, integers, int),
    "booleans": (BOOL, st.booleans(), bool),
    "texts": (TEXT, texts, str.encode),
    "padded texts": (BPCHAR, texts, lambda value: value.rstrip(" ").encode()),
    "blobs": (BYTEA, blobs, bytes),
    "floats": (FLOAT8, st.floats(), float_order),
    "numerics": (NUMERIC, numerics, lambda value: value),
    "uuids": (UUID, st.binary(min_size=16, max_size=16), bytes),
    "intervals": (INTERVAL, spans, span_order),
    "times with zones": (
        TIMETZ,
        st.tuples(st.integers(0, 86_400_000_000), st.integers(-50_000, 50_000)),
        lambda value: (value[0] + value[1] * 1_000_000, value[1]),
    ),
    "row places": (TID, st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 65_535)), tuple),
    "log positions": (PG_LSN, st.integers(0, 2**64 - 1), int),
    "bits": (BIT, st.text("01", max_size=18), str),
    "networks": (INET, networks, network.sort_key),
    "arrays": (INT4_ARRAY, arrays, array.sort_key(None)),
    "arrays of texts": (TEXT_ARRAY, st.lists(texts | st.none(), max_size=3), array.sort_key(None)),
}


def sign(left: Any, right: Any) -> int:
    return (left > right) - (left < right)


@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_encodings_compare_as_the_values_do(family: str, data: st.DataObject) -> None:
    oid, values, order = FAMILIES[family]
    left, right = data.draw(values), data.draw(values)
    expected = sign(order(left), order(right))
    assert sign(encode(oid, left), encode(oid, right)) == expected
    assert sign(encode(oid, left, True), encode(oid, right, True)) == expected
    assert sign(encode(oid, left, True, True), encode(oid, right, True, True)) == -expected


@given(left=st.tuples(texts, integers, blobs), right=st.tuples(texts, integers, blobs))
@settings(max_examples=100, deadline=None)
def test_keys_of_several_columns_compare_column_by_column(left: Any, right: Any) -> None:
    oids = (TEXT, INT8, BYTEA)
    keys = [b"".join(map(encode, oids, row)) for row in (left, right)]
    rows = [(row[0].encode(), *row[1:]) for row in (left, right)]
    assert sign(*keys) == sign(*rows)


@given(st.tuples(texts | st.none(), integers | st.none()))
@settings(max_examples=60, deadline=None)
def test_templates_give_the_same_bytes_as_plain_encoding(row: tuple[Any, ...]) -> None:
    columns = [KeyColumn(TEXT, descending=True), KeyColumn(INT4, nulls_first=True)]
    template = keycode.index_key_template(20_000, columns).format("(row[0])", "(row[1])")
    made = eval(template, keycode.NAMES, {"row": row})
    plain = encode(TEXT, row[0], True, True) + encode(INT4, row[1], True, nulls_first=True)
    assert made == (20_000).to_bytes(4, "big") + plain


def test_fixed_width_primary_key_is_one_call_of_struct_pack() -> None:
    template = keycode.table_key_template(16_384, [INT4, INT8])
    assert template.startswith("pack_IQQ(16384, ")
    key = eval(template.format("-1", "7"), keycode.NAMES)
    assert key == (16_384).to_bytes(4, "big") + encode(INT4, -1) + encode(INT8, 7)


def test_columns_that_cannot_be_null_keep_their_marker_in_an_index() -> None:
    never, maybe = KeyColumn(INT4, nullable=False), KeyColumn(INT4)
    keys = [
        eval(keycode.index_key_template(9, [column]).format("value"), keycode.NAMES, {"value": 5})
        for column in (never, maybe)
    ]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("descending", "nulls_first", "null_is_least"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_null_stands_where_the_index_wants_it(
    descending: bool, nulls_first: bool | None, null_is_least: bool
) -> None:
    null = encode(INT8, None, True, descending, nulls_first)
    for value in (-(2**63), 0, 2**63 - 1):
        assert (null < encode(INT8, value, True, descending, nulls_first)) is null_is_least


def test_equal_numbers_have_one_encoding() -> None:
    assert len({encode(NUMERIC, Decimal(text)) for text in ("1", "1.0", "1.00", "0.1e1")}) == 1
    assert len({encode(NUMERIC, Decimal(text)) for text in ("0", "-0.00", "0e5")}) == 1
    assert encode(FLOAT8, -0.0) == encode(FLOAT8, 0.0)


def test_numeric_nan_sorts_above_infinity() -> None:
    ordered = [
        Decimal(text) for text in ("-Infinity", "-1e9", "-1e-9", "0", "1", "Infinity", "NaN")
    ]
    keys = [encode(NUMERIC, value) for value in ordered]
    assert keys == sorted(keys)


def test_a_type_without_key_encoding_is_refused() -> None:
    with pytest.raises(SqlError) as caught:
        keycode.table_key_template(16_384, [JSONB])
    assert caught.value.sqlstate == "0A000"


def test_key_above_the_budget_is_refused() -> None:
    keycode.check_key_size(bytes(4 + 1_981))
    with pytest.raises(SqlError, match="key size too large"):
        keycode.check_key_size(bytes(4 + 1_982))
