from __future__ import annotations

import pytest

from dsql.errors import SqlError
from dsql.types.identifier import quote_identifier, split_name


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a_1", "a_1"),
        ("Orders", '"Orders"'),
        ("order", '"order"'),
        ('a"b', '"a""b"'),
        ("1a", '"1a"'),
    ],
)
def test_identifiers_are_quoted_only_where_they_must(name: str, written: str) -> None:
    assert quote_identifier(name) == written


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ["a"]),
        ("S.T", ["s", "t"]),
        (" a . b.c ", ["a", "b", "c"]),
        ('"S"."a.b"', ["S", "a.b"]),
        ('"a""b"', ['a"b']),
    ],
)
def test_qualified_names_are_split_as_sql_reads_them(text: str, parts: list[str]) -> None:
    assert split_name(text) == parts


@pytest.mark.parametrize("text", ["", "a.", ".a", "a b", '"a', '""', 'a"b'])
def test_impossible_names_are_refused(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        split_name(text)
    assert caught.value.sqlstate == "42602"
