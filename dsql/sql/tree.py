"""libpg_query's parse nodes to sqlglot trees: expressions.

sqlglot's own parser reads PostgreSQL approximately (precedence of user operators, `now()`, `'a' 'b'`,
intervals), so the trees are built from the nodes of the grammar gate: what was judged is what is bound.
They keep PostgreSQL's meaning, not sqlglot's: no function has a class of its own, every operator keeps
its name. `meta["position"]` of a node is its 1-based character in the script, 0 if it has none.

The shapes, where they are not sqlglot's usual ones:

    Anonymous       any function call; args schema, distinct, star, variadic, order, within_group,
                    filter, over (a Window, or an Identifier for OVER name), sql_syntax (EXTRACT(x FROM
                    y) and its kind)
    Operator        an operator without a class of its own: operator, schema; prefix ones lack `this`
    Any, All        the right side of a comparison; `this` is a query or an array
    In, Between     `negate` for NOT IN, NOT BETWEEN
    In, Array       `constants`, a ConstantList, in place of `expressions` where that was long
    Is              `expression` is Null, Boolean or Var UNKNOWN; `negate`
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
from dsql.sql.constant_lists import ConstantList
from dsql.sql.gate import ParsedStatement
from dsql.sql.gate import grammar as pg
from dsql.sql.keywords import identifier

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


def position_of(node: exp.Expr) -> int:
    """Return the 1-based character a node was written at, 0 if it has none."""
    return node.meta.get("position", 0)  # type: ignore[no-any-return]


class TreeBuilder:
    """Builds the trees of one statement; `position` maps byte locations to characters."""

    def __init__(self, statement: ParsedStatement) -> None:
        self.position = statement.position
        self._lists = {found.position: found for found in statement.lists}
        self.claimed: set[int] = set()  # of the lists

    def list_at(self, node: Any) -> ConstantList | None:
        """Return the long list of constants whose first one an expression node is, else None."""
        if not self._lists or node.WhichOneof("node") != "a_const":
            return None
        found = self._lists.get(self.position(node.a_const.location))
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

    def optional(self, message: Any, field: str) -> exp.Expression | None:
        """Return the tree of an expression field, None where it is absent."""
        return self.expression(getattr(message, field)) if message.HasField(field) else None

    def query(self, select: Any) -> exp.Expression:
        """Return the tree of a SelectStmt (see `dsql.sql.tree_query`)."""
        from dsql.sql.tree_query import query_tree

        return query_tree(self, select)


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
    number = exp.Literal(this=str(node.number), is_string=False)
    return build.placed(exp.Parameter(this=number), node.location)


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
        **listed(build, items[0], lambda: build.expressions(items)),
        negate=node.name[0].string.sval == "<>",
    )
    return build.placed(tree, node.location)


def listed(
    build: TreeBuilder, first: Any, expressions: Callable[[], list[exp.Expression]]
) -> dict[str, Any]:
    """Return the args of a list: its `expressions`, or `constants` if `first` begins one taken out."""
    found = build.list_at(first)
    return {"expressions": expressions()} if found is None else {"constants": found}


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
        exp.Tuple(expressions=build.expressions(node.args), row=explicit), node.location
    )


def _array(build: TreeBuilder, node: Any) -> exp.Expression:
    items = node.elements
    if not items:
        return build.placed(exp.Array(expressions=[]), node.location)
    tree = exp.Array(**listed(build, items[0], lambda: build.expressions(items)))
    return build.placed(tree, node.location)


def _indirection(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = build.expression(node.arg)
    location = tree.meta["position"]
    indexes: list[exp.Expression] = []
    for part in node.indirection:
        if part.WhichOneof("node") == "a_indices":
            indexes.append(_subscript(build, part.a_indices))
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


def _subscript(build: TreeBuilder, node: Any) -> exp.Expression:
    if node.is_slice:
        return exp.Slice(this=build.optional(node, "lidx"), expression=build.optional(node, "uidx"))
    return build.expression(node.uidx)


def _named_argument(build: TreeBuilder, node: Any) -> exp.Expression:
    tree = exp.Kwarg(this=identifier(node.name), expression=build.expression(node.arg))
    return build.placed(tree, node.location)


def _sql_value(build: TreeBuilder, node: Any) -> exp.Expression:
    precision = node.typmod if node.typmod >= 0 else None
    return build.placed(exp.Var(this=_SQL_VALUES[node.op], precision=precision), node.location)


def _default(build: TreeBuilder, node: Any) -> exp.Expression:
    return build.placed(exp.Var(this="DEFAULT"), node.location)


def _grouping(build: TreeBuilder, node: Any) -> exp.Expression:
    return build.placed(exp.Grouping(expressions=build.expressions(node.args)), node.location)


def _function(build: TreeBuilder, node: Any) -> exp.Expression:
    names = [part.string.sval for part in node.funcname]
    args: dict[str, Any] = {
        "this": names[-1],
        "schema": names[-2] if len(names) > 1 else None,
        "expressions": build.expressions(node.args),
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
    "column_ref": _column_ref,
    "a_const": _constant,
    "param_ref": _parameter,
    "a_expr": _operation,
    "bool_expr": _boolean,
    "null_test": _null_test,
    "boolean_test": _boolean_test,
    "case_expr": _case,
    "coalesce_expr": _coalesce,
    "min_max_expr": _min_max,
    "type_cast": _cast,
    "collate_clause": _collate,
    "row_expr": _row,
    "a_array_expr": _array,
    "a_indirection": _indirection,
    "named_arg_expr": _named_argument,
    "sqlvalue_function": _sql_value,
    "set_to_default": _default,
    "grouping_func": _grouping,
    "func_call": _function,
    "sub_link": _sublink,
}
