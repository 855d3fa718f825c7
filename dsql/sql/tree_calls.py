"""libpg_query's parse nodes to sqlglot trees: function calls with their ORDER BY, FILTER and OVER."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from dsql.limits import ARGUMENTS_MAX
from dsql.sql.keywords import identifier
from dsql.sql.libpg_query import grammar as pg

if TYPE_CHECKING:
    from dsql.sql.tree import TreeBuilder

_SQL_VALUES = {
    pg.SVFOP_CURRENT_DATE: "current_date",
    pg.SVFOP_CURRENT_TIME: "current_time",
    pg.SVFOP_CURRENT_TIME_N: "current_time",
    pg.SVFOP_CURRENT_TIMESTAMP: "current_timestamp",
    pg.SVFOP_CURRENT_TIMESTAMP_N: "current_timestamp",
    pg.SVFOP_LOCALTIME: "localtime",
    pg.SVFOP_LOCALTIME_N: "localtime",
    pg.SVFOP_LOCALTIMESTAMP: "localtimestamp",
    pg.SVFOP_LOCALTIMESTAMP_N: "localtimestamp",
    pg.SVFOP_CURRENT_ROLE: "current_role",
    pg.SVFOP_CURRENT_USER: "current_user",
    pg.SVFOP_USER: "user",
    pg.SVFOP_SESSION_USER: "session_user",
    pg.SVFOP_CURRENT_CATALOG: "current_catalog",
    pg.SVFOP_CURRENT_SCHEMA: "current_schema",
}


def _sql_value(build: TreeBuilder, node: Any) -> exp.Expression:
    precision = node.typmod if node.typmod >= 0 else None
    return build.placed(exp.Var(this=_SQL_VALUES[node.op], precision=precision), node.location)


def _grouping(build: TreeBuilder, node: Any) -> exp.Expression:
    return build.placed(exp.Grouping(expressions=build.expressions(node.args)), node.location)


def _function(build: TreeBuilder, node: Any) -> exp.Expression:
    names = [part.string.sval for part in node.funcname]
    args: dict[str, Any] = {
        "this": names[-1],
        "schema": names[-2] if len(names) > 1 else None,
        "expressions": build.expressions(node.args[: ARGUMENTS_MAX + 1]),  # one too many is enough
    }
    if node.agg_star:
        args["star"] = True
    if node.agg_distinct:
        args["distinct"] = True
    if node.func_variadic:
        args["variadic"] = True
    if node.agg_order:
        args["within_group" if node.agg_within_group else "order"] = order_tree(
            build, node.agg_order
        )
    if node.HasField("agg_filter"):
        args["filter"] = build.expression(node.agg_filter)
    if node.HasField("over"):
        args["over"] = over_tree(build, node.over)
    if node.funcformat == pg.COERCE_SQL_SYNTAX:
        args["sql_syntax"] = True
    return build.placed(exp.Anonymous(**args), node.location)


def order_tree(build: TreeBuilder, sort_clause: Any) -> exp.Expression:
    """Return the Order of a list of SortBy nodes."""
    items = []
    for item in sort_clause:
        sort = item.sort_by
        descending = sort.sortby_dir == pg.SORTBY_DESC
        nulls_first = (
            descending
            if sort.sortby_nulls == pg.SORTBY_NULLS_DEFAULT
            else sort.sortby_nulls == pg.SORTBY_NULLS_FIRST
        )
        ordered = exp.Ordered(
            this=build.expression(sort.node),
            desc=descending,
            nulls_first=nulls_first,
            using=sort.use_op[-1].string.sval if sort.sortby_dir == pg.SORTBY_USING else None,
        )
        items.append(build.placed(ordered, sort.location))
    return exp.Order(expressions=items)


def over_tree(build: TreeBuilder, node: Any) -> exp.Expression:
    """Return an OVER clause: an Identifier for OVER name, else a Window."""
    if node.name:
        return build.placed(identifier(node.name), node.location)
    return window_tree(build, node)


# PostgreSQL's FRAMEOPTION_* bits (nodes/parsenodes.h).
_FRAME_NONDEFAULT = 0x00001
_FRAME_MODES = ((0x00002, "RANGE"), (0x00004, "ROWS"), (0x00008, "GROUPS"))


_FRAME_BETWEEN = 0x00010
_FRAME_STARTS = (
    (0x00020, "UNBOUNDED PRECEDING"),
    (0x00080, "UNBOUNDED FOLLOWING"),
    (0x00200, "CURRENT ROW"),
    (0x00800, "PRECEDING"),
    (0x02000, "FOLLOWING"),
)
_FRAME_ENDS = tuple((bit << 1, name) for bit, name in _FRAME_STARTS)
_FRAME_EXCLUSIONS = ((0x08000, "CURRENT ROW"), (0x10000, "GROUP"), (0x20000, "TIES"))


def window_tree(build: TreeBuilder, node: Any) -> exp.Expression:
    """Return the Window of a WindowDef; `alias` is the window it builds on, `this` its own name."""
    tree = exp.Window(
        partition_by=build.expressions(node.partition_clause),
        order=order_tree(build, node.order_clause) if node.order_clause else None,
        alias=identifier(node.refname) if node.refname else None,
    )
    options = node.frame_options
    if options & _FRAME_NONDEFAULT:
        tree.set("spec", _frame(build, node, options))
    return build.placed(tree, node.location)


def _frame(build: TreeBuilder, node: Any, options: int) -> exp.Expression:
    def named(table: tuple[tuple[int, str], ...]) -> str:
        return next((name for bit, name in table if options & bit), "")

    return exp.WindowSpec(
        kind=named(_FRAME_MODES),
        start_side=named(_FRAME_STARTS),
        start=build.optional(node, "start_offset"),
        end_side=named(_FRAME_ENDS),
        end=build.optional(node, "end_offset"),
        exclude=named(_FRAME_EXCLUSIONS),
        between=bool(options & _FRAME_BETWEEN),
    )


CALLS: dict[str | None, Callable[[TreeBuilder, Any], exp.Expression]] = {
    "sqlvalue_function": _sql_value,
    "grouping_func": _grouping,
    "func_call": _function,
}
