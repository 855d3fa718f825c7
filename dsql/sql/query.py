"""Binds queries: SELECT, VALUES, set operations and WITH.

Sort keys and DISTINCT ON expressions that are also output columns are the very same objects as their
`Target.expression`; ORDER BY expressions that are not become junk targets. Every `Query` is one level for
`levels_up`, the two sides of a set operation included.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dsql.access.privileges import Privilege
from dsql.errors import SqlError, unsupported
from dsql.functions.coercion import CastContext
from dsql.sql import coercion
from dsql.sql.binding import Binding, type_name
from dsql.sql.bound import ColumnRef, Constant, Expression, SortKey
from dsql.sql.bound_query import (
    ConstantRows,
    EntryColumn,
    FromEntry,
    FunctionEntry,
    Query,
    SetOperation,
    SubqueryEntry,
    TableEntry,
    Target,
    ValuesEntry,
)
from dsql.sql.bulk import constant_rows
from dsql.sql.calls import clause, is_composite, sort_key
from dsql.sql.expressions import (
    bind_boolean,
    bind_expression,
    item_columns,
    record_columns,
    select_field,
)
from dsql.sql.from_clause import bind_from
from dsql.sql.grouping import (
    bind_group_by,
    check_grouping,
    check_target_count,
    clause_item,
    named_target,
    numbered_target,
)
from dsql.sql.names import output_name
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.sql.tree_query import rows_of
from dsql.sql.walk import any_node, lowest_level, nodes, same
from dsql.types import oids

TargetPair = tuple[exp.Expression, Target]
_SET_NAMES: dict[type[exp.Expression], str] = {
    exp.Union: "UNION",
    exp.Intersect: "INTERSECT",
    exp.Except: "EXCEPT",
}


def bind_query(scope: Scope, tree: exp.Expression, *, settle: bool = True) -> Query:
    """Bind a query in a fresh scope. Without `settle` unknown-typed output columns stay unknown."""
    from dsql.sql.ctes import bind_with

    if tree.args.get("with_") is not None:
        bind_with(scope, tree.args["with_"])
    if isinstance(tree, exp.Select):
        query = _select(scope, tree, settle)
    elif isinstance(tree, exp.Values):
        query = _values_query(scope, tree)
    else:
        query = _set_operation(scope, tree)
    query.ctes = scope.ctes
    check_target_count(len(query.targets))
    return query


# ---------------------------------------------------------------- SELECT


def _select(scope: Scope, tree: exp.Select, settle: bool) -> Query:
    args = tree.args
    query = Query(range_table=scope.range_table)
    query.from_items = bind_from(scope, args.get("from_"))
    scope.windows = {w.this.args["this"]: w for w in args.get("windows") or ()}
    if len(scope.windows) != len(args.get("windows") or ()):
        raise SqlError("42P20", "window is already defined")
    with clause(scope, "SELECT"):
        pairs = bind_targets(scope, tree.expressions)
    if args.get("where") is not None:
        with clause(scope, "WHERE"):
            query.where = bind_boolean(scope, args["where"].this, "WHERE")
    if args.get("having") is not None:
        with clause(scope, "HAVING"):
            query.having = bind_boolean(scope, args["having"].this, "HAVING")
        scope.aggregated = True
    if args.get("order") is not None:
        with clause(scope, "ORDER BY"):
            distinct = args.get("distinct")
            plain = distinct is not None and distinct.args.get("on") is None
            query.order_by = _order_by(scope, args["order"], pairs, plain)
    if args.get("group") is not None:
        with clause(scope, "GROUP BY"):
            bind_group_by(scope, query, args["group"], pairs)
    if args.get("distinct") is not None:
        _distinct(scope, query, args["distinct"], pairs)
    if settle:
        _settle(scope.binding, pairs)
    query.targets = [target for _, target in pairs]
    _limit(scope, query, tree)
    _finish_grouping(scope, query)
    if args.get("locks"):
        _row_marks(scope, query, args["locks"])
    return query


def _finish_grouping(scope: Scope, query: Query) -> None:
    if scope.aggregated or query.grouping_sets is not None:
        query.aggregated = True
        if query.grouping_sets is None:
            query.grouping_sets = [[]]
        check_grouping(query)


def _settle(binding: Binding, pairs: list[TargetPair]) -> None:
    """What has no type by the end of a query is text."""
    for _, target in pairs:
        target.expression = coercion.known(binding, target.expression)


def bind_targets(scope: Scope, trees: list[exp.Expression]) -> list[TargetPair]:
    """Bind a select list or RETURNING list, stars spelled out."""
    pairs: list[TargetPair] = []
    for tree in trees:
        if isinstance(tree, exp.Column) and isinstance(tree.this, exp.Star):
            pairs.extend(_star(scope, tree))
        elif isinstance(tree, exp.Dot) and isinstance(tree.expression, exp.Star):
            pairs.extend(_composite_star(scope, tree))
        else:
            inner = tree.this if isinstance(tree, exp.Alias) else tree
            pairs.append(
                (inner, target_of(scope, output_name(tree), bind_expression(scope, inner)))
            )
    return pairs


def target_of(scope: Scope, name: str, expression: Expression) -> Target:
    """Return a target, with the table column it shows if it is one."""
    target = Target(name, expression)
    if isinstance(expression, ColumnRef):
        owner = scope.outer(expression.levels_up)
        column = owner.range_table[expression.entry].columns[expression.column]
        target.table_oid, target.number = column.table_oid, column.number
    return target


def _star(scope: Scope, tree: exp.Column) -> list[TargetPair]:
    position = position_of(tree)
    table = tree.args.get("table")
    if table is None:
        items = [(item, 0) for item in scope.items if item.columns_visible]
        if not items:
            raise SqlError(
                "42601", "SELECT * with no tables specified is not valid", position=position
            )
    else:
        db = tree.args.get("db")
        items = [scope.find_item(db.this if db else "", table.this, position)]
    pairs: list[TargetPair] = []
    for item, levels in items:
        names = [column.name for column in item.columns if not column.hidden]
        for name, expression in zip(names, item_columns(scope, item, levels), strict=True):
            pairs.append((tree, target_of(scope, name, expression)))
    return pairs


def _composite_star(scope: Scope, tree: exp.Dot) -> list[TargetPair]:
    record = bind_expression(scope, tree.this)
    columns = record_columns(record)
    if columns is None or not is_composite(record):
        raise SqlError(
            "42809",
            f"type {type_name(record.type_oid)} is not composite",
            position=position_of(tree),
        )
    return [
        (tree, Target(name, select_field(record, index, type_oid, position_of(tree))))
        for index, (name, type_oid) in enumerate(columns)
    ]


# ---------------------------------------------------------------- ORDER BY, DISTINCT, LIMIT


def _order_by(
    scope: Scope, order: exp.Expression, pairs: list[TargetPair], distinct: bool
) -> list[SortKey]:
    keys: list[SortKey] = []
    for item in order.expressions:
        target = _sort_target(scope, item.this, pairs)
        target.expression = coercion.known(scope.binding, target.expression)
        if target.junk and distinct:
            raise SqlError(
                "42P10",
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                position=target.expression.position,
            )
        key = sort_key(item, target.expression)
        if not any(known.expression is key.expression for known in keys):
            keys.append(key)
    return keys


def _sort_target(scope: Scope, tree: exp.Expression, pairs: list[TargetPair]) -> Target:
    """Return the target an ORDER BY or DISTINCT ON item means: by name, by number, or as a new one."""
    if isinstance(tree, exp.Column) and tree.args.get("table") is None:
        found = named_target(tree.this.args["this"], pairs, scope.clause, position_of(tree))
        if found is not None:
            return found
    elif isinstance(tree, (exp.Literal, exp.Null, exp.Boolean)):
        return numbered_target(tree, pairs, scope.clause)
    bound = clause_item(scope, tree)
    for _, target in pairs:
        if same(target.expression, bound):
            return target
    target = Target("?column?", bound, junk=True)
    pairs.append((tree, target))
    check_target_count(len(pairs))
    return target


def _distinct(
    scope: Scope, query: Query, distinct: exp.Expression, pairs: list[TargetPair]
) -> None:
    if distinct.args.get("on") is None:
        if any(target.junk for _, target in pairs):
            raise SqlError(
                "42P10", "for SELECT DISTINCT, ORDER BY expressions must appear in select list"
            )
        query.distinct_on = []
        return
    with clause(scope, "DISTINCT ON"):
        targets = [_sort_target(scope, tree, pairs) for tree in distinct.args["on"].expressions]
    on: list[Expression] = []
    for target in targets:
        target.expression = coercion.known(scope.binding, target.expression)
        if not any(known is target.expression for known in on):
            on.append(target.expression)
    leading = [key.expression for key in query.order_by[: len(on)]]
    for expression in leading:
        if not any(expression is one for one in on):
            raise SqlError(
                "42P10",
                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                position=position_of(distinct.args["on"].expressions[0]),
            )
    query.distinct_on = on


def _limit(scope: Scope, query: Query, tree: exp.Expression) -> None:
    limit, offset = tree.args.get("limit"), tree.args.get("offset")
    if limit is not None:
        query.limit = _row_count(scope, limit.args["expression"], "LIMIT")
        query.with_ties = bool(limit.args.get("with_ties"))
        if query.with_ties and isinstance(limit.args["expression"], exp.Null):
            message = "row count cannot be null in FETCH FIRST ... WITH TIES clause"
            raise SqlError("2201W", message)
        if query.with_ties and not query.order_by:
            raise SqlError("42601", "WITH TIES cannot be specified without ORDER BY clause")
    if offset is not None:
        query.offset = _row_count(scope, offset.args["expression"], "OFFSET")


def _row_count(scope: Scope, tree: exp.Expression, name: str) -> Expression | None:
    with clause(scope, name):
        bound = bind_expression(scope, tree)
    if lowest_level([bound]) == 0:
        raise SqlError(
            "42P10",
            f"argument of {name} must not contain variables",
            position=next((n.position for n, _ in nodes(bound) if isinstance(n, ColumnRef)), 0),
        )
    if isinstance(bound, Constant) and bound.value is None:
        return None  # LIMIT NULL and LIMIT ALL: no limit
    done = coercion.coerce(scope.binding, bound, oids.INT8, CastContext.ASSIGNMENT)
    if done is None:
        raise SqlError(
            "42804",
            f"argument of {name} must be type bigint, not type {type_name(bound.type_oid)}",
            position=bound.position,
        )
    return done


# ---------------------------------------------------------------- FOR UPDATE


def _row_marks(scope: Scope, query: Query, locks: list[exp.Expression]) -> None:
    for lock in locks:
        strength = lock.args["strength"].upper()
        if strength not in ("UPDATE", "KEY SHARE"):
            raise unsupported(
                "locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported"
            )
        if lock.args.get("wait"):
            raise unsupported(f"{lock.args['wait'].upper()} is not supported")
        _check_lockable(query, f"FOR {strength}")
        for index in _locked_entries(scope, lock, f"FOR {strength}"):
            use = scope.range_table[index].use
            assert use is not None
            use.privileges |= Privilege.UPDATE
            if (index, "update") not in query.row_marks:
                query.row_marks = [m for m in query.row_marks if m[0] != index]
                query.row_marks.append((index, strength.lower()))


def _check_lockable(query: Query, name: str) -> None:
    problem = ""
    if query.distinct_on is not None:
        problem = "DISTINCT clause"
    elif query.group_by or (query.grouping_sets or [[]]) != [[]]:
        problem = "GROUP BY clause"
    elif query.having is not None:
        problem = "HAVING clause"
    elif query.aggregated:
        problem = "aggregate functions"
    elif any(any_node(t.expression, lambda n, d: _is_window(n) and d == 0) for t in query.targets):
        problem = "window functions"
    if problem:
        raise unsupported(f"{name} is not allowed with {problem}")


def _is_window(node: Any) -> bool:
    from dsql.sql.bound import WindowCall

    return isinstance(node, WindowCall)


def _locked_entries(scope: Scope, lock: exp.Expression, name: str) -> list[int]:
    if not lock.expressions:
        return [i for i, entry in enumerate(scope.range_table) if isinstance(entry, TableEntry)]
    found = []
    for tree in lock.expressions:
        alias = tree.this.args["this"]
        matches = [i for i, entry in enumerate(scope.range_table) if entry.alias == alias]
        if not matches:
            raise SqlError(
                "42P01",
                f'relation "{alias}" in {name} clause not found in FROM clause',
                position=position_of(tree),
            )
        entry = scope.range_table[matches[0]]
        if isinstance(entry, FunctionEntry):
            raise unsupported(f"{name} cannot be applied to a function", position=position_of(tree))
        if isinstance(entry, TableEntry):
            found.append(matches[0])
    return found


# ---------------------------------------------------------------- VALUES


def is_plain_values(tree: exp.Expression) -> bool:
    """Tell whether a query is VALUES and nothing more."""
    return isinstance(tree, exp.Values) and not any(
        tree.args.get(key) for key in ("order", "limit", "offset", "with_", "locks")
    )


def bind_values(
    scope: Scope, tree: exp.Expression
) -> tuple[list[list[Expression]] | ConstantRows, list[EntryColumn]]:
    """Bind the rows of a VALUES list; each column has the common type of its values."""
    constants = tree.args.get("constants")
    in_bulk = constant_rows(scope.binding, constants) if constants is not None else None
    return in_bulk or _bind_rows(scope, rows_of(tree))


def _bind_rows(
    scope: Scope, trees: list[exp.Expression]
) -> tuple[list[list[Expression]], list[EntryColumn]]:
    with clause(scope, "VALUES"):
        rows = [[bind_expression(scope, item) for item in row.expressions] for row in trees]
    width = len(rows[0])
    for row, row_tree in zip(rows, trees, strict=True):
        if len(row) != width:
            raise uneven_row(row_tree)
    columns = []
    for index in range(width):
        cells = [row[index] for row in rows]
        done, type_oid, typmod = coercion.unify(scope.binding, cells, "VALUES")
        for row, cell in zip(rows, done, strict=True):
            row[index] = cell
        columns.append(EntryColumn(f"column{index + 1}", type_oid, typmod))
    return rows, columns


def _values_query(scope: Scope, tree: exp.Expression) -> Query:
    rows, columns = bind_values(scope, tree)
    item = scope.add_item(ValuesEntry(alias="*VALUES*", columns=columns, rows=rows))
    pairs: list[TargetPair] = [
        (tree, Target(column.name, column.expression)) for column in item.columns
    ]
    query = Query(range_table=scope.range_table, from_items=[FromEntry(item.entry)])
    _order_and_limit(scope, query, tree, pairs)
    return query


def _order_and_limit(
    scope: Scope, query: Query, tree: exp.Expression, pairs: list[TargetPair]
) -> None:
    if tree.args.get("order") is not None:
        with clause(scope, "ORDER BY"):
            query.order_by = _order_by(scope, tree.args["order"], pairs, False)
    query.targets = [target for _, target in pairs]
    _limit(scope, query, tree)
    if tree.args.get("locks"):
        strength = tree.args["locks"][0].args["strength"].upper()
        what = "UNION/INTERSECT/EXCEPT" if query.set_operation else "VALUES"
        raise unsupported(f"FOR {strength} is not allowed with {what}")


# ---------------------------------------------------------------- set operations


def _set_operation(scope: Scope, tree: exp.Expression) -> Query:
    operator = _SET_NAMES[type(tree)]
    left = bind_query(scope.child(), tree.this, settle=False)
    right = bind_query(scope.child(), tree.args["expression"], settle=False)
    return combine(scope, tree, operator, left, right)


def combine(scope: Scope, tree: exp.Expression, operator: str, left: Query, right: Query) -> Query:
    """Return the set operation over two bound queries, their columns cast to common types."""
    lefts = [t for t in left.targets if not t.junk]
    rights = [t for t in right.targets if not t.junk]
    if len(lefts) != len(rights):
        raise SqlError(
            "42601",
            f"each {operator} query must have the same number of columns",
            position=rights[0].expression.position if rights else 0,
        )
    wanted = []
    for a, b in zip(lefts, rights, strict=True):
        type_oid = coercion.common_type_of([a.expression, b.expression], operator)
        same_typmod = a.expression.typmod == b.expression.typmod
        keeps = same_typmod and a.expression.type_oid == b.expression.type_oid == type_oid
        wanted.append((type_oid, a.expression.typmod if keeps else -1))
    query = Query(
        set_operation=SetOperation(
            operator.lower(),
            not tree.args["distinct"],
            cast_targets(scope.binding, left, wanted, operator),
            cast_targets(scope.binding, right, wanted, operator),
        )
    )
    pairs: list[TargetPair] = [
        (tree, Target(target.name, _output(index, target.name, *kind)))
        for index, (target, kind) in enumerate(zip(lefts, wanted, strict=True))
    ]
    _show_output(scope, pairs)
    _order_and_limit(scope, query, tree, pairs)
    if any(target.junk for target in query.targets):
        raise SqlError(
            "0A000",
            "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
            detail="Only result column names can be used, not expressions or functions.",
            hint="Add the expression/function to every SELECT, "
            "or move the UNION into a FROM clause.",
            position=next(t.expression.position for t in query.targets if t.junk),
        )
    return query


def _output(index: int, name: str, type_oid: int, typmod: int) -> ColumnRef:
    return ColumnRef(type_oid=type_oid, typmod=typmod, entry=0, column=index, name=name)


def _show_output(scope: Scope, pairs: list[TargetPair]) -> None:
    """Let ORDER BY of a set operation see its output columns as entry 0."""
    from dsql.sql.scope import Item, ItemColumn

    columns = [ItemColumn(target.name, target.expression) for _, target in pairs]
    scope.items = [Item(None, columns)]


def cast_targets(
    binding: Binding, query: Query, wanted: list[tuple[int, int]], construct: str
) -> Query:
    """Return a query whose output columns have the wanted (type OID, typmod)s.

    Raises SqlError 42846 where one has no cast to the type that `construct` ("UNION") has found. Plain
    queries are changed in place; where the casts could change what DISTINCT, ORDER BY or a set operation
    see, a query around it makes them.
    """
    visible = [target for target in query.targets if not target.junk]
    pairs = list(zip(visible, wanted, strict=True))
    if all(target.expression.type_oid == type_oid for target, (type_oid, _) in pairs):
        return query
    if query.set_operation or query.order_by or query.distinct_on is not None or _has_values(query):
        query = wrapped(query)
        pairs = list(zip(query.targets, wanted, strict=True))
    for target, (type_oid, _) in pairs:
        target.expression = coercion.converted(binding, target.expression, type_oid, construct)
    return query


def _has_values(query: Query) -> bool:
    return any(isinstance(entry, ValuesEntry) for entry in query.range_table)


def wrapped(query: Query) -> Query:
    """Return SELECT * FROM (query)."""
    columns = query_columns(query)
    entry = SubqueryEntry(alias="*SELECT*", columns=columns, query=query)
    targets = [
        Target(column.name, _output(index, column.name, column.type_oid, column.typmod))
        for index, column in enumerate(columns)
    ]
    deeper = any(
        isinstance(node, ColumnRef) and node.levels_up > depth - 1
        for node, depth in nodes(query)
        if depth > 0
    )
    inner = _moved_in(query) if deeper else query
    entry.query = inner
    return Query(range_table=[entry], from_items=[FromEntry(0)], targets=targets)


def _moved_in(query: Query) -> Query:
    """Push every reference that leaves a query one level further out."""
    from dsql.sql.bound import AggregateCall
    from dsql.sql.bound_query import CteEntry

    # BETWEEN reads its operand twice: one node at two places
    for node, depth in {id(node): (node, depth) for node, depth in nodes(query)}.values():
        if (
            isinstance(node, (ColumnRef, CteEntry, AggregateCall))
            and node.levels_up > depth - 1 >= 0
        ):
            node.levels_up += 1
    return query


def uneven_row(tree: exp.Expression) -> SqlError:
    """Return the error of a row of VALUES that is not as long as the first."""
    return SqlError(
        "42601",
        "VALUES lists must all be the same length",
        position=position_of(tree.expressions[0]),
    )


def query_columns(query: Query) -> list[EntryColumn]:
    """Return the output columns of a query as a range-table entry offers them."""
    return target_columns(query.targets)


def target_columns(targets: list[Target]) -> list[EntryColumn]:
    """Return the columns of a target list, without those for sorting and grouping only."""
    return [
        EntryColumn(
            target.name,
            target.expression.type_oid,
            target.expression.typmod,
            target.table_oid,
            target.number,
        )
        for target in targets
        if not target.junk
    ]
