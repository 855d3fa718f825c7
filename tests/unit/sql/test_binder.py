"""The binder says of a statement what PostgreSQL says; bindings.txt holds PostgreSQL's answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dsql.catalog.catalog import Catalog
from dsql.errors import SqlError
from dsql.sql import bound as b
from dsql.sql import bound_query
from dsql.sql.binder import ColumnExpression, bind, bind_column_expression
from dsql.sql.gate import parse_statement
from dsql.sql.walk import nodes
from dsql.types import oids
from dsql.types.type import FormatSettings

Bind = Callable[..., bound_query.BoundStatement]


def answered() -> Iterator[tuple[str, str]]:
    text = (Path(__file__).parent / "bindings.txt").read_text()
    for block in text.split("\n> ")[1:]:
        *statement, answer = block.strip().rsplit("\ncolumns", 1)
        if statement:
            yield statement[0], f"columns{answer}"
        else:
            query, _, error = block.strip().rpartition("\nerror ")
            yield query, f"error {error}"


def described(statement: bound_query.BoundStatement) -> str:
    body = statement.statement
    targets = body.targets if isinstance(body, bound_query.Query) else body.returning or []
    columns = [
        f"{t.name} {t.expression.type_oid} {t.expression.typmod}" for t in targets if not t.junk
    ]
    text = f"columns {', '.join(columns)}"
    if statement.parameter_types:
        text += "\nparameters " + " ".join(map(str, statement.parameter_types))
    return text.strip()


@pytest.mark.parametrize(("statement", "expected"), list(answered()))
def test_answer_is_that_of_postgresql(bound: Bind, statement: str, expected: str) -> None:
    try:
        answer = described(bound(statement))
    except SqlError as error:
        answer = f"error {error.sqlstate} at {error.position}: {error.message}"
    assert answer == expected.strip()


def only_target(statement: bound_query.BoundStatement) -> b.Expression:
    assert isinstance(statement.statement, bound_query.Query)
    return statement.statement.targets[0].expression


def test_comparison_shows_its_strategy_to_the_planner(bound: Bind) -> None:
    query = bound("select id from accounts where 5 < id").statement
    assert isinstance(query, bound_query.Query)
    assert isinstance(query.where, b.Call)
    assert (query.where.strategy, query.where.commutator) == ("<", ">")


def test_literal_takes_its_type_at_once(bound: Bind) -> None:
    expression = only_target(bound("select '12'::int"))
    assert isinstance(expression, b.Constant)
    assert expression.value == 12


def test_in_list_of_constants_is_one_array(bound: Bind) -> None:
    query = bound("select id from accounts where id in (1, 2, 3)").statement
    assert isinstance(query, bound_query.Query)
    assert isinstance(query.where, b.ArrayCompare)
    assert isinstance(query.where.array, b.Constant)
    assert query.where.array.value == [1, 2, 3]
    assert query.where.strategy == "="


def test_sort_key_is_the_target_itself(bound: Bind) -> None:
    query = bound("select name, id from accounts order by 2, lower(name)").statement
    assert isinstance(query, bound_query.Query)
    assert query.order_by[0].expression is query.targets[1].expression
    assert query.targets[2].junk
    assert query.order_by[1].expression is query.targets[2].expression


def test_correlated_reference_counts_the_queries_between(bound: Bind) -> None:
    text = (
        "select (select 1 from orders o where o.id = (select a.id union select 2)) from accounts a"
    )
    subquery = only_target(bound(text))
    assert isinstance(subquery, b.ScalarSubquery)
    where = subquery.query.where
    assert isinstance(where, b.Call)
    inner = where.arguments[1]
    assert isinstance(inner, (b.ScalarSubquery, b.Call))
    scalar = inner.arguments[0] if isinstance(inner, b.Call) else inner
    assert isinstance(scalar, b.ScalarSubquery)
    operation = scalar.query.set_operation
    assert operation is not None
    column = operation.left.targets[0].expression
    assert isinstance(column, b.ColumnRef)
    assert column.levels_up == 3  # the arm, the union, the subquery: then accounts


def test_insert_gives_defaults_for_the_columns_not_named(bound: Bind) -> None:
    insert = bound("insert into items (order_id, line) values (1, 2)").statement
    assert isinstance(insert, bound_query.Insert)
    assert insert.column_numbers == [1, 2]
    assert [number for number, _ in insert.defaults] == [4]
    assert [number for number, _ in insert.generated] == [5]
    assert [name for name, _ in insert.checks] == ["items_qty_check"]
    assert list(insert.index_expressions) == [(20023, 0)]


def test_insert_select_takes_the_types_of_the_columns(bound: Bind) -> None:
    insert = bound("insert into accounts (id, name) select distinct id, note from orders").statement
    assert isinstance(insert, bound_query.Insert)
    assert [t.expression.type_oid for t in insert.source.targets] == [oids.INT4, oids.TEXT]


def test_on_conflict_names_the_indexes_that_arbitrate(bound: Bind) -> None:
    text = (
        "insert into items (order_id, line) values (1, 1) on conflict (line, order_id) do nothing"
    )
    insert = bound(text).statement
    assert isinstance(insert, bound_query.Insert)
    assert insert.on_conflict is not None
    assert insert.on_conflict.index_oids == [20013]


def test_on_conflict_without_such_an_index_is_refused(bound: Bind) -> None:
    with pytest.raises(SqlError, match="no unique or exclusion constraint") as caught:
        bound("insert into accounts (id, name) values (1, 'x') on conflict (name) do nothing")
    assert caught.value.sqlstate == "42P10"


def test_view_is_a_subquery_that_depends_on_what_it_reads(bound: Bind) -> None:
    statement = bound("select twice from rich")
    assert isinstance(statement.statement, bound_query.Query)
    assert isinstance(statement.statement.range_table[0], bound_query.SubqueryEntry)
    assert statement.tables == {20001, 20005}
    assert [(use.relation.oid, use.as_role) for use in statement.required] == [
        (20005, 0),
        (20001, 10),  # the view's owner reads what the view reads
    ]


def test_row_marks_name_the_locked_entries(bound: Bind) -> None:
    text = "select * from accounts a join orders o on true for update of a for key share of o"
    query = bound(text).statement
    assert isinstance(query, bound_query.Query)
    assert query.row_marks == [(0, "update"), (1, "key share")]


def test_update_with_a_row_from_a_query_evaluates_it_once(bound: Bind) -> None:
    text = "update accounts set (name, balance) = (select note, total from orders limit 1)"
    update = bound(text).statement
    assert isinstance(update, bound_query.Update)
    records = {
        id(node)
        for _, expression in update.assignments
        for node in _inside(expression)
        if isinstance(node, b.ScalarSubquery)
    }
    assert len(records) == 1


def _inside(expression: b.Expression) -> Iterator[b.Expression]:
    return (node for node, _ in nodes(expression))


def test_union_arm_reaches_out_of_its_cast_wrapper(bound: Bind) -> None:
    text = (
        "select (select max(v) from (select distinct a.id as v union all select 2.5) s) "
        "from accounts a"
    )
    bound(text)


def test_parameter_declared_by_the_client_keeps_its_type(bound: Bind) -> None:
    assert bound("select $1 + 1", [oids.INT8]).parameter_types == [oids.INT8]


def test_two_types_for_one_parameter_are_refused(bound: Bind) -> None:
    with pytest.raises(SqlError, match="inconsistent types deduced for parameter") as caught:
        bound("insert into accounts (id, name) values ($1, $1)")
    assert caught.value.sqlstate == "42P08"
    assert caught.value.detail == "integer versus text"


def test_refused_function_is_named_in_the_dsql_profile_only(bound: Bind) -> None:
    with pytest.raises(SqlError, match="function pg_advisory_lock not supported"):
        bound("select pg_advisory_lock(1)", profile="dsql")


def test_collation_other_than_c_is_unknown(bound: Bind) -> None:
    with pytest.raises(SqlError, match='collation "fr_FR" for encoding "UTF8" does not exist'):
        bound('select name collate "fr_FR" from accounts')


def test_stored_expression_sees_the_row_as_entry_0(catalog: Catalog) -> None:
    table = catalog.tables["public", "items"]
    expression = bind_column_expression(
        "qty + 1 > line",
        table,
        catalog,
        ("public",),
        FormatSettings(),
        use=ColumnExpression("check constraints"),
    )
    columns = [node for node in _inside(expression) if isinstance(node, b.ColumnRef)]
    assert {(column.entry, column.column) for column in columns} == {(0, 3), (0, 1)}


def test_default_of_a_wrong_type_is_refused(catalog: Catalog) -> None:
    table = catalog.tables["public", "accounts"]
    with pytest.raises(SqlError, match="but default expression is of type boolean"):
        bind_column_expression(
            "true",
            table,
            catalog,
            ("public",),
            FormatSettings(),
            use=ColumnExpression("DEFAULT expressions", table.columns[0]),
        )


def test_default_cannot_read_columns(catalog: Catalog) -> None:
    table = catalog.tables["public", "accounts"]
    with pytest.raises(SqlError, match="cannot use column reference in DEFAULT expression"):
        bind_column_expression(
            "id",
            table,
            catalog,
            ("public",),
            FormatSettings(),
            use=ColumnExpression("DEFAULT expressions", table.columns[0]),
        )


def test_deep_nesting_is_an_error_of_the_statement(bound: Bind) -> None:
    depth = sys.getrecursionlimit()
    with pytest.raises(SqlError, match="stack depth limit exceeded") as caught:
        bound("select " + "(" * 50 + "1" + ")" * 50 + " + 1" * depth)
    assert caught.value.sqlstate == "54001"


def test_view_that_reads_itself_is_refused(catalog: Catalog) -> None:
    view = catalog.tables["public", "rich"]
    looping = replace(view, view_definition="SELECT id, name, twice FROM public.rich")
    other = Catalog(2, catalog.schemas.values(), [looping], [])
    with pytest.raises(SqlError, match="infinite recursion"):
        bind(parse_statement("select * from rich"), other, ("public",), FormatSettings())
