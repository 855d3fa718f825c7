"""Binds FROM: tables, views, subqueries, functions, and joins with their merged columns.

NATURAL and USING leave no trace but their result: a merged column is the left one for an inner or left
join, the right one for a right join, and COALESCE of both for a full join; the condition is the pairs'
equality.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlglot import exp

from dsql.access.authorize import check
from dsql.access.privileges import Privilege
from dsql.access.requirements import usage_of
from dsql.catalog.schema import Table
from dsql.catalog.virtual import VirtualTable
from dsql.errors import SqlError, unsupported
from dsql.sql import coercion
from dsql.sql.bound import And, Call, Coalesce, Expression
from dsql.sql.bound_query import (
    CteEntry,
    EntryColumn,
    FromEntry,
    FromItem,
    FromJoin,
    FunctionEntry,
    Query,
    SubqueryEntry,
    TableEntry,
    ValuesEntry,
    VirtualEntry,
)
from dsql.sql.expressions import bind_boolean, bind_expression
from dsql.sql.names import output_name
from dsql.sql.scope import Item, ItemColumn, Scope, entry_item
from dsql.sql.tree import position_of
from dsql.sql.type_names import resolve_type
from dsql.types import oids


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
        item = _relation(scope, tree)
    return FromEntry(item.entry), [item]


# ---------------------------------------------------------------- aliases


def _renamed(
    columns: list[EntryColumn], alias: exp.Expression | None, name: str, position: int
) -> str:
    """Apply an alias to an entry's columns and return the entry's name."""
    if alias is None:
        return name
    name = alias.this.args["this"]
    given = alias.args.get("columns") or ()
    visible = [column for column in columns if not column.hidden]
    if len(given) > len(visible):
        raise SqlError(
            "42P10",
            f'table "{name}" has {len(visible)} columns available '
            f"but {len(given)} columns specified",
            position=position,
        )
    for column, new in zip(visible, given, strict=False):
        column.name = new.args["this"]
    return name


# ---------------------------------------------------------------- tables and views


def _relation(scope: Scope, tree: exp.Expression) -> Item:
    name = tree.this.args["this"]
    position = position_of(tree)
    alias = tree.args.get("alias")
    db = tree.args.get("db")
    if db is None:
        cte = scope.find_cte(name)
        if cte is not None:
            return _cte(scope, name, cte, alias, position)
    relation = find_relation(scope, tree)
    if isinstance(relation, VirtualTable):
        virtual = [EntryColumn(column, oid) for column, oid in relation.columns]
        shown = _renamed(virtual, alias, name, position)
        if not relation.acl:
            scope.binding.use(relation, Privilege.SELECT, scope.depth)
        entry: Any = VirtualEntry(alias=shown, columns=virtual, relation=relation)
    elif relation.kind == "v":
        entry = _view(scope, relation, alias, position)
    else:
        entry = table_entry(scope, relation, alias, position)
    return _shown(scope, entry, relation.schema if alias is None else "")


def _shown(scope: Scope, entry: Any, schema: str = "") -> Item:
    return entry_item(entry, scope.add_entry(entry), schema)


def find_relation(scope: Scope, tree: exp.Expression) -> Table | VirtualTable:
    """Return the relation a Table tree names.

    Raises SqlError 42P01, and 42501 for a schema that is closed to the user.
    """
    binding = scope.binding
    name = tree.this.args["this"]
    db = tree.args.get("db")
    schema = db.args["this"] if db is not None else None
    if schema in binding.catalog.schemas and binding.authority is not None:
        check(usage_of(binding.catalog.schemas[schema]), binding.authority)
    found = binding.catalog.find_relation(schema, name, binding.search_path)
    if found is None:
        shown = name if schema is None else f"{schema}.{name}"
        raise _missing_relation(scope, shown, position_of(tree))
    if isinstance(found, Table):
        binding.tables.add(found.oid)
    return found


def _missing_relation(scope: Scope, name: str, position: int) -> SqlError:
    detail = hint = ""
    level: Scope | None = scope
    while level is not None:
        if name in level.later_ctes:
            detail = (
                f'There is a WITH item named "{name}", '
                "but it cannot be referenced from this part of the query."
            )
            hint = "Use WITH RECURSIVE, or re-order the WITH items to remove forward references."
        level = level.parent
    return SqlError(
        "42P01",
        f'relation "{name}" does not exist',
        detail=detail,
        hint=hint,
        position=position,
    )


def table_entry(
    scope: Scope, table: Table, alias: exp.Expression | None, position: int
) -> TableEntry:
    """Return the entry of a stored table."""
    columns = [
        EntryColumn(column.name, column.type_oid, column.typmod, table.oid, column.number)
        for column in table.columns
        if not column.dropped
    ]
    name = _renamed(columns, alias, table.name, position)
    use = scope.binding.use(table, Privilege.SELECT, scope.depth)
    return TableEntry(alias=name, columns=columns, use=use, table=table)


def _view(scope: Scope, view: Table, alias: exp.Expression | None, position: int) -> SubqueryEntry:
    from dsql.sql.views import bind_view

    use = scope.binding.use(view, Privilege.SELECT, scope.depth)
    query = bind_view(scope.binding, view)
    columns = [
        EntryColumn(
            column.name,
            target.expression.type_oid,
            target.expression.typmod,
            view.oid,
            column.number,
        )
        for column, target in zip(view.live_columns, query.targets, strict=False)
    ]
    name = _renamed(columns, alias, view.name, position)
    return SubqueryEntry(alias=name, columns=columns, use=use, query=query)


def _cte(scope: Scope, name: str, found: Any, alias: exp.Expression | None, position: int) -> Item:
    cte, index, levels = found
    cte.references += 1
    columns = [
        EntryColumn(c.name, c.type_oid, c.typmod, c.table_oid, c.number) for c in cte.columns
    ]
    if not isinstance(cte.statement, Query) and cte.statement.returning is None:
        raise unsupported(
            f'WITH query "{name}" does not have a RETURNING clause', position=position
        )
    shown = _renamed(columns, alias, name, position)
    return _shown(
        scope, CteEntry(alias=shown, columns=columns, index=index, levels_up=levels, name=name)
    )


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
    from dsql.sql.query import bind_query, is_plain_values, query_columns

    alias = tree.args.get("alias")
    lateral = bool(tree.args.get("lateral"))
    position = position_of(tree)
    with _barrier(scope, lateral):
        if is_plain_values(tree.this):
            return _values(scope, tree.this, alias, lateral, position)
        query = bind_query(scope.child(), tree.this)
    columns = query_columns(query)
    name = _renamed(columns, alias, "unnamed_subquery", position)
    entry = SubqueryEntry(alias=name, columns=columns, query=query, lateral=lateral)
    return _named_item(_shown(scope, entry), alias)


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
    from dsql.sql.query import bind_values

    rows, columns = bind_values(scope, tree)
    name = _renamed(columns, alias, "unnamed_subquery", position)
    entry = ValuesEntry(alias=name, columns=columns, rows=rows, lateral=lateral)
    return _named_item(_shown(scope, entry), alias)


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
            calls.append(call)
            columns.extend(_function_columns(call, call_tree, alias, definitions, len(trees)))
    if tree.args.get("ordinality"):
        columns.append(EntryColumn("ordinality", oids.INT8))
    fallback = output_name(trees[0])
    name = _renamed(columns, alias, fallback, position)
    entry = FunctionEntry(
        alias=name, columns=columns, calls=calls, ordinality=bool(tree.args.get("ordinality"))
    )
    return _shown(scope, entry)


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


def _function_columns(
    call: Expression,
    tree: exp.Expression,
    alias: exp.Expression | None,
    definitions: Any,
    calls: int,
) -> list[EntryColumn]:
    """Return the columns one function offers: its own, those written, or the one it returns."""
    if definitions:
        if call.type_oid != oids.RECORD:
            raise SqlError(
                "42601",
                'a column definition list is only allowed for functions returning "record"',
                position=position_of(tree),
            )
        return [
            EntryColumn(d.this.args["this"], *resolve_type(d.args["kind"])) for d in definitions
        ]
    if isinstance(call, Call) and call.function.columns:
        return [EntryColumn(name, oid) for name, oid in call.function.columns]
    if call.type_oid == oids.RECORD:
        raise SqlError(
            "42601",
            'a column definition list is required for functions returning "record"',
            position=position_of(tree),
        )
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
    names = _merged_names(tree, left_items, right_items)
    visible = [*left_items, *right_items]
    if names is not None:
        condition, join_item = _merge(scope, side, names, left_items, right_items, tree)
        for item in visible:
            item.columns_visible = False
        visible.append(join_item)
    else:
        condition = _condition(scope, tree, before, visible)
    scope.items = before
    joined = FromJoin(side, left, right, condition)
    alias = tree.args.get("alias")
    if alias is not None:
        visible = [_aliased_join(visible, alias)]
    return joined, visible


def _condition(
    scope: Scope, tree: exp.Join, before: list[Item], visible: list[Item]
) -> Expression | None:
    """Bind ON, which sees the two sides of the join; what is left of them for LATERAL only."""
    from dsql.sql.calls import clause

    if tree.args.get("on") is None:
        return None
    hidden = [(item, item.columns_visible, item.relation_visible) for item in before]
    for item, _, _ in hidden:
        item.columns_visible = item.relation_visible = False
    scope.items = [*before, *visible]
    try:
        with clause(scope, "JOIN conditions"):
            return bind_boolean(scope, tree.args["on"], "JOIN/ON")
    finally:
        for item, columns, relation in hidden:
            item.columns_visible, item.relation_visible = columns, relation


def _offered(items: list[Item]) -> list[ItemColumn]:
    return [
        column
        for item in items
        if item.columns_visible
        for column in item.columns
        if not column.hidden
    ]


def _merged_names(tree: exp.Join, left: list[Item], right: list[Item]) -> list[str] | None:
    """Return the names NATURAL or USING merges, None for a join without either."""
    if tree.args.get("natural"):
        theirs = {column.name for column in _offered(right)}
        return list(dict.fromkeys(c.name for c in _offered(left) if c.name in theirs))
    using = [name.args["this"] for name in tree.args.get("using") or ()]
    for name in using:
        if using.count(name) > 1:
            raise SqlError("42701", f'column name "{name}" appears more than once in USING clause')
    return using or None


def _merge(
    scope: Scope,
    side: str,
    names: list[str],
    left: list[Item],
    right: list[Item],
    tree: exp.Join,
) -> tuple[Expression | None, Item]:
    from dsql.sql.operators import make_operator

    pairs, merged = [], []
    for name in names:
        a, b = _only(left, name, "left"), _only(right, name, "right")
        scope.read(a.expression)
        scope.read(b.expression)
        pairs.append(make_operator(scope, "=", a.expression, b.expression, 0))
        merged.append(ItemColumn(name, _merged(scope, side, a.expression, b.expression)))
    rest = [column for column in _offered([*left, *right]) if column.name not in names]
    if not pairs:
        condition: Expression | None = None
    elif len(pairs) == 1:
        condition = pairs[0]
    else:
        condition = And(type_oid=oids.BOOL, arguments=pairs)
    using_alias = tree.args.get("using_alias")
    if using_alias is not None:
        raise unsupported("an alias for USING columns is not supported")
    return condition, Item(None, [*merged, *rest])


def _only(items: list[Item], name: str, side: str) -> ItemColumn:
    matches = [column for column in _offered(items) if column.name == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise SqlError(
            "42702", f'common column name "{name}" appears more than once in {side} table'
        )
    raise SqlError(
        "42703", f'column "{name}" specified in USING clause does not exist in {side} table'
    )


def _merged(scope: Scope, side: str, a: Expression, b: Expression) -> Expression:
    (left, right), type_oid, typmod = coercion.unify(scope.binding, [a, b], "JOIN/USING")
    if side == "full":
        return Coalesce(type_oid=type_oid, typmod=typmod, arguments=[left, right])
    return right if side == "right" else left


def _aliased_join(visible: list[Item], alias: exp.Expression) -> Item:
    """A join's alias hides its sides and renames its columns."""
    columns = [ItemColumn(c.name, c.expression) for c in _offered(visible)]
    given = alias.args.get("columns") or ()
    name = alias.this.args["this"]
    if len(given) > len(columns):
        raise SqlError(
            "42P10",
            f'column alias list for "{name}" has too many entries',
        )
    for column, new in zip(columns, given, strict=False):
        column.name = new.args["this"]
    return Item(name, columns)
