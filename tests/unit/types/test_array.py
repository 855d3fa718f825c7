"""Arrays: their bounds, and what a row holds of them."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.errors import SqlError
from dsql.functions.array_parts import ABSENT, array_slice, set_element, set_slice
from dsql.types import oids, registry
from dsql.types.array import lower_bounds, shifted
from dsql.types.templates import NAMES
from dsql.types.type import FormatSettings

SETTINGS = FormatSettings()
INTEGERS = registry.get(oids.INT4_ARRAY)


def read(text: str) -> Any:
    return INTEGERS.text_decoder(SETTINGS)(text.encode())


@pytest.mark.parametrize(
    "text", ["{1,2}", "[0:1]={1,NULL}", "[-2:-1][3:3]={{1},{2}}", "{{1,2},{3,4}}", "{}"]
)
def test_an_array_keeps_its_bounds_in_texts_bytes_and_rows(text: str) -> None:
    value = read(text)
    stored = eval(INTEGERS.store_template.format("value"), NAMES, {"value": value})
    held = msgspec.msgpack.decode(msgspec.msgpack.encode([stored]))[0]
    for again in (
        INTEGERS.binary_decode(INTEGERS.binary_encode(value)),
        eval(INTEGERS.load_template.format("held"), NAMES, {"held": held}),
        pickle.loads(pickle.dumps(value)),
    ):
        assert INTEGERS.text_encoder(SETTINGS)(again).decode() == text


@given(st.lists(st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))))
def test_an_array_of_what_rows_hold_as_lists_is_read_again_as_it_was(value: list[Any]) -> None:
    kind = registry.get(oids.INTERVAL_ARRAY)
    for array in (value, [value, value] if value else [], shifted(value, (3,))):
        stored = eval(kind.store_template.format("value"), NAMES, {"value": array})
        held = msgspec.msgpack.decode(msgspec.msgpack.encode(stored))
        again = eval(kind.load_template.format("held"), NAMES, {"held": held})
        assert again == array
        assert lower_bounds(again) == lower_bounds(array)


@pytest.mark.parametrize(
    ("text", "indexes", "wanted"),
    [
        ("{}", (3,), "[3:3]={9}"),
        ("{}", (2, 1), "[2:2][1:1]={{9}}"),
        ("{1,2}", (2,), "{1,9}"),
        ("{1}", (3,), "{1,NULL,9}"),
        ("{1}", (-1,), "[-1:1]={9,NULL,1}"),
        ("[-1:0]={1,2}", (1,), "[-1:1]={1,2,9}"),
        ("{{1,2},{3,4}}", (2, 1), "{{1,2},{9,4}}"),
    ],
)
def test_an_element_is_assigned_where_its_subscripts_say(
    text: str, indexes: tuple[int, ...], wanted: str
) -> None:
    changed = set_element(read(text), 9, indexes)
    assert INTEGERS.text_encoder(SETTINGS)(changed).decode() == wanted


@pytest.mark.parametrize(
    ("text", "lower", "upper", "wanted"),
    [
        ("{1,2,3}", (1,), (2,), "{7,8,3}"),
        ("{1,2,3}", (3,), (4,), "{1,2,7,8}"),
        ("{1,2,3}", (5,), (6,), "{1,2,3,NULL,7,8}"),
        ("{1,2,3}", (ABSENT,), (1,), "{7,2,3}"),
        ("{}", (2,), (3,), "[2:3]={7,8}"),
        ("{{1,2},{3,4}}", (1, 2), (2, 2), "{{1,7},{3,8}}"),
    ],
)
def test_a_slice_is_assigned_where_its_bounds_say(
    text: str, lower: tuple[Any, ...], upper: tuple[Any, ...], wanted: str
) -> None:
    changed = set_slice(read(text), [7, 8, 9], lower, upper)
    assert changed is not None
    assert INTEGERS.text_encoder(SETTINGS)(changed).decode() == wanted


@pytest.mark.parametrize(
    ("text", "lower", "upper", "message"),
    [
        ("{1,2}", (1, 1), (1, 1), "wrong number of array subscripts"),
        ("{1,2}", (2,), (1,), "upper bound cannot be less than lower bound"),
        ("{{1,2}}", (1, 2), (1, 3), "array subscript out of range"),
        ("{1,2}", (1,), (4,), "source array too small"),
        ("{}", (ABSENT,), (2,), "array slice subscript must provide both boundaries"),
        ("{1}", (None,), (2,), "array subscript in assignment must not be null"),
        ("{1}", (2**31 - 1,), (2**31 - 1,), "array size exceeds the maximum allowed"),
    ],
)
def test_a_slice_that_cannot_be_is_refused(
    text: str, lower: tuple[Any, ...], upper: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(SqlError, match=message):
        set_slice(read(text), [7, 8, 9], lower, upper)


def test_slices_are_of_what_is_there_and_begin_at_1() -> None:
    array = read("[0:2][5:6]={{1,2},{3,4},{5,6}}")
    assert array_slice(array, (ABSENT,), (1,)) == [[1, 2], [3, 4]]
    assert lower_bounds(array_slice(array, (1, 6), (9, 9))) == (1, 1)
    assert array_slice(array, (1, 7), (9, 9)) == []
    assert array_slice(array, (1, 5, 1), (2, 6, 2)) == []
