"""Binds operators: comparisons of values, rows, lists, arrays and subqueries."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.functions.coercion import select_common_type
from dsql.functions.resolution import resolve_operator
from dsql.sql import coercion
from dsql.sql.alike import Spread, constants_of
from dsql.sql.binding import type_name
from dsql.sql.bound import (
    And,
    ArrayCompare,
    ArrayConstructor,
    Call,
    Constant,
    Distinct,
    Expression,
    MinMax,
    Not,
    NullIf,
    Or,
    QuantifiedSubquery,
    RowCompare,
    RowConstructor,
    ScalarSubquery,
)
from dsql.sql.bound_query import Query, Target
from dsql.sql.bulk import constant_array
from dsql.sql.composites import array_of, row_fields, select_field
from dsql.sql.expressions import BINDERS, bind_expression, bind_subquery
from dsql.sql.scope import Scope
from dsql.sql.tree import items_of, position_of
from dsql.sql.tree_operators import OPERATOR_NAMES
from dsql.sql.walk import has_variables
from dsql.types import oids, registry

_QUERIES = (exp.Select, exp.Values, exp.SetOperation)
_ROW_OPERATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})


def resolve(name: str, left: int, right: int, position: int) -> Any:
    """Return the ResolvedOperator of a name and operand types; `left` 0 for a prefix operator."""
    try:
        return resolve_operator(name, left, right)
    except SqlError as error:
        if not error.position:
            error.position = position
        raise


def make_operator(
    scope: Scope, name: str, left: Expression | None, right: Expression, position: int
) -> Expression:
    """Return the call of an operator on bound operands. Raises SqlError 42883."""
    left_type = left.type_oid if left is not None else 0
    found = resolve(name, left_type, right.type_oid, position)
    arguments = [_operand(scope, right, found.right_type)]
    if left is not None:
        arguments.insert(0, _operand(scope, left, found.left_type))
    operator = found.operator
    call = Call(
        type_oid=found.return_type,
        position=position,
        function=operator.function,
        arguments=arguments,
        operator=name,
        strategy=operator.strategy,
        commutator=operator.commutator,
    )
    return coercion.folded(scope.binding, call)


def _operand(scope: Scope, expression: Expression, type_oid: int) -> Expression:
    if expression.type_oid == type_oid:
        return expression
    done = coercion.coerce(scope.binding, expression, type_oid)
    assert done is not None, (expression.type_oid, type_oid)
    return done


# ---------------------------------------------------------------- operators as written


def _operator(scope: Scope, tree: exp.Expression) -> Expression:
    name = OPERATOR_NAMES.get(type(tree)) or tree.args["operator"]
    position = position_of(tree)
    schema = tree.args.get("schema")
    if schema and schema != "pg_catalog":
        raise SqlError("42883", f"operator does not exist: {schema}.{name}", position=position)
    left, right = tree.args.get("this"), tree.args["expression"]
    if left is None:
        return make_operator(scope, name, None, bind_expression(scope, right), position)
    if isinstance(right, (exp.Any, exp.All)):
        return _quantified(scope, name, left, right, position)
    if isinstance(left, exp.Tuple) and isinstance(right, (exp.Tuple, exp.Subquery)):
        return _row_operation(scope, name, left, right, position)
    return make_operator(
        scope, name, bind_expression(scope, left), bind_expression(scope, right), position
    )


def _negative(scope: Scope, tree: exp.Neg) -> Expression:
    return make_operator(scope, "-", None, bind_expression(scope, tree.this), position_of(tree))


# ---------------------------------------------------------------- rows


def _row_operation(
    scope: Scope, name: str, left: exp.Tuple, right: Any, position: int
) -> Expression:
    left_fields = row_fields(scope, left)
    if isinstance(right, exp.Subquery):
        right_fields = subquery_fields(scope, right.this, len(left_fields), position)
    else:
        right_fields = row_fields(scope, right)
    return compare_rows(scope, name, left_fields, right_fields, position)


def subquery_fields(
    scope: Scope, tree: exp.Expression, count: int, position: int
) -> list[Expression]:
    """Bind a query that yields one row of `count` columns; its fields share one ScalarSubquery."""
    query = bind_subquery(scope, tree)
    record = record_subquery(query, count, position)
    row = record.query.targets[0].expression
    assert isinstance(row, RowConstructor)
    return [
        select_field(record, index, field.type_oid, position)
        for index, field in enumerate(row.fields)
    ]


def record_subquery(query: Query, count: int, position: int) -> ScalarSubquery:
    """Return a query's row as one composite value."""
    from dsql.sql.set_operations import wrapped

    visible = [target for target in query.targets if not target.junk]
    if len(visible) != count:
        few_or_many = "few" if len(visible) < count else "many"
        raise SqlError("42601", f"subquery has too {few_or_many} columns", position=position)
    outer = wrapped(query)
    fields = [target.expression for target in outer.targets]
    names = [target.name for target in outer.targets]
    row = RowConstructor(type_oid=oids.RECORD, fields=fields, names=names)
    outer.targets = [Target("row", row)]
    return ScalarSubquery(type_oid=oids.RECORD, query=outer, position=position)


