from __future__ import annotations

import pytest

from dsql.catalog.catalog import Catalog
from dsql.sql.gate import parse_statement
from dsql.sql.views import bind_definition, view_text
from dsql.types.type import FormatSettings


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            "select id from accounts a where exists (select 1 from orders)",
            "SELECT id FROM public.accounts AS a WHERE EXISTS (SELECT 1 FROM public.orders)",
        ),
        (
            "with orders as (select 1 as x) select x from orders",
            "WITH orders AS (SELECT 1 AS x) SELECT x FROM orders",
        ),
        (
            "select i.*, 1 as one from items i",
            "SELECT i.order_id, i.line, i.sku, i.qty, i.doubled, 1 AS one FROM public.items AS i",
        ),
        (
            "select * from rich r join (select 1 as id) s using (id)",
            "SELECT r.id, r.name, r.twice FROM public.rich AS r "
            "JOIN (SELECT 1 AS id) AS s USING (id)",
        ),
        (
            "select * from rich union all select 1, 'x', 2",
            "(SELECT rich.id, rich.name, rich.twice FROM public.rich) UNION ALL (SELECT 1, 'x', 2)",
        ),
    ],
)
def test_view_keeps_what_its_names_meant_when_it_was_made(
    catalog: Catalog, query: str, text: str
) -> None:
    parsed = parse_statement(f"create view v as {query}")
    bound, tables = bind_definition(parsed, catalog, ("public",), FormatSettings())
    assert view_text(parsed, bound, catalog, ("public",)) == text
    assert all(oid > 20_000 for oid in tables)
