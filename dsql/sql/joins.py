"""Binds what joins make of their two sides: the condition, and the columns that NATURAL and USING merge.

Those leave no trace but their result: a merged column is the left one for a left join, the right one for a
right join, of an inner join the one that needs no cast, and COALESCE of both for a full join; the condition
is the pairs' equality.
"""

from __future__ import annotations

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.sql import coercion
from dsql.sql.bound import And, Coalesce, Expression
from dsql.sql.expressions import bind_boolean
from dsql.sql.scope import Item, ItemColumn, Scope
from dsql.types import oids


def join_condition(
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


def merged_names(tree: exp.Join, left: list[Item], right: list[Item]) -> list[str] | None:
    """Return the names NATURAL or USING merges, None for a join without either."""
    if tree.args.get("natural"):
        theirs = {column.name for column in _offered(right)}
        return list(dict.fromkeys(c.name for c in _offered(left) if c.name in theirs))
    using = [name.args["this"] for name in tree.args.get("using") or ()]
    for name in using:
        if using.count(name) > 1:
            raise SqlError("42701", f'column name "{name}" appears more than once in USING clause')
    return using or None


def merge(
    scope: Scope,
    side: str,
    names: list[str],
    left: list[Item],
    right: list[Item],
    tree: exp.Join,
) -> tuple[Expression | None, Item]:
    """Return the condition of NATURAL or USING, and the item that shows the merged columns and the rest."""
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
    takes_right = side == "right" or (side == "inner" and left is not a and right is b)
    return right if takes_right else left  # of an inner join what is not cast


def aliased_join(visible: list[Item], alias: exp.Expression) -> Item:
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
