"""libpg_query's parse nodes to sqlglot trees: expressions.

sqlglot's own parser reads PostgreSQL approximately (precedence of user operators, `now()`, `'a' 'b'`,
intervals), so the trees are built from the nodes of the grammar gate: what was judged is what is bound.
They keep PostgreSQL's meaning, not sqlglot's: no function has a class of its own, every operator keeps
its name. `meta["position"]` of a node is its 1-based character in the script, 0 if it has none.

The shapes, where they are not sqlglot's usual ones:

    Anonymous       any function call; args schema, distinct, star, variadic, order, within_group,
                    filter, over (a Window, or an Identifier for OVER name), sql_syntax (EXTRACT(x FROM
                    y) and its kind), constructor (see tree_json)
    Operator        an operator without a class of its own: operator, schema; prefix ones lack `this`
    Any, All        the right side of a comparison; `this` is a query or an array
    In, Between     `negate` for NOT IN, NOT BETWEEN
    In, Array       `constants`, a ConstantList, in place of `expressions` where that was long
    List            many items of a list: `kinds`, each a Tuple, and the `order` in which they come
    Placeholder     the literals of a kind at one place: `values`, `is_string`
    Is              `expression` is Null, Boolean, Var UNKNOWN or Var JSON ...; `negate`
    DataType        names (list of str), expressions (typmods), dimensions (int), setof
    Tuple           a row; `row` if ROW was written
    Array           `query` for ARRAY(SELECT ...)
    Var             DEFAULT, UNKNOWN and the SQL value functions, `precision` for CURRENT_TIMESTAMP(n)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from dsql.errors import unsupported
from dsql.limits import TARGETS_MAX
from dsql.sql.constant_lists import ConstantList
from dsql.sql.expression_lists import MARK, ExpressionList
from dsql.sql.gate import ParsedStatement
from dsql.sql.keywords import identifier
from dsql.sql.libpg_query import grammar as pg
from dsql.sql.tree_calls import CALLS
from dsql.sql.tree_json import JSON
from dsql.sql.tree_operators import OPERATIONS, operator_tree


def position_of(node: exp.Expr) -> int:
    """Return the 1-based character a node was written at, 0 if it has none."""
    return node.meta.get("position", 0)  # type: ignore[no-any-return]


class TreeBuilder:
    """Builds the trees of one statement; `position` maps byte locations to characters."""

    def __init__(self, statement: ParsedStatement) -> None:
        self.position = statement.position
        self._lists = {found.position: found for found in statement.lists}
        self._alike = {found.number: found for found in statement.alike}
        self.claimed: set[int] = set()  # of the lists

    def list_at(self, node: Any) -> ConstantList | None:
        """Return the long list of constants whose first one an expression node is, else None."""
        if not self._lists or node.WhichOneof("node") != "a_const":
            return None
        found = self._lists.get(self.position(node.a_const.location))
        if found is not None:
            self.claimed.add(found.position)
        return found

    def given(self, node: Any) -> exp.Expression | None:
        """Return the tree of a constant that differs between the items of a kind, else None."""

    def kinds_at(self, number: int) -> ExpressionList | None:
        """Return the list of expressions that $number stands for, else None."""
        found = self._alike.get(number)
        if found is not None:
            self.claimed.add(found.position)
        return found

    def placed(self, tree: exp.Expression, location: int) -> exp.Expression:
        """Give a tree its position and return it."""
        tree._meta = {"position": self.position(location)}
        return tree

    def expression(self, node: Any) -> exp.Expression:
        """Return the tree of an expression node. Raises SqlError 0A000 for what no tree can carry."""
        field = node.WhichOneof("node")
        convert = EXPRESSIONS.get(field)
        if convert is None:
            raise unsupported(f"{_spoken(field)} is not supported")
        return convert(self, getattr(node, field))

    def expressions(self, nodes: Any) -> list[exp.Expression]:
        """Return the trees of a list of expression nodes."""
        return [self.expression(node) for node in nodes]

    def listed(self, nodes: Any) -> dict[str, Any]:
        """Return the args of a list: its `expressions`, or `constants` where a long one was taken out."""
        found = self.list_at(nodes[0])
        return {"expressions": self.expressions(nodes)} if found is None else {"constants": found}

    def optional(self, message: Any, field: str) -> exp.Expression | None:
        """Return the tree of an expression field, None where it is absent."""
        return self.expression(getattr(message, field)) if message.HasField(field) else None

    def query(self, select: Any) -> exp.Expression:
        """Return the tree of a SelectStmt (see `dsql.sql.tree_query`)."""
        from dsql.sql.tree_query import query_tree

        return query_tree(self, select)


def columns_of(nodes: Any) -> Any:
    """Return the nodes of a row; of too many only as many as it takes to be refused."""
    if len(nodes) <= TARGETS_MAX:
        return nodes
    first = nodes[: TARGETS_MAX + 1]
    return nodes if any(map(_may_be_none, first)) else first


def _may_be_none(node: Any) -> bool:
    """Return whether an item of a row is t.*, which may be no column at all."""
    value = node.res_target.val if node.WhichOneof("node") == "res_target" else node
    field = value.WhichOneof("node")
    parts = {"column_ref": "fields", "a_indirection": "indirection"}.get(field)
    return (
        parts is not None
        and getattr(getattr(value, field), parts)[-1].WhichOneof("node") == "a_star"
    )


def _spoken(field: str | None) -> str:
    return (field or "expression").replace("_", " ")


def _column_ref(build: TreeBuilder, node: Any) -> exp.Expression:
    parts: list[exp.Expression] = []
    for field in node.fields:
        if field.WhichOneof("node") == "string":
            parts.append(identifier(field.string.sval))
        else:
            parts.append(exp.Star())
    names = dict(zip(("this", "table", "db", "catalog"), reversed(parts), strict=False))
    return build.placed(exp.Column(**names), node.location)


def _constant(build: TreeBuilder, node: Any) -> exp.Expression:
    given = build.given(node)
    if given is not None:
        return given
    tree: exp.Expression
    if node.isnull:
        tree = exp.Null()
    else:
        kind = node.WhichOneof("val")
        if kind == "ival":
            tree = exp.Literal(this=str(node.ival.ival), is_string=False)
        elif kind == "fval":
            tree = exp.Literal(this=node.fval.fval, is_string=False)
        elif kind == "sval":
            tree = exp.Literal(this=node.sval.sval, is_string=True)
        elif kind == "boolval":
            tree = exp.Boolean(this=node.boolval.boolval)
        else:
            text = node.bsval.bsval
            tree = exp.BitString(this=text[1:]) if text[0] == "b" else exp.HexString(this=text[1:])
    return build.placed(tree, node.location)


def _parameter(build: TreeBuilder, node: Any) -> exp.Expression:
    if node.number >= MARK and (found := build.kinds_at(node.number)):
        from dsql.sql.tree_kinds import alike_tree

        return alike_tree(found)
    number = exp.Literal(this=str(node.number), is_string=False)
    return build.placed(exp.Parameter(this=number), node.location)


def constant_trees(constants: ConstantList) -> list[exp.Expression]:
    """Return the trees of a list of constants, row by row."""
    trees: list[exp.Expression] = []
    for text, position in constants.constants():
        tree: exp.Expression
        if text[0] == "'":
            tree = exp.Literal(this=text[1:-1].replace("''", "'"), is_string=True)
        elif text[0] in "nN":
            tree = exp.Null()
        elif text[0].isalpha():
            tree = exp.Boolean(this=text[0] in "tT")
        else:
            tree = exp.Literal(this=text, is_string=False)
        tree._meta = {"position": position}
        trees.append(tree)
    return trees


def items_of(tree: exp.Expression) -> list[exp.Expression]:
    """Return the trees of the items of In or Array, of those of a long list as well."""
    constants = tree.args.get("constants")
    return tree.expressions if constants is None else constant_trees(constants)


def type_tree(build: TreeBuilder, node: Any) -> exp.Expression:
    """Return the DataType of a TypeName node."""
    tree = exp.DataType(
        this=exp.DataType.Type.USERDEFINED,
        names=[part.string.sval for part in node.names],
        expressions=build.expressions(node.typmods),
        dimensions=len(node.array_bounds),
        setof=node.setof,
    )
    if node.pct_type:
        raise unsupported("%TYPE is not supported")
    return build.placed(tree, node.location)


def _cast(build: TreeBuilder, node: Any) -> exp.Expression:
    argument = build.expression(node.arg)
    to = type_tree(build, node.type_name)
    location = node.location if node.location >= 0 else node.type_name.location
    return build.placed(exp.Cast(this=argument, to=to), location)


def _collate(build: TreeBuilder, node: Any) -> exp.Expression:
    names = [identifier(part.string.sval) for part in node.collname]
    collation = exp.Column(**dict(zip(("this", "table", "db"), reversed(names), strict=False)))
    tree = exp.Collate(this=build.expression(node.arg), expression=collation)
    return build.placed(tree, node.location)


def _row(build: TreeBuilder, node: Any) -> exp.Expression:
    explicit = node.row_format == pg.COERCE_EXPLICIT_CALL
    return build.placed(
        exp.Tuple(expressions=build.expressions(columns_of(node.args)), row=explicit), node.location
    )


def _array(build: TreeBuilder, node: Any) -> exp.Expression:
    items = node.elements
    if not items:
        return build.placed(exp.Array(expressions=[]), node.location)
    tree = exp.Array(**build.listed(items))
    return build.placed(tree, node.location)


def _indirection(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = build.expression(node.arg)
    location = tree.meta["position"]
    indexes: list[exp.Expression] = []
    for part in node.indirection:
        if part.WhichOneof("node") == "a_indices":
            indexes.append(subscript_tree(build, part.a_indices))
            continue
        if indexes:
            tree, indexes = exp.Bracket(this=tree, expressions=indexes), []
            tree._meta = {"position": location}
        is_name = part.WhichOneof("node") == "string"
        field = identifier(part.string.sval) if is_name else exp.Star()
        tree = exp.Dot(this=tree, expression=field)
        tree._meta = {"position": location}
    if indexes:
        tree = exp.Bracket(this=tree, expressions=indexes)
        tree._meta = {"position": location}
    return tree


def subscript_tree(build: TreeBuilder, node: Any) -> exp.Expression:
    """Return the tree of what stands in brackets."""
    if node.is_slice:
        return exp.Slice(this=build.optional(node, "lidx"), expression=build.optional(node, "uidx"))
    return build.expression(node.uidx)


def _named_argument(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.Kwarg(this=identifier(node.name), expression=build.expression(node.arg))
    return build.placed(tree, node.location)


def _default(build: TreeBuilder, node: Any) -> exp.Expression:
    return build.placed(exp.Var(this="DEFAULT"), node.location)


def _sublink(build: TreeBuilder, node: Any) -> exp.Expression:
    query = build.query(node.subselect.select_stmt)
    kind = node.sub_link_type
    if kind == pg.EXISTS_SUBLINK:
        tree: exp.Expression = exp.Exists(this=query)
    elif kind == pg.EXPR_SUBLINK:
        tree = exp.Subquery(this=query)
    elif kind == pg.ARRAY_SUBLINK:
        tree = exp.Array(query=query)
    elif kind == pg.ANY_SUBLINK and not node.oper_name:
        tree = exp.In(this=build.expression(node.testexpr), query=exp.Subquery(this=query))
    else:
        wrap = exp.Any if kind == pg.ANY_SUBLINK else exp.All
        left = build.expression(node.testexpr)
        return operator_tree(build, node.oper_name, left, wrap(this=query), node.location)
    return build.placed(tree, node.location)


EXPRESSIONS: dict[str | None, Callable[[TreeBuilder, Any], exp.Expression]] = {
    **OPERATIONS,
    **CALLS,
    **JSON,
    "column_ref": _column_ref,
    "a_const": _constant,
    "param_ref": _parameter,
    "type_cast": _cast,
    "collate_clause": _collate,
    "row_expr": _row,
    "a_array_expr": _array,
    "a_indirection": _indirection,
    "named_arg_expr": _named_argument,
    "set_to_default": _default,
    "sub_link": _sublink,
}
