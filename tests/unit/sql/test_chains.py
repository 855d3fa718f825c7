from __future__ import annotations

import pytest

from dsql.errors import SqlError
from dsql.sql.chains import LINKS_MAX
from dsql.sql.gate import parse_script

MANY = 4 * LINKS_MAX
CHAINS = {
    "operators": "select " + "+".join(["a"] * MANY),
    "operators between cases": "select " + "+".join(["case when a and b then 1 end"] * MANY),
    "set operations of several columns": " union all ".join(["select 1, 2"] * MANY),
    "joins with several conditions": "select from a" + " join b on x = 1 and y = 2" * MANY,
    "what only the parser finds": " union all ".join(["values (1)"] * 10 * MANY),
}
LISTS = {
    "conditions": "select where " + " or ".join(["a = 1 and b = 'x'"] * LINKS_MAX),
    "items": "select " + ", ".join(["a + 1"] * MANY),
    "branches": "select case a" + " when 1 then b + 1" * LINKS_MAX + " end",
    "comments": "select 1 " + "/* a + b */ " * MANY + "-- c + d\n" * MANY,
    "bracketed sums": "select " + " and ".join(["(a + b = c)"] * LINKS_MAX),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_that_the_parser_would_not_survive_is_refused(name: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_script(CHAINS[name])
    assert caught.value.sqlstate == "54001"


@pytest.mark.parametrize("name", LISTS)
def test_a_list_may_be_as_long_as_it_likes(name: str) -> None:
    assert len(parse_script(LISTS[name])) == 1


@pytest.mark.parametrize("text", ["'it''s, and (' + ", '"a, b" + ', "é + 'ü, and' + ", "$1 + "])
def test_separators_inside_strings_and_names_end_no_chain(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_script("select " + text * MANY + "1")
    assert caught.value.sqlstate == "54001"


@pytest.mark.parametrize("text", ["e'\\', ' + ", "$$, $$ + ", "1 /* , */ + ", "1 -- ,\n + "])
def test_separators_inside_escapes_and_comments_end_no_chain(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_script("select " + text * MANY + "1")
    assert caught.value.sqlstate == "54001"
