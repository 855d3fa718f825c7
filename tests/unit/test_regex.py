"""Regular expressions: what has no other test beside PostgreSQL, and texts that must not blow up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsql.functions.builtin  # noqa: F401
from dsql.errors import SqlError
from dsql.functions import patterns
from dsql.regex import characters
from dsql.regex.automaton import Automaton
from dsql.regex.expression import compile_regex
from dsql.regex.linear import LinearMatcher
from dsql.regex.parser import Options, parse
from dsql.regex.subject import Subject

expressions = st.recursive(
    st.sampled_from(["a", "b", ".", "[^a]", "é", "^", "$", r"\y", r"\Y"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@given(expressions, st.text("abé ", max_size=8))
def test_re2_and_the_automaton_find_the_same(pattern: str, text: str) -> None:
    node, _ = parse(pattern, Options())
    linear, automaton, subject = LinearMatcher(node), Automaton(node), Subject(text)
    found = automaton.search(subject, 0)
    assert linear.search(subject, 0) == found
    if found is not None:
        begin, end = found
        for limit in range(begin, end + 1):
            assert linear.longest(subject, begin, limit) == automaton.longest(subject, begin, limit)


@given(expressions, st.text("abé ", max_size=8))
def test_the_shortest_end_is_the_least_exact_one(pattern: str, text: str) -> None:
    compiled, subject = compile_regex(pattern), Subject(text)
    part = compiled._part
    exact = [end for end in range(len(subject.data) + 1) if part.matcher.exact(subject, 0, end)]
    for least in range(len(subject.data) + 1):
        expected = next((end for end in exact if end >= least), -1)
        assert part.shortest(subject, 0, least, len(subject.data)) == expected


@given(st.text("aé€𝄞", max_size=6), st.data())
def test_positions_count_characters(text: str, data: st.DataObject) -> None:
    subject = Subject(text)
    for _ in range(4):
        index = data.draw(st.integers(0, len(text)))
        assert subject.index(subject.offset(index)) == index


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted).map(tuple)))
def test_sets_of_characters_obey_their_algebra(ranges: list[tuple[int, int]]) -> None:
    made = characters.union(ranges)
    members = {code for low, high in ranges for code in range(low, high + 1)}
    assert {code for low, high in made for code in range(low, high + 1)} == members
    assert characters.complement(characters.complement(made)) == made
    assert characters.union((*made, *characters.complement(made))) == characters.EVERY


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^(a+)+$", "a" * 100_000 + "!"),
        ("^(a|aa)+$b", "a" * 100_000),
        ("(x+x+)+y", "x" * 100_000),
        ("(a|b)*a(a|b){15}c", "ab" * 50_000),
        (r"(?=.*z)(?=.*y)x", "a" * 50_000),
        (r"(.*)(.*)\1b", "a" * 50_000),
    ],
)
def test_no_text_makes_a_search_explode(pattern: str, text: str) -> None:
    assert not compile_regex(pattern).matches(text)


def test_groups_of_a_long_match_are_found_without_backtracking() -> None:
    assert patterns.regexp_match("ab" * 20_000, "((a)|(b))*") == ["b", None, "b"]
    assert patterns.regexp_match("a" * 20_000, "(a|aa)*$") == ["aa"]


def test_a_search_that_takes_too_long_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsql.regex.subject._STEPS_MAX", 20_000)
    # The groups would have to share half of an odd number of letters.
    with pytest.raises(SqlError, match="too many steps") as caught:
        compile_regex(r"^(a*)(a*)(a*)\1\2\3b$").matches("a" * 301 + "b")
    assert caught.value.sqlstate == "54001"


@pytest.mark.parametrize(
    "pattern", ["a" * 50_000, "(?:x{255}){255}", "(" * 3000 + "a" + ")" * 3000, "x{0,255}" * 200]
)
def test_an_expression_that_is_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(SqlError, match="regular expression is too complex"):
        compile_regex(pattern)


def test_nested_repetitions_beyond_what_re2_counts_are_written_out() -> None:
    compiled = compile_regex("^(?:(?:a{20}){20}){20}$")
    assert compiled.matches("a" * 8000)
    assert not compiled.matches("a" * 7999)
