"""Composite values: their texts, their bytes, and what rows hold of them when attributes come and go."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from dsql.errors import SqlError
from dsql.types import oids, registry
from dsql.types.composite import Attribute, CompositeNames, composite_type
from dsql.types.record import Record
from dsql.types.templates import NAMES
from dsql.types.type import FormatSettings, Type

SETTINGS = FormatSettings()


def made_of(*attributes: Attribute) -> Type:
    names = CompositeNames(20_000, 20_001, "public", "made", "made", 20_002)
    return composite_type(names, attributes, registry.get)


NUMBER = Attribute("n", 1, oids.NUMERIC)
WORD = Attribute("w", 2, oids.VARCHAR, 7)  # varchar(3)
SPAN = Attribute("s", 3, oids.INT4RANGE)
WHOLE = made_of(NUMBER, WORD, SPAN)


def read(text: str) -> Any:
    return WHOLE.text_decoder(SETTINGS)(text.encode())


def stored(kind: Type, value: Any) -> Any:
    held = eval(kind.store_template.format("value"), NAMES, {"value": value})
    return msgspec.msgpack.decode(msgspec.msgpack.encode(held))


def loaded(kind: Type, held: Any) -> Any:
    return eval(kind.load_template.format("held"), NAMES, {"held": held})


@pytest.mark.parametrize(
    "text", ['(1.50,"a b","[1,3)")', "(,,)", '(0,"",empty)', '(1,"""\\\\",)', '(NaN,"(,)","(,)")']
)
def test_a_value_is_the_same_again_from_text_bytes_and_rows(text: str) -> None:
    value = read(text)
    for again in (
        WHOLE.binary_decode(WHOLE.binary_encode(value)),
        loaded(WHOLE, stored(WHOLE, value)),
    ):
        assert isinstance(again, Record)
        assert again.names == ("n", "w", "s")
        assert WHOLE.text_encoder(SETTINGS)(again).decode() == text


def test_a_row_is_read_without_what_was_dropped_and_with_what_was_added() -> None:
    held = stored(WHOLE, read('(1.5,abc,"[1,3)")'))
    left = made_of(NUMBER, SPAN, Attribute("added", 4, oids.TEXT))
    assert loaded(left, held) == (Decimal("1.5"), (1, 3, 2), None)
    assert stored(left, (None, None, "x")) == [None, None, None, "x"]


def test_names_with_braces_do_not_break_generated_code() -> None:
    odd = made_of(Attribute("{0}'", 1, oids.NUMERIC))
    assert loaded(odd, stored(odd, (Decimal(2),))).names == ("{0}'",)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("1,2,3", "Missing left parenthesis."),
        ("(1,a)", "Too few columns."),
        ("(1,a,,)", "Too many columns."),
        ("(1,a,empty", "Unexpected end of input."),
        ("(1,a,) x", "Junk after right parenthesis."),
    ],
)
def test_a_malformed_record_is_told_what_is_wrong(text: str, detail: str) -> None:
    with pytest.raises(SqlError) as caught:
        read(text)
    assert (caught.value.sqlstate, caught.value.detail) == ("22P02", detail)


def test_a_field_that_is_too_long_is_refused_rather_than_cut() -> None:
    with pytest.raises(SqlError, match="value too long"):
        read("(1,abcd,)")


def test_values_order_as_their_fields_do_and_nulls_are_last() -> None:
    assert WHOLE.sort_key is not None
    texts = ["(1,a,)", "(1.0,b,)", '(2,a,"[1,2)")', "(2,a,)", "(NaN,a,)", "(,a,)"]
    mixed = [texts[at] for at in (4, 1, 5, 0, 3, 2)]
    assert sorted(mixed, key=lambda text: WHOLE.sort_key(read(text))) == texts


@pytest.mark.parametrize(
    ("change", "sqlstate"),
    [
        (lambda sent: b"\0\0\0\x02" + sent[4:], "42804"),
        (lambda sent: sent[:4] + b"\0\0\0\x17" + sent[8:], "42804"),
        (lambda sent: sent[:-3], "08P01"),
        (lambda sent: b"\0", "08P01"),
    ],
)
def test_bytes_that_are_not_of_the_type_are_refused(change: Any, sqlstate: str) -> None:
    sent = WHOLE.binary_encode(read('(1.5,abc,"[1,3)")'))
    with pytest.raises(SqlError) as caught:
        WHOLE.binary_decode(change(sent))
    assert caught.value.sqlstate in (sqlstate, "22P03")
