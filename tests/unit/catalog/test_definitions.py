from __future__ import annotations

import pytest

from dsql.catalog.definitions import (
    check_definition,
    index_definition,
    key_definition,
    quote_identifier,
)
from dsql.catalog.names import split_name
from dsql.catalog.schema import Table
from dsql.errors import SqlError


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


def test_a_primary_key_prints_with_all_its_columns(orders: Table) -> None:
    assert index_definition(orders.indexes[0], orders) == (
        'CREATE UNIQUE INDEX "Orders_pkey" ON public."Orders" USING btree_index (id) '
        "INCLUDE (status, total)"
    )


def test_an_index_prints_its_order_expression_and_predicate(orders: Table) -> None:
    assert index_definition(orders.indexes[1], orders) == (
        'CREATE INDEX by_status ON public."Orders" USING btree_index '
        "(status DESC, lower((status)::text)) INCLUDE (total) WHERE (total > 0)"
    )


def test_constraints_print_as_alter_table_takes_them(orders: Table) -> None:
    assert key_definition(orders.indexes[0], orders) == "PRIMARY KEY (id)"
    assert check_definition(orders.checks[0]) == "CHECK ((total > 0))"


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a", ["a"]), ("S.T", ["s", "t"]), ('"S"."a.b"', ["S", "a.b"]), ('"a""b"', ['a"b'])],
)
def test_qualified_names_are_split_as_sql_reads_them(text: str, parts: list[str]) -> None:
    assert split_name(text) == parts


@pytest.mark.parametrize("text", ["", "a.", "a.b.c", ".a"])
def test_impossible_names_are_refused(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        split_name(text)
    assert caught.value.sqlstate == "42602"
