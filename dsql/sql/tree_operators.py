"""libpg_query's parse nodes to sqlglot trees: operators, conditions, CASE and its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from dsql.sql.libpg_query import grammar as pg

if TYPE_CHECKING:
    from dsql.sql.tree import TreeBuilder

OPERATOR_CLASSES: dict[str, type[exp.Expression]] = {
    "=": exp.EQ,
    "<>": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
    "+": exp.Add,
    "-": exp.Sub,
    "*": exp.Mul,
    "/": exp.Div,
    "%": exp.Mod,
    "||": exp.DPipe,
    "~~": exp.Like,
    "~~*": exp.ILike,
}
OPERATOR_NAMES = {cls: name for name, cls in OPERATOR_CLASSES.items()}


def operator_tree(
    build: TreeBuilder,
    name: Any,
    left: exp.Expression | None,
    right: exp.Expression,
    location: int,
) -> exp.Expression:
    """Return an operator call; `name` is libpg_query's list of name parts."""
    schema = name[0].string.sval if len(name) > 1 else ""
    operator = name[-1].string.sval
    if operator == "!=":
        operator = "<>"
    cls = OPERATOR_CLASSES.get(operator)
    tree: exp.Expression
    if schema or (cls is None and (left is not None or operator != "-")):
        tree = exp.Operator(this=left, operator=operator, schema=schema, expression=right)
    elif left is None:
        if operator == "-":
            tree = exp.Neg(this=right)
        else:
            tree = exp.Operator(this=None, operator=operator, schema="", expression=right)
    else:
        assert cls is not None
        tree = cls(this=left, expression=right)
    return build.placed(tree, location)


def _operation(build: TreeBuilder, node: Any) -> exp.Expression:
    kind = node.kind
    if kind in (pg.AEXPR_OP, pg.AEXPR_LIKE, pg.AEXPR_ILIKE, pg.AEXPR_SIMILAR):
        left = build.optional(node, "lexpr")
        right = build.expression(node.rexpr)
        tree = operator_tree(build, node.name, left, right, node.location)
        if kind != pg.AEXPR_OP:
            tree.args["keyword"] = _PATTERN_KEYWORDS[kind]
        return tree
    return _OPERATION_KINDS[kind](build, node)


_PATTERN_KEYWORDS = {
    pg.AEXPR_LIKE: "LIKE",
    pg.AEXPR_ILIKE: "ILIKE",
    pg.AEXPR_SIMILAR: "SIMILAR TO",
}


def _quantified(build: TreeBuilder, node: Any) -> exp.Expression:
    array = build.expression(node.rexpr)
    wrap = exp.Any if node.kind == pg.AEXPR_OP_ANY else exp.All
    left = build.expression(node.lexpr)
    return operator_tree(build, node.name, left, wrap(this=array), node.location)


def _distinct(build: TreeBuilder, node: Any) -> exp.Expression:
    cls = exp.NullSafeNEQ if node.kind == pg.AEXPR_DISTINCT else exp.NullSafeEQ
    tree = cls(this=build.expression(node.lexpr), expression=build.expression(node.rexpr))
    return build.placed(tree, node.location)


def _nullif(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.Nullif(this=build.expression(node.lexpr), expression=build.expression(node.rexpr))
    return build.placed(tree, node.location)


def _in_list(build: TreeBuilder, node: Any) -> exp.Expression:
    items = node.rexpr.list.items
    tree = exp.In(
        this=build.expression(node.lexpr),
        **build.listed(items),
        negate=node.name[0].string.sval == "<>",
    )
    return build.placed(tree, node.location)


def _between(build: TreeBuilder, node: Any) -> exp.Expression:
    low, high = build.expressions(node.rexpr.list.items)
    tree = exp.Between(
        this=build.expression(node.lexpr),
        low=low,
        high=high,
        symmetric=node.kind in (pg.AEXPR_BETWEEN_SYM, pg.AEXPR_NOT_BETWEEN_SYM),
        negate=node.kind in (pg.AEXPR_NOT_BETWEEN, pg.AEXPR_NOT_BETWEEN_SYM),
    )
    return build.placed(tree, node.location)


_OPERATION_KINDS: dict[int, Callable[[TreeBuilder, Any], exp.Expression]] = {
    pg.AEXPR_OP_ANY: _quantified,
    pg.AEXPR_OP_ALL: _quantified,
    pg.AEXPR_DISTINCT: _distinct,
    pg.AEXPR_NOT_DISTINCT: _distinct,
    pg.AEXPR_NULLIF: _nullif,
    pg.AEXPR_IN: _in_list,
    pg.AEXPR_BETWEEN: _between,
    pg.AEXPR_NOT_BETWEEN: _between,
    pg.AEXPR_BETWEEN_SYM: _between,
    pg.AEXPR_NOT_BETWEEN_SYM: _between,
}


def _boolean(build: TreeBuilder, node: Any) -> exp.Expression:
    arguments = build.expressions(node.args)
    if node.boolop == pg.NOT_EXPR:
        return build.placed(exp.Not(this=arguments[0]), node.location)
    cls = exp.And if node.boolop == pg.AND_EXPR else exp.Or
    tree = arguments[0]
    for argument in arguments[1:]:
        tree = build.placed(cls(this=tree, expression=argument), node.location)
    return tree


def _null_test(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.Is(
        this=build.expression(node.arg),
        expression=exp.Null(),
        negate=node.nulltesttype == pg.IS_NOT_NULL,
    )
    return build.placed(tree, node.location)


_BOOLEAN_TESTS: dict[int, tuple[bool | None, bool]] = {
    pg.IS_TRUE: (True, False),
    pg.IS_NOT_TRUE: (True, True),
    pg.IS_FALSE: (False, False),
    pg.IS_NOT_FALSE: (False, True),
    pg.IS_UNKNOWN: (None, False),
    pg.IS_NOT_UNKNOWN: (None, True),
}


def _boolean_test(build: TreeBuilder, node: Any) -> exp.Expression:
    value, negate = _BOOLEAN_TESTS[node.booltesttype]
    against = exp.Var(this="UNKNOWN") if value is None else exp.Boolean(this=value)
    tree = exp.Is(this=build.expression(node.arg), expression=against, negate=negate)
    return build.placed(tree, node.location)


def _case(build: TreeBuilder, node: Any) -> exp.Expression:
    ifs = []
    for arm in node.args:
        when = arm.case_when
        branch = exp.If(this=build.expression(when.expr), true=build.expression(when.result))
        ifs.append(build.placed(branch, when.location))
    tree = exp.Case(
        this=build.optional(node, "arg"), ifs=ifs, default=build.optional(node, "defresult")
    )
    return build.placed(tree, node.location)


def _coalesce(build: TreeBuilder, node: Any) -> exp.Expression:
    first, *rest = build.expressions(node.args)
    return build.placed(exp.Coalesce(this=first, expressions=rest), node.location)


def _min_max(build: TreeBuilder, node: Any) -> exp.Expression:
    first, *rest = build.expressions(node.args)
    cls = exp.Greatest if node.op == pg.IS_GREATEST else exp.Least
    return build.placed(cls(this=first, expressions=rest), node.location)


OPERATIONS: dict[str | None, Callable[[TreeBuilder, Any], exp.Expression]] = {
    "a_expr": _operation,
    "bool_expr": _boolean,
    "null_test": _null_test,
    "boolean_test": _boolean_test,
    "case_expr": _case,
    "coalesce_expr": _coalesce,
    "min_max_expr": _min_max,
}
