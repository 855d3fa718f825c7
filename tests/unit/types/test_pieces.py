"""Large values are treated in pieces as they would be in one."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.errors import SqlError
from dsql.functions import binary, text
from dsql.sql import chains
from dsql.types import array_text, numeric, pieces, size
from dsql.types import binary as binary_types

TEXTS = st.text("ab", max_size=40)
PARTS = st.text("ab", min_size=1, max_size=4)


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for room in (pieces, text, binary, binary_types, array_text):
            patch.setattr(room, "PIECE", 4)
        patch.setattr(size, "_JOINED_PARTS", 3)
        patch.setattr(numeric, "_CHARACTERS_MAX", 6)
        patch.setattr(chains, "_PIECE_CHARACTERS", 12)
        yield


@given(TEXTS, PARTS, st.sampled_from(["", "b", "aba"]))
def test_replacing(value: str, old: str, new: str) -> None:
    assert pieces.replace(value, old, new) == value.replace(old, new)


@given(TEXTS, st.text("ab", max_size=4))
def test_finding(value: str, part: str) -> None:
    assert pieces.find(value, part) == value.find(part)
    assert pieces.find(value.encode(), part.encode()) == value.find(part)


@given(TEXTS, PARTS)
def test_trimming(value: str, characters: str) -> None:
    assert pieces.lstrip(value, characters) == value.lstrip(characters)
    assert pieces.rstrip(value, characters) == value.rstrip(characters)


@given(TEXTS, st.integers(0, 40))
def test_repeating_padding_and_reversing(value: str, length: int) -> None:
    assert text.repeat(value, length) == value * length
    assert text.reverse(value) == value[::-1]
    padding = ("ab" * length)[: max(length - len(value), 0)]
    assert text.pad(value, length, "ab", left=True) == padding + value[:length]
    assert text.pad(value, length, "ab", left=False) == value[:length] + padding


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except SqlError as error:
        return error.sqlstate


@given(st.text("a\\\\017", max_size=24))
def test_the_escape_format(value: str) -> None:
    data = value.encode()
    spelled = re.sub(rb"\\(\\|[0-3][0-7]{2})", b"", data)
    found = outcome(lambda: binary_types.decode_bytea(data))
    assert (found == "22P02") is (b"\\" in spelled)


@given(st.binary(max_size=20), st.sampled_from(["", "A", "AA==", "A==="]))
def test_base64(value: bytes, rest: str) -> None:
    encoded = binary.encode(value, "base64")
    assert binary.decode(encoded, "base64") == value
    found = outcome(lambda: binary.decode(encoded + rest, "base64"))
    whole = encoded + rest
    try:
        assert found == base64.b64decode(whole, validate=True)
    except binascii.Error:
        assert found == "22023"


@given(st.lists(TEXTS, max_size=12), st.sampled_from(["", ",", ", "]))
def test_joining(values: list[str], separator: str) -> None:
    assert size.join(separator, iter(values)) == separator.join(values)


@given(st.lists(st.text('ab"\\ ', max_size=12), max_size=12))
def test_the_text_of_an_array(values: list[str]) -> None:
    written = array_text.text_encoder(str.encode)(values)
    assert array_text.text_decoder(bytes.decode)(written) == values


@given(st.from_regex(r" ?[-+]?0{0,9}[1-9]?(\.[0-9]{0,3})? ?", fullmatch=True))
def test_a_long_number_with_zeros_before_it(value: str) -> None:
    try:
        expected: Any = Decimal(value.strip())
    except InvalidOperation:
        expected = "22P02"
    assert outcome(lambda: numeric.parse_numeric(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12345678", "22003"),
        ("-0012345678.5", "22003"),
        ("1234.5678901", "22003"),
        ("1234567x", "22P02"),
        ("1.2.3.4.5", "22P02"),
        ("--00000001", "22P02"),
    ],
)
def test_a_number_that_is_too_long(value: str, expected: str) -> None:
    assert outcome(lambda: numeric.parse_numeric(value)) == expected


def test_counting_links() -> None:
    assert not chains._has_many_links("abc intersecting " * 2_000)
    assert chains._has_many_links("a union b" * (chains.LINKS_MAX + 1))
