"""What is done piece by piece comes out as if it were done at once."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.functions import binary
from dsql.functions import text as room
from dsql.types import pieces

TEXTS = st.text(alphabet="abzAZ019_ -'ßéÉΣσİŉ\n", max_size=60)


def one_by_one(text: str, change) -> str:
    return "".join(new if len(new := change(old)) == 1 else old for old in text)


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", 8)
        patch.setattr(pieces.pieces, "__defaults__", (8,))
        yield


@given(TEXTS)
def test_case_changes_character_by_character(text: str) -> None:
    assert room.lower(text) == one_by_one(text, str.lower)
    assert room.upper(text) == one_by_one(text, str.upper)


@given(TEXTS)
def test_initcap_capitalizes_what_follows_neither_letter_nor_digit(text: str) -> None:
    words = re.split(r"((?:\W|_)+)", text)
    capitalized = [
        one_by_one(word[:1], str.upper) + one_by_one(word[1:], str.lower) for word in words
    ]
    assert room.initcap(text) == "".join(capitalized)


@given(TEXTS, st.sampled_from(["", "a", "a ", "\n", "aba"]), st.integers(-6, 6).filter(bool))
def test_a_part_is_the_one_of_all_parts(text: str, separator: str, number: int) -> None:
    parts = text.split(separator) if separator else [text]
    wanted = dict(zip(range(1, len(parts) + 1), parts, strict=True))
    wanted |= dict(zip(range(-len(parts), 0), parts, strict=True))
    assert room.split_part(text, separator, number) == wanted.get(number, "")


@given(st.binary(max_size=200), st.sampled_from(["hex", "base64", "escape"]))
def test_what_was_encoded_is_decoded(value: bytes, form: str) -> None:
    text = binary.encode(value, form)
    assert binary.decode(text, form) == value
    assert form != "base64" or text == base64.encodebytes(value).decode().removesuffix("\n")


def test_a_digest_is_that_of_the_whole() -> None:
    assert room.md5(b"a" * 100) == hashlib.md5(b"a" * 100).hexdigest()
