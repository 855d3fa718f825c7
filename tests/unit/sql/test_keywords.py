"""Identifiers are quoted exactly where the grammar would take them for keywords."""

from __future__ import annotations

from dsql.sql.libpg_query import grammar, scan
from dsql.types.identifier import needs_quotes

WORDS = """abort absolute action add analyze begin between bigint by cascade char collation concurrently
    current_date cursor day default do each else end exists explain extract false for function grant group
    ilike index int interval into key language left level like limit local name names natural no none
    null offset on only order owner partition position precision primary range references returning role
    row rows select session_user set setof similar some table temp text then time timestamp to trim
    true type unique user using value values varchar verbose view when where window with xmlparse zone"""


def test_needs_quotes_agrees_with_the_grammar() -> None:
    plain = (grammar.NO_KEYWORD, grammar.UNRESERVED_KEYWORD)
    for word in WORDS.split():
        assert needs_quotes(word) == (scan(word)[0].keyword_kind not in plain), word