def compare_rows(
    scope: Scope, name: str, left: list[Expression], right: list[Expression], position: int
) -> Expression:
    """Return row comparison: = and <> pair by pair, the ordering operators as a RowCompare."""
    if len(left) != len(right):
        raise SqlError("42601", "unequal number of entries in row expressions", position=position)
    if not left:
        raise unsupported("cannot compare rows of zero length", position=position)
    if name not in _ROW_OPERATORS:
        raise unsupported(
            f"could not determine interpretation of row comparison operator {name}",
            position=position,
        )
    if len(left) == 1 or name in ("=", "<>"):
        pairs = [
            make_operator(scope, name, a, b, position) for a, b in zip(left, right, strict=True)
        ]
        if len(pairs) == 1:
            return pairs[0]
        cls = And if name == "=" else Or
        return cls(type_oid=oids.BOOL, arguments=pairs, position=position)
    return _ordered_rows(scope, name, left, right, position)


def _ordered_rows(
    scope: Scope, name: str, left: list[Expression], right: list[Expression], position: int
) -> Expression:
    less, equal, lefts, rights = [], [], [], []
    for a, b in zip(left, right, strict=True):
        found = resolve("<", a.type_oid, b.type_oid, position)
        same = resolve("=", found.left_type, found.right_type, position)
        lefts.append(_operand(scope, a, found.left_type))
        rights.append(_operand(scope, b, found.right_type))
        less.append(found.operator.function)
        equal.append(same.operator.function)
    return RowCompare(
        type_oid=oids.BOOL,
        left=lefts,
        right=rights,
        operator=name,
        less=less,
        equal=equal,
        position=position,
    )


# ---------------------------------------------------------------- DISTINCT, NULLIF, GREATEST


def _distinct(scope: Scope, tree: exp.Expression) -> Expression:
    negated = isinstance(tree, exp.NullSafeEQ)
    position = position_of(tree)
    left, right = tree.this, tree.args["expression"]
    if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
        pairs = zip(row_fields(scope, left), row_fields(scope, right), strict=False)
        parts = [distinct_from(scope, a, b, negated, position) for a, b in pairs]
        cls = And if negated else Or
        return cls(type_oid=oids.BOOL, arguments=parts, position=position)
    return distinct_from(
        scope, bind_expression(scope, left), bind_expression(scope, right), negated, position
    )


def distinct_from(
    scope: Scope, left: Expression, right: Expression, negated: bool, position: int
) -> Expression:
    """Return left IS [NOT] DISTINCT FROM right."""
    found = resolve("=", left.type_oid, right.type_oid, position)
    return Distinct(
        type_oid=oids.BOOL,
        left=_operand(scope, left, found.left_type),
        right=_operand(scope, right, found.right_type),
        equal=found.operator.function,
        negated=negated,
        position=position,
    )


def _nullif(scope: Scope, tree: exp.Nullif) -> Expression:
    left = bind_expression(scope, tree.this)
    right = bind_expression(scope, tree.args["expression"])
    found = resolve("=", left.type_oid, right.type_oid, position_of(tree))
    left = _operand(scope, left, found.left_type)
    return NullIf(
        type_oid=left.type_oid,
        typmod=left.typmod,
        left=left,
        right=_operand(scope, right, found.right_type),
        equal=found.operator.function,
        position=position_of(tree),
    )


def _min_max(scope: Scope, tree: exp.Expression) -> Expression:
    greatest = isinstance(tree, exp.Greatest)
    name = "GREATEST" if greatest else "LEAST"
    position = position_of(tree)
    parts = Spread((tree.this, *tree.expressions))
    arguments = [bind_expression(scope, part) for part in parts.trees]
    done, type_oid, typmod = coercion.unify(scope.binding, arguments, name)
    less = resolve("<", type_oid, type_oid, position).operator.function
    return MinMax(
        type_oid=type_oid,
        typmod=typmod,
        arguments=parts.items(done),
        greatest=greatest,
        less=less,
        position=position,
    )


