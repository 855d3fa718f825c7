"""Binds FROM: its list, its joins, subqueries, VALUES and functions, and what LATERAL may see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlglot import exp

from dsql.errors import SqlError
from dsql.functions.function import Function
from dsql.sql.bound import Call, Expression
from dsql.sql.bound_query import (
    EntryColumn,
    FromEntry,
    FromItem,
    FromJoin,
    FunctionEntry,
    Query,
    SubqueryEntry,
    ValuesEntry,
)
from dsql.sql.expressions import bind_expression
from dsql.sql.joins import aliased_join, join_condition, merge, merged_names
from dsql.sql.names import output_name
from dsql.sql.relations import bind_relation, renamed, shown_item
from dsql.sql.scope import Item, Scope
from dsql.sql.sql_functions import define_columns
from dsql.sql.targets import query_columns
from dsql.sql.tree import position_of
from dsql.sql.type_names import resolve_type
from dsql.sql.values import bind_values, is_plain_values
from dsql.sql.walk import has_variables
from dsql.types import oids, registry


def bind_from(scope: Scope, tree: exp.From | None) -> list[FromItem]:
    """Bind a FROM list into `scope` and return its join trees."""
    items: list[FromItem] = []
    for item in tree.expressions if tree is not None else ():
        before = list(scope.items)
        with _lateral(before):
            joined, visible = _from_item(scope, item)
        _check_names(before, visible)
        scope.items = [*before, *visible]
        items.append(joined)
    return items


@contextmanager
def _lateral(before: list[Item]) -> Iterator[None]:
    """While a FROM item is bound, the items to its left are for LATERAL places only."""
    for item in before:
        item.lateral_only = True
    try:
        yield
    finally:
        for item in before:
            item.lateral_only = False


def _check_names(before: list[Item], added: list[Item]) -> None:
    # Two tables of one name may meet without aliases if their schemas differ.
    names = {(item.alias, item.schema) for item in before if item.relation_visible}
    for item in added:
        if item.alias is None or not item.relation_visible:
            continue
        key = (item.alias, item.schema)
        if key in names:
            raise SqlError("42712", f'table name "{item.alias}" specified more than once')
        names.add(key)


def _from_item(scope: Scope, tree: exp.Expression) -> tuple[FromItem, list[Item]]:
    """Bind one FROM item; return its join tree and the items it shows."""
    if isinstance(tree, exp.Join):
        return _join(scope, tree)
    if isinstance(tree, exp.Subquery):
        item = _subquery(scope, tree)
    elif tree.args.get("rows_from"):
        item = _functions(scope, tree)
    else:
        item = bind_relation(scope, tree)
    return FromEntry(item.entry), [item]


# ---------------------------------------------------------------- aliases


# ---------------------------------------------------------------- tables and views


# ---------------------------------------------------------------- subqueries


@contextmanager
def _barrier(scope: Scope, lateral: bool) -> Iterator[None]:
    """Hide the FROM items to the left from a subquery that is not LATERAL."""
    if lateral:
        hidden = [item for item in scope.items if not item.lateral_only]
    else:
        hidden = list(scope.items)
    flags = [(item, item.relation_visible, item.columns_visible) for item in hidden]
    for item in hidden:
        item.relation_visible = item.columns_visible = False
    try:
        yield
    finally:
        for item, relation, columns in flags:
            item.relation_visible, item.columns_visible = relation, columns


def _subquery(scope: Scope, tree: exp.Subquery) -> Item:
    from dsql.sql.query import bind_query

    alias = tree.args.get("alias")
    lateral = bool(tree.args.get("lateral"))
    position = position_of(tree)
    with _barrier(scope, lateral):
        if is_plain_values(tree.this):
            return _values(scope, tree.this, alias, lateral, position)
        query = bind_query(scope.child(), tree.this)
    columns = query_columns(query)
    name = renamed(columns, alias, "unnamed_subquery", position)
    entry = SubqueryEntry(alias=name, columns=columns, query=query, lateral=lateral)
    return _named_item(shown_item(scope, entry), alias)


def _named_item(item: Item, alias: exp.Expression | None) -> Item:
    if alias is None:
        item.relation_visible = False
    return item


def _values(
    scope: Scope,
    tree: exp.Expression,
    alias: exp.Expression | None,
    lateral: bool,
    position: int,
) -> Item:
    """Bind (VALUES ...) AS name in place: its rows may be LATERAL."""
    rows, columns = bind_values(scope, tree)
    name = renamed(columns, alias, "unnamed_subquery", position)
    entry = ValuesEntry(alias=name, columns=columns, rows=rows, lateral=lateral)
    return _named_item(shown_item(scope, entry), alias)


# ---------------------------------------------------------------- functions


def _functions(scope: Scope, tree: exp.Expression) -> Item:
    from dsql.sql.calls import clause

    position = position_of(tree)
    calls: list[Expression] = []
    columns: list[EntryColumn] = []
    alias = tree.args.get("alias")
    definitions = tree.args.get("column_definitions") or ()
    trees = [call for item in tree.args["rows_from"] for call in _unnested(item)]
    with clause(scope, "functions in FROM"):
        for call_tree in trees:
            call = bind_expression(scope, call_tree)
            defined = call_tree.args.get("column_definitions") or definitions
            own = _function_columns(call, call_tree, alias, defined, len(trees))
            if defined and isinstance(call, Call) and call.function.shape is not None:
                call.function = _shaped(call.function, own)
            calls.append(call)
            columns.extend(own)
    if len(calls) == 1 and not definitions and not tree.args.get("ordinality"):
        query = _inlined(scope, calls[0])
        if query is not None:
            name = renamed(columns, alias, output_name(trees[0]), position)
            lateral = any(map(has_variables, _arguments_of(calls[0])))
            entry = SubqueryEntry(alias=name, columns=columns, query=query, lateral=lateral)
            item = shown_item(scope, entry)
            item.of_function = True
            return item
    if tree.args.get("ordinality"):
        columns.append(EntryColumn("ordinality", oids.INT8))
    fallback = output_name(trees[0])
    name = renamed(columns, alias, fallback, position)
    functions = FunctionEntry(
        alias=name, columns=columns, calls=calls, ordinality=bool(tree.args.get("ordinality"))
    )
    return shown_item(scope, functions)


def _inlined(scope: Scope, call: Expression) -> Query | None:
    """Return the query that a lone call of a function of the catalog is, None if it stays a call."""
    from dsql.sql.inlining import inlined_query

    own = isinstance(call, Call) and call.function.definition is not None
    return inlined_query(scope, call) if own and isinstance(call, Call) else None


def _arguments_of(call: Expression) -> list[Expression]:
    return call.arguments if isinstance(call, Call) else []


def _shaped(function: Function, columns: list[EntryColumn]) -> Function:
    """Return a function whose records have the columns that are defined here."""
    assert function.shape is not None
    defined = tuple((column.name, column.type_oid, column.typmod) for column in columns)
    return replace(
        function,
        implementation=function.shape(defined),
        columns=tuple((name, type_oid) for name, type_oid, _ in defined),
    )


def _unnested(tree: exp.Expression) -> list[exp.Expression]:
    """In FROM, unnest(a, b) is ROWS FROM (unnest(a), unnest(b))."""
    many = isinstance(tree, exp.Anonymous) and tree.this == "unnest" and len(tree.expressions) > 1
    if not many or tree.args.get("schema"):
        return [tree]
    calls: list[exp.Expression] = []
    for argument in tree.expressions:
        call = exp.Anonymous(this="unnest", expressions=[argument])
        call._meta = tree._meta
        calls.append(call)
    return calls


def _redundant(function: Function, position: int) -> SqlError:
    """Return the error of columns that are defined for a function that has its own."""
    definition = function.definition
    named = definition is not None and not definition.outputs
    what = "returning a named composite type" if named else "with OUT parameters"
    message = f"a column definition list is redundant for a function {what}"
    return SqlError("42601", message, position=position)


def _function_columns(
    call: Expression,
    tree: exp.Expression,
    alias: exp.Expression | None,
    definitions: Any,
    calls: int,
) -> list[EntryColumn]:
    """Return the columns one function offers: its own, those written, or the one it returns."""
    if definitions:
        if isinstance(call, Call) and call.function.columns:
            raise _redundant(call.function, position_of(tree))
        if call.type_oid != oids.RECORD:
            raise SqlError(
                "42601",
                'a column definition list is only allowed for functions returning "record"',
                position=position_of(tree),
            )
        columns = [
            EntryColumn(d.this.args["this"], *resolve_type(d.args["kind"])) for d in definitions
        ]
        if isinstance(call, Call) and call.function.definition is not None:
            named = tuple((column.name, column.type_oid) for column in columns)
            define_columns(call, named, tuple(column.typmod for column in columns))
        return columns
    kind = registry.get(call.type_oid)
    if isinstance(call, Call) and kind.fields and not call.function.columns:
        spread = tuple((name, oid) for name, oid, _ in kind.fields)
        call.function = replace(call.function, columns=spread)  # its rows are spread out
    if isinstance(call, Call) and call.function.columns:
        return [EntryColumn(name, oid) for name, oid in call.function.columns]
    if call.type_oid == oids.RECORD:
        raise SqlError(
            "42601",
            'a column definition list is required for functions returning "record"',
            position=position_of(tree),
        )
    definition = call.function.definition if isinstance(call, Call) else None
    if definition is not None and definition.outputs and definition.outputs[0].name:
        return [EntryColumn(definition.outputs[0].name, call.type_oid)]
    # The alias of a single scalar function names its column as well.
    name = output_name(tree)
    if alias is not None and calls == 1:
        name = alias.this.args["this"]
    return [EntryColumn(name, call.type_oid, call.typmod)]


# ---------------------------------------------------------------- joins


def _join(scope: Scope, tree: exp.Join) -> tuple[FromItem, list[Item]]:
    left, left_items = _from_item(scope, tree.this)
    side = (tree.args.get("side") or "inner").lower()
    before = list(scope.items)
    # The left side is visible to LATERAL items of the right one, unless the join may null it.
    for item in left_items:
        item.lateral_only = True
        item.lateral_ok = side in ("inner", "left")
    scope.items = [*before, *left_items]
    right, right_items = _from_item(scope, tree.args["expression"])
    for item in left_items:
        item.lateral_only, item.lateral_ok = False, True
    _check_names(left_items, right_items)
    names = merged_names(tree, left_items, right_items)
    visible = [*left_items, *right_items]
    if names is not None:
        condition, join_item = merge(scope, side, names, left_items, right_items, tree)
        for item in visible:
            item.columns_visible = False
        visible.append(join_item)
    else:
        condition = join_condition(scope, tree, before, visible)
    scope.items = before
    joined = FromJoin(side, left, right, condition)
    alias = tree.args.get("alias")
    if alias is not None:
        visible = [aliased_join(visible, alias)]
    return joined, visible
