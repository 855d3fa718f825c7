"""LIKE against an obvious matcher, unfinished escapes, and patterns that must not backtrack."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsql.functions.builtin  # noqa: F401  (registers what `like` imports)
from dsql.errors import SqlError
from dsql.functions.like import ilike, like_matcher


def obvious(pattern: str, text: str) -> bool:
    """LIKE by a table of which prefixes match; every backslash escapes something."""
    row = [True, *[False] * len(text)]
    at = 0
    while at < len(pattern):
        char, at = pattern[at], at + 1
        if char == "%":
            row = [any(row[: end + 1]) for end in range(len(text) + 1)]
            continue
        wildcard = char == "_"
        if char == "\\":
            char, at = pattern[at], at + 1
        row = [False, *[row[i] and (wildcard or text[i] == char) for i in range(len(text))]]
    return row[-1]


@given(
    st.lists(st.sampled_from(["a", "b", "%", "_", "\\%", "\\_", "\\a", "\\\\"])).map("".join),
    st.text("ab%_\\"),
)
def test_a_pattern_matches_what_the_obvious_matcher_says(pattern: str, text: str) -> None:
    assert like_matcher(pattern)(text) == obvious(pattern, text)


@pytest.mark.parametrize(
    ("text", "pattern", "raises"),
    [
        ("abc", "abc\\", False),
        ("abc", "ab\\", True),
        ("", "%\\", False),
        ("a", "%\\", True),
        ("a", "a%\\", False),
        ("ab", "%__\\", True),
        ("a", "%__\\", False),
        ("a", "%_%\\", True),
        ("ab", "__\\", False),
        ("abcb", "%b\\", True),
    ],
)
def test_an_unfinished_escape_is_an_error_only_where_matching_gets_to_it(
    text: str, pattern: str, raises: bool
) -> None:
    if not raises:
        assert not like_matcher(pattern)(text)
        return
    with pytest.raises(SqlError) as caught:
        like_matcher(pattern)(text)
    assert caught.value.sqlstate == "22025"


def test_many_wildcards_over_a_long_text_do_not_backtrack() -> None:
    assert not like_matcher("%a" * 30 + "%c")("ab" * 200_000)
    assert not ilike("Lorem ipsum dolor sit amet " * 20_000, "%LOREM%dolor%amet%x%y")
    assert like_matcher("%a_%_b%" * 20)("ab" * 200_000)