# ---------------------------------------------------------------- IN, BETWEEN


def _between(scope: Scope, tree: exp.Between) -> Expression:
    position = position_of(tree)
    value, low, high = (bind_expression(scope, tree.args[key]) for key in ("this", "low", "high"))
    symmetric = tree.args["symmetric"]
    scope.binding.repeat([value, low, high] if symmetric else [value], 4 if symmetric else 2)

    def inside(lower: Expression, upper: Expression) -> Expression:
        arguments = [
            make_operator(scope, ">=", value, lower, position),
            make_operator(scope, "<=", scope.binding.current(value), upper, position),
        ]
        return And(type_oid=oids.BOOL, arguments=arguments, position=position)

    result = inside(low, high)
    if symmetric:
        value, low, high = map(scope.binding.current, (value, low, high))
        result = Or(type_oid=oids.BOOL, arguments=[result, inside(high, low)], position=position)
    if tree.args["negate"]:
        return Not(type_oid=oids.BOOL, argument=result, position=position)
    return result


def _in(scope: Scope, tree: exp.In) -> Expression:
    if tree.args.get("query") is not None:
        query = tree.args["query"].this
        return _subquery_comparison(scope, "=", tree.this, query, False, position_of(tree))
    if isinstance(tree.this, exp.Tuple):
        return _row_in(scope, tree)
    return _list_in(scope, tree)


def _row_in(scope: Scope, tree: exp.In) -> Expression:
    name, negate, position = ("=", False, position_of(tree))
    if tree.args["negate"]:
        name, negate = "<>", True
    left = row_fields(scope, tree.this)
    items = Spread(items_of(tree))
    scope.binding.repeat(left, len(items.trees))
    parts = []
    for item in items.trees:
        if not isinstance(item, exp.Tuple):
            raise SqlError(
                "42601", "unequal number of entries in row expressions", position=position
            )
        parts.append(compare_rows(scope, name, left, row_fields(scope, item), position))
    cls = And if negate else Or
    return _joined(items.joined(parts, cls), cls, position)


def _joined(parts: list[Expression], cls: type[And | Or], position: int) -> Expression:
    if len(parts) == 1:
        return parts[0]
    return cls(type_oid=oids.BOOL, arguments=parts, position=position)


def _list_in(scope: Scope, tree: exp.In) -> Expression:
    """Bind x IN (...): values without columns as one array, if they have a common type with x."""
    negate = tree.args["negate"]
    name = "<>" if negate else "="
    position = position_of(tree)
    left = bind_expression(scope, tree.this)
    constants = tree.args.get("constants")
    if constants is not None:
        in_bulk = constant_array(scope.binding, constants, [left.type_oid], position)
        if in_bulk is not None:
            return _array_comparison(scope, name, left, in_bulk, negate, position)
    spread = Spread(items_of(tree))
    items = [bind_expression(scope, item) for item in spread.trees]
    plain, others = _by_freedom(items)
    parts: list[Expression] = []
    if len(plain) > 1:
        types = [left.type_oid, *(items[number].type_oid for number in plain)]
        element = select_common_type(types)
        if isinstance(element, int) and element != oids.RECORD and registry.get(element).array_oid:
            values = [_operand(scope, items[number], element) for number in plain]
            values = spread.items(values, plain)
            array = _array(values, element, position, folding=scope.binding.folding)
            parts.append(_array_comparison(scope, name, left, array, negate, position))
            plain = []
    rest = sorted([*plain, *others])
    scope.binding.repeat([left], len(parts) + len(rest))
    compared = [make_operator(scope, name, left, items[number], position) for number in rest]
    cls = And if negate else Or
    parts += spread.joined(compared, cls, rest)
    return _joined(parts, cls, position)


def _by_freedom(items: list[Expression]) -> tuple[list[int], list[int]]:
    """Return the numbers of items without columns, and of the others."""
    plain: list[int] = []
    others: list[int] = []
    for number, item in enumerate(items):
        free = type(item) is Constant or not has_variables(item)
        (plain if free else others).append(number)
    return plain, others


def _array(values: list[Expression], element: int, position: int, *, folding: bool) -> Expression:
    type_oid = array_of(element, position)
    elements = constants_of(values) if folding else None
    if elements is not None:
        return Constant(type_oid=type_oid, value=elements, position=position)
    return ArrayConstructor(type_oid=type_oid, elements=values, position=position)


