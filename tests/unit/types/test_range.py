"""Ranges and multiranges against a model: the set of the points that lie in them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.encoding.keycode import encode
from dsql.errors import SqlError
from dsql.types import oids, registry
from dsql.types import range as ranges
from dsql.types.range import Bounds, Multirange, Range
from dsql.types.templates import NAMES
from dsql.types.type import FormatSettings

WIDTH = 8
SETTINGS = FormatSettings()
DISCRETE = registry.get(oids.INT4RANGE)
CONTINUOUS = registry.get(oids.NUMRANGE)


def bounds_of(oid: int) -> Bounds:
    bounds = registry.get(oid).bounds
    assert bounds is not None
    return bounds


@st.composite
def some_range(draw: st.DrawFn, oid: int) -> Range:
    low, high = sorted(draw(st.tuples(st.integers(1, WIDTH), st.integers(1, WIDTH))))
    convert = NAMES["Decimal"] if oid == oids.NUMRANGE else int
    flags = draw(st.sampled_from([0, 1, 2, 3])) << 1
    lower = None if draw(st.integers(0, 9)) == 0 else convert(low)
    upper = None if draw(st.integers(0, 9)) == 0 else convert(high)
    return bounds_of(oid).of(lower, upper, flags)


def points(value: Range, oid: int) -> set[int]:
    """The points of a range: of a discrete one its values, else these and what is between them."""
    lower, upper, flags = value
    if flags & ranges.IS_EMPTY:
        return set()
    step = 2 if oid == oids.NUMRANGE else 1
    low = -1 if lower is None else int(lower * step) + (not flags & ranges.LOWER_INCLUSIVE)
    last = (WIDTH + 3) * step
    high = last if upper is None else int(upper * step) - (not flags & ranges.UPPER_INCLUSIVE)
    return set(range(low, high + 1))


def all_points(value: Multirange, oid: int) -> set[int]:
    return {point for each in value for point in points(each, oid)}


both = st.sampled_from([oids.INT4RANGE, oids.NUMRANGE])


@given(st.data(), both)
def test_relations_of_ranges_are_those_of_their_points(data: st.DataObject, oid: int) -> None:
    bounds = bounds_of(oid)
    one, other = data.draw(some_range(oid)), data.draw(some_range(oid))
    left, right = points(one, oid), points(other, oid)
    assert bounds.contains(one, other) == (left >= right)
    assert bounds.overlap(one, other) == bool(left & right)
    assert bounds.intersect(one, other) in (one, other) or points(
        bounds.intersect(one, other), oid
    ) == (left & right)
    if left and right:
        assert bounds.before(one, other) == (max(left) < min(right))
        assert bounds.ends_within(one, other) == (max(left) <= max(right))
        assert bounds.begins_within(one, other) == (min(left) >= min(right))
        touch = max(left) + 1 == min(right) or max(right) + 1 == min(left)
        assert bounds.adjacent(one, other) == touch
    assert (bounds.places(one) == bounds.places(other)) == (left == right)


@given(st.data(), both)
def test_ranges_combine_as_their_points_do_or_not_at_all(data: st.DataObject, oid: int) -> None:
    bounds = bounds_of(oid)
    one, other = data.draw(some_range(oid)), data.draw(some_range(oid))
    left, right = points(one, oid), points(other, oid)
    for method, wanted in ((bounds.union, left | right), (bounds.minus, left - right)):
        whole = not wanted or wanted == set(range(min(wanted), max(wanted) + 1))
        if whole:
            assert points(method(one, other), oid) == wanted
        else:
            with pytest.raises(SqlError, match="would not be contiguous"):
                method(one, other)


@given(st.data(), both)
def test_multiranges_are_the_sets_of_their_points(data: st.DataObject, oid: int) -> None:
    bounds = bounds_of(oid)
    several = st.lists(some_range(oid), max_size=4)
    given_ranges, others = data.draw(several), data.draw(several)
    one, other = bounds.joined(given_ranges), bounds.joined(others)
    left, right = all_points(one, oid), all_points(other, oid)
    assert left == {point for each in given_ranges for point in points(each, oid)}
    assert all(not bounds.overlap(a, b) and not bounds.adjacent(a, b) for a, b in pairwise(one))
    assert all_points(bounds.common(one, other), oid) == left & right
    assert all_points(bounds.difference(one, other), oid) == left - right
    assert bounds.any_overlap(one, other) == bool(left & right)
    assert bounds.all_within(one, other) == (left >= right)


@given(st.data(), both)
def test_texts_bytes_rows_and_keys_of_ranges_tell_them_apart(data: st.DataObject, oid: int) -> None:
    several = st.lists(some_range(oid), max_size=4)
    pairs: list[tuple[int, Any, Any]] = [
        (oid, data.draw(some_range(oid)), data.draw(some_range(oid)))
    ]
    multi = registry.get(oid).multirange_oid
    joined = bounds_of(oid).joined
    pairs.append((multi, joined(data.draw(several)), joined(data.draw(several))))
    for type_oid, one, other in pairs:
        kind = registry.get(type_oid)
        assert kind.text_decoder(SETTINGS)(kind.text_encoder(SETTINGS)(one)) == one
        assert kind.binary_decode(kind.binary_encode(one)) == one
        stored = eval(kind.store_template.format("value"), NAMES, {"value": one})
        assert eval(kind.load_template.format("held"), NAMES, {"held": stored}) == one
        assert kind.sort_key is not None
        order = kind.sort_key(one) < kind.sort_key(other)
        assert (encode(type_oid, one) < encode(type_oid, other)) == order


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[1,5]", "[1,6)"),
        (" ( 1 , 5 ) ", "[2,5)"),
        ("(4,5)", "empty"),
        ("EMPTY ", "empty"),
        ("[,]", "(,)"),
        ('["1",\\5)', "[1,5)"),
    ],
)
def test_a_discrete_range_has_one_form(text: str, shown: str) -> None:
    value = DISCRETE.text_decoder(SETTINGS)(text.encode())
    assert DISCRETE.text_encoder(SETTINGS)(value).decode() == shown


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("1,2", "Missing left parenthesis or bracket."),
        ("[1", "Unexpected end of input."),
        ("[1]", "Missing comma after lower bound."),
        ("[1,2,3]", "Too many commas."),
        ("[1,2] x", "Junk after right parenthesis or bracket."),
        ("empty x", 'Junk after "empty" key word.'),
        ('["1,2]', "Unexpected end of input."),
    ],
)
def test_a_malformed_range_is_told_what_is_wrong(text: str, detail: str) -> None:
    with pytest.raises(SqlError) as caught:
        DISCRETE.text_decoder(SETTINGS)(text.encode())
    assert caught.value.sqlstate == "22P02"
    assert caught.value.detail == detail


@pytest.mark.parametrize(
    "sent", [b"", b"\x02", b"\x02\0\0\0\x04\0\0", b"\x02\0\0\0\x04\0\0\0\x01", b"\x01x"]
)
def test_a_torn_range_is_refused(sent: bytes) -> None:
    with pytest.raises(SqlError) as caught:
        DISCRETE.binary_decode(sent)
    assert caught.value.sqlstate in ("08P01", "22P03")
