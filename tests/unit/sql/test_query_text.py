"""A query's text binds again to the same query, whoever it is written for."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsql.catalog.catalog import Catalog
from dsql.errors import SqlError
from dsql.sql.binding import Binding
from dsql.sql.bound_query import Query
from dsql.sql.gate import parse_stored
from dsql.sql.query import bind_query
from dsql.sql.query_names import TextStyle
from dsql.sql.query_text import query_text
from dsql.sql.scope import Scope
from dsql.sql.tree_query import statement_tree
from dsql.types.type import FormatSettings

HERE = Path(__file__).parent
STORED = TextStyle()
SHOWN = TextStyle(("public",))
PRETTY = TextStyle(("public",), is_pretty=True)


def queries() -> list[str]:
    answered = (HERE / "bindings.txt").read_text().split("\n> ")[1:]
    statements = [block.partition("\n")[0] for block in answered]
    asked = (HERE.parents[1] / "differential" / "queries.sql").read_text().split(";\n")
    words = ("select", "values", "with recursive", "(")
    return [each for each in [*statements, *asked] if each.strip().lower().startswith(words)]


def bound(catalog: Catalog, text: str, path: tuple[str, ...] = ("public",)) -> Query | None:
    binding = Binding(catalog, path, FormatSettings(), [], profile="postgres", folding=False)
    try:
        return bind_query(Scope(binding), statement_tree(parse_stored(text)))
    except SqlError:
        return None


def test_a_text_means_what_it_was_made_from(catalog: Catalog):
    checked = 0
    for text in queries():
        first = bound(catalog, text)
        if first is None or any(not isinstance(cte.statement, Query) for cte in first.ctes):
            continue
        stored = query_text(first, catalog, STORED)
        again = bound(catalog, stored, ())  # nothing in it needs a search path
        assert again is not None, stored
        settled = query_text(again, catalog, STORED)
        for style in (SHOWN, PRETTY):
            shown = bound(catalog, query_text(again, catalog, style))
            assert shown is not None, text
            assert query_text(shown, catalog, STORED) == settled, text
        checked += 1
    assert checked > 150


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            "select id from accounts a where exists (select 1 from orders)",
            " SELECT a.id\n   FROM public.accounts a\n"
            "  WHERE (EXISTS ( SELECT 1\n           FROM public.orders))",
        ),
        (
            "with orders as (select 1 as x) select x from orders",
            " WITH orders AS (\n         SELECT 1 AS x\n        )\n"
            " SELECT orders.x\n   FROM orders",
        ),
        (
            "select * from rich r(a) join (select 1 as id) s on a = s.id",
            " SELECT r.a,\n    r.name,\n    r.twice,\n    s.id\n"
            "   FROM (public.rich r(a, name, twice)\n"
            "     JOIN ( SELECT 1 AS id) s ON ((r.a = s.id)))",
        ),
        (
            "select r from rich r where row_to_json(r) is not null",
            " SELECT r AS r\n   FROM public.rich r\n  WHERE (row_to_json(r.*) IS NOT NULL)",
        ),
        (
            "select 1 union all select 2 except select 3",
            '(\n         SELECT 1 AS "?column?"\n        UNION ALL\n         SELECT 2\n'
            ") EXCEPT\n SELECT 3",
        ),
    ],
)
def test_texts_are_laid_out_as_postgresql_does(catalog: Catalog, query: str, text: str):
    first = bound(catalog, query)
    assert first is not None
    assert query_text(first, catalog, STORED) == text