# ---------------------------------------------------------------- ANY and ALL


def _quantified(
    scope: Scope, name: str, left: exp.Expression, right: exp.Expression, position: int
) -> Expression:
    every = isinstance(right, exp.All)
    if isinstance(right.this, _QUERIES):
        return _subquery_comparison(scope, name, left, right.this, every, position)
    value = bind_expression(scope, left)
    array = bind_expression(scope, right.this)
    return _array_comparison(scope, name, value, array, every, position)


def _array_comparison(
    scope: Scope, name: str, left: Expression, array: Expression, every: bool, position: int
) -> Expression:
    if array.type_oid == oids.UNKNOWN:
        element = oids.UNKNOWN
    else:
        element = registry.get(array.type_oid).element_oid
        if not element:
            raise SqlError(
                "42809", "op ANY/ALL (array) requires array on right side", position=position
            )
    found = resolve(name, left.type_oid, element, position)
    if found.return_type != oids.BOOL:
        raise SqlError(
            "42809", "op ANY/ALL (array) requires operator to yield boolean", position=position
        )
    wanted = array_of(found.right_type, position)
    return ArrayCompare(
        type_oid=oids.BOOL,
        left=_operand(scope, left, found.left_type),
        array=_array_operand(scope, array, wanted, position),
        function=found.operator.function,
        all=every,
        operator=name,
        strategy=found.operator.strategy,
        position=position,
    )


def _array_operand(scope: Scope, array: Expression, wanted: int, position: int) -> Expression:
    done = coercion.coerce(scope.binding, array, wanted)
    if done is None and isinstance(array, ArrayConstructor):
        done = coercion.cast_to(scope.binding, array, wanted, position=position)
    if done is None:
        raise SqlError(
            "42883",
            f"operator does not exist for arrays of {type_name(array.type_oid)}",
            position=position,
        )
    return done


def _subquery_comparison(
    scope: Scope,
    name: str,
    left: exp.Expression,
    tree: exp.Expression,
    every: bool,
    position: int,
) -> Expression:
    if isinstance(left, exp.Tuple):
        values = row_fields(scope, left)
    else:
        values = [bind_expression(scope, left)]
    query = bind_subquery(scope, tree)
    return compare_with_query(scope, name, values, query, every, position)


def compare_with_query(
    scope: Scope, name: str, values: list[Expression], query: Query, every: bool, position: int
) -> Expression:
    """Return values op ANY|ALL (query), the query's columns cast to what the operators take."""
    from dsql.sql.set_operations import cast_targets

    visible = [target for target in query.targets if not target.junk]
    if len(visible) != len(values):
        few_or_many = "few" if len(visible) < len(values) else "many"
        raise SqlError("42601", f"subquery has too {few_or_many} columns", position=position)
    if len(values) > 1 and name not in _ROW_OPERATORS:
        raise unsupported(
            f"could not determine interpretation of row comparison operator {name}",
            position=position,
        )
    if len(values) > 1 and name == "<>":
        same = compare_with_query(scope, "=", values, query, not every, position)
        return Not(type_oid=oids.BOOL, argument=same, position=position)
    functions, lefts, types, equal = [], [], [], []
    ordered = len(values) > 1 and name != "="
    for value, target in zip(values, visible, strict=True):
        wanted = "<" if ordered else name
        found = resolve(wanted, value.type_oid, target.expression.type_oid, position)
        lefts.append(_operand(scope, value, found.left_type))
        functions.append(found.operator.function)
        types.append(found.right_type)
        if ordered:
            same = resolve("=", found.left_type, found.right_type, position)
            equal.append(same.operator.function)
    return QuantifiedSubquery(
        type_oid=oids.BOOL,
        left=lefts,
        query=cast_targets(scope.binding, query, [(type_oid, -1) for type_oid in types], "IN"),
        functions=[*functions, *equal],
        all=every,
        operator=name,
        position=position,
    )


BINDERS.update(dict.fromkeys(OPERATOR_NAMES, _operator))
BINDERS.update(
    {
        exp.Operator: _operator,
        exp.Neg: _negative,
        exp.NullSafeEQ: _distinct,
        exp.NullSafeNEQ: _distinct,
        exp.Nullif: _nullif,
        exp.Greatest: _min_max,
        exp.Least: _min_max,
        exp.Between: _between,
        exp.In: _in,
    }
)
