from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsql.types.builtin  # noqa: F401
from dsql.errors import SqlError
from dsql.types import array, array_binary, array_text, oids, registry
from dsql.types.type import FormatSettings

DEFAULT = FormatSettings()
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "float8": st.floats(allow_nan=False),
    "float4": st.floats(allow_nan=False, width=32),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, places=6),
    "text": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    "bytea": st.binary(),
    "uuid": st.binary(min_size=16, max_size=16),
    "bool": st.booleans(),
    "date": st.integers(-2_451_545, 2_000_000),
    "time": st.integers(0, 86_400_000_000 - 1),
    "timestamp": st.integers(-(10**17), 10**17),
    "timestamptz": st.integers(-(10**17), 10**17),
    "interval": st.tuples(
        st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(-(10**15), 10**15)
    ),
    "int2vector": st.lists(st.integers(-(2**15), 2**15 - 1)).map(tuple),
    "oidvector": st.lists(st.integers(0, 2**32 - 1)).map(tuple),
    "_int4": st.lists(st.none() | st.integers(-(2**31), 2**31 - 1)),
    "_text": st.lists(
        st.none() | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
    ),
}


@pytest.mark.parametrize("name", VALUES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_both_formats_read_back_what_they_wrote(name: str, data: st.DataObject) -> None:
    known = registry.find(name)
    assert known is not None
    value = data.draw(VALUES[name])
    assert known.text_decoder(DEFAULT)(known.text_encoder(DEFAULT)(value)) == value
    assert known.binary_decode(known.binary_encode(value)) == value


@pytest.mark.parametrize(
    ("name", "text", "sqlstate", "message"),
    [
        ("int4", "x", "22P02", 'invalid input syntax for type integer: "x"'),
        ("int2", "70000", "22003", 'value "70000" is out of range for type smallint'),
        ("bool", "o", "22P02", 'invalid input syntax for type boolean: "o"'),
        ("uuid", "1", "22P02", 'invalid input syntax for type uuid: "1"'),
        ("date", "x", "22007", 'invalid input syntax for type date: "x"'),
        ("date", "2001-02-30", "22008", 'date/time field value out of range: "2001-02-30"'),
        ("_int4", "{1", "22P02", 'malformed array literal: "{1"'),
        ("jsonb", "{", "22P02", "invalid input syntax for type json"),
    ],
)
def test_bad_text_gets_postgresqls_error(name: str, text: str, sqlstate: str, message: str) -> None:
    known = registry.find(name)
    assert known is not None
    with pytest.raises(SqlError, match=re.escape(message)) as caught:
        known.text_decoder(DEFAULT)(text.encode())
    assert caught.value.sqlstate == sqlstate


@given(st.text('{},"\\ nulNUL1\u00a0', max_size=12))
def test_a_plain_array_is_read_as_any_other(text: str) -> None:
    """Its items are cut out together; others are read one by one."""

    def read(one_by_one: bool) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(array_text, "_PIECE", 3)
            if one_by_one:
                patch.setattr(array_text, "_PLAIN", re.compile(b"(?!)"))
            try:
                return array_text.text_decoder(bytes)(f"{{{text}}}".encode())
            except SqlError as error:
                return error.sqlstate, error.message, error.detail

    assert read(False) == read(True)


def test_numeric_keeps_its_scale_in_binary() -> None:
    known = registry.find("numeric")
    assert known is not None
    assert known.binary_encode(Decimal("1.50")).hex() == "000200000000000200011388"


def test_a_timestamptz_shows_in_the_sessions_zone() -> None:
    known = registry.find("timestamptz")
    assert known is not None
    encode = known.text_encoder(FormatSettings(time_zone="America/New_York"))
    assert encode(0) == b"1999-12-31 19:00:00-05"


def test_jsonb_equality_ignores_trailing_zeros_but_not_kinds() -> None:
    known = registry.find("jsonb")
    assert known is not None
    assert known.hash_key is not None
    assert known.hash_key("1.0") == known.hash_key("1")
    assert known.hash_key("true") != known.hash_key("1")


def test_an_array_element_of_a_control_character_is_not_taken_for_space() -> None:
    known = registry.find("_text")
    assert known is not None
    assert known.text_decoder(DEFAULT)(b"{\x1f}") == ["\x1f"]


VECTOR = registry.get(oids.INT2VECTOR)
SENT = bytes.fromhex("00000001 00000000 00000015 00000002 00000000 00000002 0001 00000002 0002")


def test_a_vector_is_sent_and_taken_with_subscripts_from_0() -> None:
    assert VECTOR.binary_encode((1, 2)) == SENT
    assert VECTOR.binary_decode(SENT) == (1, 2)
    cast = registry.get(oids.INT2_ARRAY).binary_encode(array.from_zero([1, 2]))
    assert cast == SENT


@pytest.mark.parametrize(
    "sent",
    [
        array_binary.binary_encoder(oids.INT2, registry.get(oids.INT2).binary_encode)([1, 2]),
        SENT[:16] + bytes.fromhex("00000001") + SENT[20:],
        bytes.fromhex("00000000 00000000 00000015"),
        bytes.fromhex("00000001 00000001 00000015 00000001 00000000 ffffffff"),
    ],
)
def test_what_is_no_vector_is_not_taken_for_one(sent: bytes) -> None:
    with pytest.raises(SqlError) as caught:
        VECTOR.binary_decode(sent)
    assert (caught.value.sqlstate, caught.value.message) == ("22P03", "invalid int2vector data")
