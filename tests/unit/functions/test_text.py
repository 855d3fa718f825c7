"""What is done piece by piece comes out as if it were done at once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.functions import text as room

TEXTS = st.text(alphabet="abzAZ019_ -'ßéÉΣσİŉ\n", max_size=60)


def one_by_one(text: str, change) -> str:
    return "".join(new if len(new := change(old)) == 1 else old for old in text)


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_PIECE", 7)
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
