"""Binds target lists, and the clauses that refer to them: ORDER BY, DISTINCT and LIMIT.

Sort keys and DISTINCT ON expressions that are also output columns are the very same objects as their
`Target.expression`; ORDER BY expressions that are not become junk targets.
"""

from __future__ import annotations

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.functions.coercion import CastContext
from dsql.sql import coercion
from dsql.sql.binding import type_name
from dsql.sql.bound import ColumnRef, Constant, Expression, SortKey
from dsql.sql.bound_query import EntryColumn, Query, Target
from dsql.sql.calls import clause, is_composite, sort_key
from dsql.sql.composites import record_columns, select_field
from dsql.sql.expressions import bind_expression, item_columns
from dsql.sql.grouping import check_target_count, clause_item, named_target, numbered_target
from dsql.sql.names import output_name
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.sql.walk import Alike, refuse_variables
from dsql.types import oids

TargetPair = tuple[exp.Expression, Target]


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
    columns = record_columns(scope, record)
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


def bind_order_by(
    scope: Scope, order: exp.Expression, pairs: list[TargetPair], distinct: bool
) -> list[SortKey]:
    """Bind ORDER BY; what is no output column is added to `pairs`. `distinct`: for a plain DISTINCT."""
    keys: list[SortKey] = []
    known = _Known(pairs)
    for item in order.expressions:
        target = _sort_target(scope, item.this, known)
        target.expression = coercion.known(scope.binding, target.expression)
        if target.junk and distinct:
            raise SqlError(
                "42P10",
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                position=target.expression.position,
            )
        key = sort_key(item, target.expression)
        if not any(other.expression is key.expression for other in keys):
            keys.append(key)
    return keys


class _Known:
    """The targets of a query, `pairs`, to be found by what they compute."""

    def __init__(self, pairs: list[TargetPair]) -> None:
        self.pairs = pairs
        self._filed = Alike()

    def find(self, expression: Expression) -> Target | None:
        """Return the first target that means the same as an expression."""
        for _, target in self.pairs[len(self._filed) :]:
            self._filed.add(target.expression)
        number = self._filed.find(expression)
        return None if number is None else self.pairs[number][1]


def _sort_target(scope: Scope, tree: exp.Expression, known: _Known) -> Target:
    """Return the target an ORDER BY or DISTINCT ON item means: by name, by number, or as a new one."""
    pairs = known.pairs
    if isinstance(tree, exp.Column) and tree.args.get("table") is None:
        found = named_target(tree.this.args["this"], pairs, scope.clause, position_of(tree))
        if found is not None:
            return found
    elif isinstance(tree, (exp.Literal, exp.Null, exp.Boolean)):
        return numbered_target(tree, pairs, scope.clause)
    bound = clause_item(scope, tree)
    found = known.find(bound)
    if found is not None:
        return found
    target = Target("?column?", bound, junk=True)
    pairs.append((tree, target))
    check_target_count(len(pairs))
    return target


def bind_distinct(
    scope: Scope, query: Query, distinct: exp.Expression, pairs: list[TargetPair]
) -> None:
    """Fill `query.distinct_on`: [] for a plain DISTINCT."""
    if distinct.args.get("on") is None:
        if any(target.junk for _, target in pairs):
            raise SqlError(
                "42P10", "for SELECT DISTINCT, ORDER BY expressions must appear in select list"
            )
        query.distinct_on = []
        return
    with clause(scope, "DISTINCT ON"):
        known = _Known(pairs)
        targets = [_sort_target(scope, tree, known) for tree in distinct.args["on"].expressions]
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


def bind_limit(scope: Scope, query: Query, tree: exp.Expression) -> None:
    """Fill LIMIT, OFFSET and WITH TIES of a query. Raises SqlError 42601, 42804, 42P10, 2201W."""
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
    refuse_variables(bound, name)
    done = coercion.coerce(scope.binding, bound, oids.INT8, CastContext.ASSIGNMENT)
    if done is None:
        raise SqlError(
            "42804",
            f"argument of {name} must be type bigint, not type {type_name(bound.type_oid)}",
            position=bound.position,
        )
    if isinstance(done, Constant) and done.value is None:
        return None  # LIMIT NULL and LIMIT ALL: no limit
    return done


def order_and_limit(
    scope: Scope, query: Query, tree: exp.Expression, pairs: list[TargetPair]
) -> None:
    """Fill targets, ORDER BY and LIMIT of VALUES or a set operation, which cannot be locked."""
    if tree.args.get("order") is not None:
        with clause(scope, "ORDER BY"):
            query.order_by = bind_order_by(scope, tree.args["order"], pairs, False)
    query.targets = [target for _, target in pairs]
    bind_limit(scope, query, tree)
    if tree.args.get("locks"):
        strength = tree.args["locks"][0].args["strength"].upper()
        what = "UNION/INTERSECT/EXCEPT" if query.set_operation else "VALUES"
        raise unsupported(f"FOR {strength} is not allowed with {what}")
