"""libpg_query's parse nodes to sqlglot trees: the constructors of SQL/JSON and IS JSON.

A constructor is an Anonymous (json_object, json_array, json_objectagg, json_arrayagg) with `constructor`,
a dict of its clauses: absent and unique (bool), returning (a DataType or None). Of an object the
expressions are keys and values in turns; FORMAT JSON is a cast to json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.sql.keywords import identifier
from dsql.sql.libpg_query import grammar as pg

if TYPE_CHECKING:
    from dsql.sql.tree import TreeBuilder

_KINDS = {
    pg.JS_TYPE_ANY: "JSON",
    pg.JS_TYPE_OBJECT: "JSON OBJECT",
    pg.JS_TYPE_ARRAY: "JSON ARRAY",
    pg.JS_TYPE_SCALAR: "JSON SCALAR",
}


def _value(build: TreeBuilder, node: Any) -> exp.Expression:
    """Return the tree of a JsonValueExpr."""
    value = build.expression(node.raw_expr)
    if node.format.format_type == pg.JS_FORMAT_DEFAULT:
        return value
    if node.format.encoding != pg.JS_ENC_DEFAULT:
        raise unsupported(
            "JSON ENCODING is not supported", position=build.position(node.format.location)
        )
    kind = exp.DataType(names=["pg_catalog", "json"], expressions=[], dimensions=0, setof=False)
    cast = exp.Cast(this=value, to=kind)
    cast._meta = kind._meta = {"position": value.meta["position"]}
    return cast


def _pairs(build: TreeBuilder, items: Iterable[Any]) -> list[exp.Expression]:
    trees = []
    for item in items:
        trees += [build.expression(item.key), _value(build, item.value)]
    return trees


def _made(
    build: TreeBuilder, name: str, expressions: list[exp.Expression], node: Any, **more: Any
) -> exp.Expression:
    """Return the constructor; `node` has its clauses, `more` are those that every aggregate may have."""
    from dsql.sql.tree import type_tree

    output = more.pop("output", None) or node.output
    clauses = {
        "absent": bool(node.absent_on_null),
        "unique": bool(getattr(node, "unique", False)),
        "returning": type_tree(build, output.type_name) if output.HasField("type_name") else None,
    }
    return exp.Anonymous(this=name, expressions=expressions, constructor=clauses, **more)


def _object(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = _made(
        build, "json_object", _pairs(build, [item.json_key_value for item in node.exprs]), node
    )
    return build.placed(tree, node.location)


def _array(build: TreeBuilder, node: Any) -> exp.Expression:
    values = [_value(build, item.json_value_expr) for item in node.exprs]
    return build.placed(_made(build, "json_array", values, node), node.location)


def _array_of_query(build: TreeBuilder, node: Any) -> exp.Expression:
    """JSON_ARRAY(SELECT ...) is (SELECT JSON_ARRAYAGG(a) FROM (SELECT ...) q(a))."""
    if len(node.query.select_stmt.target_list) != 1 and not node.query.select_stmt.values_lists:
        position = build.position(node.location)
        raise SqlError("42601", "subquery must return only one column", position=position)
    alias = exp.TableAlias(this=identifier("q"), columns=[identifier("a")])
    inner = exp.Subquery(this=build.query(node.query.select_stmt), alias=alias, lateral=False)
    column = build.placed(exp.Column(this=identifier("a")), node.location)
    call = _made(build, "json_arrayagg", [column], node)
    build.placed(inner, node.location)
    build.placed(call, node.location)
    named = exp.Alias(this=call, alias=identifier("json_array"))
    build.placed(named, node.location)
    select = exp.Select(expressions=[named], from_=exp.From(expressions=[inner]))
    return build.placed(exp.Subquery(this=build.placed(select, node.location)), node.location)


def _aggregate(name: str) -> Callable[[TreeBuilder, Any], exp.Expression]:
    def made(build: TreeBuilder, node: Any) -> exp.Expression:
        from dsql.sql.tree_calls import order_tree, over_tree

        call = node.constructor
        more: dict[str, Any] = {"output": call.output}
        if call.agg_order:
            more["order"] = order_tree(build, call.agg_order)
        if call.HasField("agg_filter"):
            more["filter"] = build.expression(call.agg_filter)
        if call.HasField("over"):
            more["over"] = over_tree(build, call.over)
        is_object = name == "json_objectagg"
        values = _pairs(build, [node.arg]) if is_object else [_value(build, node.arg)]
        return build.placed(_made(build, name, values, node, **more), call.location)

    return made


def _is_json(build: TreeBuilder, node: Any) -> exp.Expression:
    kind = _KINDS[node.item_type] + (" WITH UNIQUE KEYS" if node.unique_keys else "")
    argument = build.expression(node.expr)
    tree = exp.Is(this=argument, expression=exp.Var(this=kind), negate=False)
    return build.placed(tree, node.location)


JSON: dict[str | None, Callable[[TreeBuilder, Any], exp.Expression]] = {
    "json_object_constructor": _object,
    "json_array_constructor": _array,
    "json_array_query_constructor": _array_of_query,
    "json_object_agg": _aggregate("json_objectagg"),
    "json_array_agg": _aggregate("json_arrayagg"),
    "json_is_predicate": _is_json,
}
