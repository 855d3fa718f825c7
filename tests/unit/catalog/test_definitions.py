from __future__ import annotations

from dsql.catalog.definitions import (
    check_definition,
    index_definition,
    key_definition,
)
from dsql.catalog.schema import Table


def test_a_primary_key_prints_with_all_its_columns_in_the_dsql_profile(orders: Table) -> None:
    assert index_definition(orders.indexes[0], orders, "dsql") == (
        'CREATE UNIQUE INDEX "Orders_pkey" ON public."Orders" USING btree_index (id) '
        "INCLUDE (status, total)"
    )
    assert index_definition(orders.indexes[0], orders, "postgres") == (
        'CREATE UNIQUE INDEX "Orders_pkey" ON public."Orders" USING btree (id)'
    )


def test_an_index_prints_its_order_expression_and_predicate(orders: Table) -> None:
    assert index_definition(orders.indexes[1], orders, "dsql") == (
        'CREATE INDEX by_status ON public."Orders" USING btree_index '
        "(status DESC, lower((status)::text)) INCLUDE (total) WHERE (total > 0)"
    )


def test_constraints_print_as_alter_table_takes_them(orders: Table) -> None:
    assert key_definition(orders.indexes[0], orders) == "PRIMARY KEY (id)"
    assert check_definition(orders.checks[0]) == "CHECK ((total > 0))"
