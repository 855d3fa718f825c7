"""Binds expression trees: constants, columns, conditions, CASE and subqueries.

`bind_expression(scope, tree)` is the one entrance; each node class has its function in `BINDERS`, to which
`dsql.sql.composites`, `operators` and `calls` add theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from dsql.catalog.schema import Table
from dsql.errors import SqlError, unsupported
from dsql.sql import coercion
from dsql.sql.alike import Spread
from dsql.sql.binding import type_name
from dsql.sql.bound import (
    And,
    BooleanTest,
    Case,
    Coalesce,
    Constant,
    DefaultValue,
    Exists,
    Expression,
    FieldSelect,
    Given,
    Not,
    NullTest,
    Or,
    RowConstructor,
    ScalarSubquery,
)
from dsql.sql.bound_query import Entry, Query, SubqueryEntry, TableEntry, VirtualEntry
from dsql.sql.depth import stack_depth_error
from dsql.sql.expression_lists import NotAlikeError
from dsql.sql.scope import Item, Scope, is_function_item, without_sets
from dsql.sql.tree import position_of
from dsql.sql.walk import raised
from dsql.types import oids, registry

_INT4_MAX = 2**31
_INT8_MAX = 2**63

Binder = Callable[[Scope, Any], Expression]


def bind_expression(scope: Scope, tree: exp.Expression) -> Expression:
    """Return the bound form of an expression. Raises SqlError for everything PostgreSQL refuses."""
    bind = BINDERS.get(type(tree))
    if bind is None:
        raise unsupported(f"{tree.key} is not supported", position=position_of(tree))
    try:
        return bind(scope, tree)
    except RecursionError:
        raise stack_depth_error() from None


def bind_boolean(scope: Scope, tree: exp.Expression, construct: str) -> Expression:
    """Bind a condition; `construct` ("WHERE") is named if it is not boolean."""
    return coercion.boolean(scope.binding, bind_expression(scope, tree), construct)


# ---------------------------------------------------------------- constants and parameters


def _literal(scope: Scope, tree: exp.Literal) -> Expression:
    position = position_of(tree)
    if tree.args["is_string"]:
        return Constant(type_oid=oids.UNKNOWN, value=tree.args["this"], position=position)
    return number_constant(scope, tree.args["this"], position)


def number_constant(scope: Scope, text: str, position: int) -> Constant:
    """Return a numeric literal: int4 if it fits, else int8, else numeric."""
    try:
        value = int(text.replace("_", ""), 0) if len(text) < 4_000 else None
    except ValueError:
        value = int(text) if text.lstrip("-").isdigit() else None
    if value is not None:
        if -_INT4_MAX <= value < _INT4_MAX:
            return Constant(type_oid=oids.INT4, value=value, position=position)
        if -_INT8_MAX <= value < _INT8_MAX:
            return Constant(type_oid=oids.INT8, value=value, position=position)
    number = coercion.input_value(scope.binding, text.replace("_", ""), oids.NUMERIC, position)
    return Constant(type_oid=oids.NUMERIC, value=number, position=position)


def _given(scope: Scope, tree: exp.Placeholder) -> Expression:
    values, position = tree.args["values"], position_of(tree)
    type_oid = oids.UNKNOWN
    if isinstance(values[0], int):
        type_oid = oids.INT4 if abs(values[0]) < _INT4_MAX else oids.INT8
    given = Given(type_oid=type_oid, values=values, nullable=False, position=position)
    if type_oid != oids.UNKNOWN or tree.args["is_string"]:
        return given
    return coercion.read(scope.binding, given, oids.NUMERIC)


def _several(_scope: Scope, _tree: exp.List) -> Expression:
    raise NotAlikeError


def _null(_scope: Scope, tree: exp.Null) -> Expression:
    return Constant(type_oid=oids.UNKNOWN, value=None, position=position_of(tree))


def _boolean(_scope: Scope, tree: exp.Boolean) -> Expression:
    return Constant(type_oid=oids.BOOL, value=tree.args["this"], position=position_of(tree))


def _bit_string(scope: Scope, tree: exp.Expression) -> Expression:
    text = ("x" if isinstance(tree, exp.HexString) else "b") + tree.this
    position = position_of(tree)
    value = coercion.input_value(scope.binding, text, oids.BIT, position)
    return Constant(type_oid=oids.BIT, value=value, position=position)


def _parameter(scope: Scope, tree: exp.Parameter) -> Expression:
    return _numbered(scope, int(tree.this.this), position_of(tree))


def _numbered(scope: Scope, number: int, position: int) -> Expression:
    """Return $number, or what stands for it where a function's body is written into a query."""
    binding = scope.binding
    if binding.given is None or number > len(binding.given):
        return binding.parameter(number, position)
    levels = scope.depth + binding.given_levels
    return raised(binding.given[number - 1], levels)


def _field_of(argument: Expression, name: str, position: int) -> Expression:
    """Return a field of a function's argument that is named by its parameter: p.x."""
    for at, (field, type_oid, _) in enumerate(registry.get(argument.type_oid).fields):
        if field == name:
            return FieldSelect(type_oid=type_oid, record=argument, index=at, position=position)
    message = f'column "{name}" not found in data type {type_name(argument.type_oid)}'
    raise SqlError("42703", message, position=position)


# ---------------------------------------------------------------- columns


def _column(scope: Scope, tree: exp.Column) -> Expression:
    position = position_of(tree)
    if scope.clause == "DEFAULT expressions":
        message = "cannot use column reference in DEFAULT expression"
        raise SqlError("0A000", message, position=position)
    table = tree.args.get("table")
    this = tree.args["this"]
    if table is None:
        name = this.args["this"]
        found = scope.find_column(name, position)
        if found is not None:
            return found
        if scope.has_item(name):
            return whole_row(scope, "", name, position)
        number = scope.binding.argument("", name)
        if number is not None:
            return _numbered(scope, number, position)
        raise scope.missing_column(name, position)
    schema = tree.args["db"].this if tree.args.get("db") else ""
    if isinstance(this, exp.Star):
        return whole_row(scope, schema, table.this, position)
    if not schema and not scope.has_item(table.this):
        number = scope.binding.argument(table.this, this.this)
        if number is not None:
            return _numbered(scope, number, position)
        number = scope.binding.argument("", table.this)
        if number is not None:
            return _field_of(_numbered(scope, number, position), this.this, position)
    found = scope.qualified_column(schema, table.this, this.this, position)
    if found is None:
        raise SqlError(
            "42703", f"column {table.this}.{this.this} does not exist", position=position
        )
    return found


def whole_row(scope: Scope, schema: str, table: str, position: int) -> Expression:
    """Return a reference to a whole row of FROM, spelled out; of a scalar function: its value."""
    item, levels = scope.find_item(schema, table, position)
    entry = scope.outer(levels).range_table[item.entry] if item.entry >= 0 else None
    if isinstance(entry, VirtualEntry) and entry.sequence is not None:
        message = f'relation "{entry.sequence.name}" does not have a composite type'
        raise SqlError("42809", message)
    fields = item_columns(scope, item, levels)
    if levels == 0 and len(fields) == 1 and is_function_item(scope, item):
        return fields[0]
    names = [column.name for column in item.columns if not column.hidden]
    if isinstance(entry, TableEntry):  # of the table's type, whatever its columns are called here
        names = [column.name for column in entry.table.live_columns]
    return RowConstructor(
        type_oid=_row_type(entry), fields=fields, names=names, position=position, whole=True
    )


def _row_type(entry: Entry | None) -> int:
    """Return the type of a relation's rows; record if they have none of their own."""
    table: Table | None = None
    if isinstance(entry, TableEntry):
        table = entry.table
    elif isinstance(entry, SubqueryEntry):
        table = entry.view
    return oids.RECORD if table is None or not table.row_type_oid else table.row_type_oid


def item_columns(scope: Scope, item: Item, levels: int) -> list[Expression]:
    """Return references to every visible column of a FROM item, `levels` queries out."""
    visible = [column.expression for column in item.columns if not column.hidden]
    for expression in visible:
        scope.outer(levels).read(expression)
    return [raised(expression, levels) for expression in visible]


def _star(_scope: Scope, tree: exp.Star) -> Expression:
    raise SqlError("42601", "row expansion via * is not supported here", position=position_of(tree))


# ---------------------------------------------------------------- conditions


def _flattened(tree: exp.Expression, cls: type[exp.Expression]) -> list[exp.Expression]:
    """Return the operands of a left-deep chain of ANDs or ORs in order."""
    operands = []
    while type(tree) is cls:
        operands.append(tree.args["expression"])
        tree = tree.args["this"]
    operands.append(tree)
    operands.reverse()
    return operands


def _and(scope: Scope, tree: exp.And) -> Expression:
    parts = Spread(_flattened(tree, exp.And))
    arguments = [bind_boolean(scope, part, "AND") for part in parts.trees]
    return And(
        type_oid=oids.BOOL, arguments=parts.joined(arguments, And), position=position_of(tree)
    )


def _or(scope: Scope, tree: exp.Or) -> Expression:
    parts = Spread(_flattened(tree, exp.Or))
    arguments = [bind_boolean(scope, part, "OR") for part in parts.trees]
    return Or(type_oid=oids.BOOL, arguments=parts.joined(arguments, Or), position=position_of(tree))


def _not(scope: Scope, tree: exp.Not) -> Expression:
    argument = bind_boolean(scope, tree.this, "NOT")
    return Not(type_oid=oids.BOOL, argument=argument, position=position_of(tree))


def _is(scope: Scope, tree: exp.Is) -> Expression:
    negated = tree.args["negate"]
    against = tree.args["expression"]
    if isinstance(against, exp.Var) and against.this.startswith("JSON"):
        from dsql.sql.json_constructors import bind_is_json

        return bind_is_json(scope, tree)
    argument = bind_expression(scope, tree.this)
    position = position_of(tree)
    if isinstance(against, exp.Null):
        return NullTest(type_oid=oids.BOOL, argument=argument, negated=negated, position=position)
    value = against.this if isinstance(against, exp.Boolean) else None
    word = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}[value]
    construct = f"IS {'NOT ' if negated else ''}{word}"
    argument = coercion.boolean(scope.binding, argument, construct)
    return BooleanTest(
        type_oid=oids.BOOL, argument=argument, value=value, negated=negated, position=position
    )


# ---------------------------------------------------------------- CASE, COALESCE


def _case(scope: Scope, tree: exp.Case) -> Expression:
    with without_sets(scope, "set-returning functions are not allowed in CASE"):
        return _bind_case(scope, tree)


def _bind_case(scope: Scope, tree: exp.Case) -> Expression:
    from dsql.sql.operators import make_operator

    operand = None
    ifs = Spread([_branch(branch) for branch in tree.args["ifs"]])
    if tree.args.get("this") is not None:
        operand = coercion.known(scope.binding, bind_expression(scope, tree.this))
        scope.binding.repeat([operand], len(ifs.trees))
    conditions, results = [], []
    for branch in ifs.trees:
        if operand is None:
            conditions.append(bind_boolean(scope, branch.this, "CASE/WHEN"))
        else:
            value = bind_expression(scope, branch.this)
            match = make_operator(scope, "=", operand, value, position_of(branch))
            conditions.append(coercion.boolean(scope.binding, match, "CASE/WHEN"))
        results.append(bind_expression(scope, branch.args["true"]))
    default = tree.args.get("default")
    otherwise = bind_expression(scope, default) if default is not None else None
    # PostgreSQL lets ELSE speak first about the common type.
    everything = [otherwise or _unknown_null(), *results]
    done, type_oid, typmod = coercion.unify(scope.binding, everything, "CASE")
    return Case(
        type_oid=type_oid,
        typmod=typmod,
        branches=ifs.rows(list(zip(conditions, done[1:], strict=True))),
        otherwise=done[0] if otherwise is not None else None,
        position=position_of(tree),
    )


def _branch(tree: exp.If) -> exp.Expression:
    """Return a branch of CASE, or the many branches that its condition stands for."""
    return tree.this if type(tree.this) is exp.List else tree


def _unknown_null() -> Constant:
    return Constant(type_oid=oids.UNKNOWN, value=None)


def _coalesce(scope: Scope, tree: exp.Coalesce) -> Expression:
    parts = Spread((tree.this, *tree.expressions))
    with without_sets(scope, "set-returning functions are not allowed in COALESCE"):
        arguments = [bind_expression(scope, part) for part in parts.trees]
    done, type_oid, typmod = coercion.unify(scope.binding, arguments, "COALESCE")
    arguments = parts.joined(done, Coalesce)
    return Coalesce(
        type_oid=type_oid, typmod=typmod, arguments=arguments, position=position_of(tree)
    )


# ---------------------------------------------------------------- subqueries


def bind_subquery(scope: Scope, tree: exp.Expression) -> Query:
    """Bind a query inside an expression."""
    from dsql.sql.query import bind_query

    return bind_query(scope.child(), tree)


def visible_targets(query: Query) -> int:
    """Count the output columns of a query."""
    return sum(not target.junk for target in query.targets)


def _scalar_subquery(scope: Scope, tree: exp.Subquery) -> Expression:
    query = bind_subquery(scope, tree.this)
    check_one_column(query, position_of(tree))
    target = query.targets[0].expression
    return ScalarSubquery(
        type_oid=target.type_oid, typmod=target.typmod, query=query, position=position_of(tree)
    )


def check_one_column(query: Query, position: int) -> None:
    """Raise SqlError 42601 for a query that is to be a value and has not one column."""
    if visible_targets(query) != 1:
        raise SqlError("42601", "subquery must return only one column", position=position)


def _exists(scope: Scope, tree: exp.Exists) -> Expression:
    query = bind_subquery(scope, tree.this)
    return Exists(type_oid=oids.BOOL, query=query, position=position_of(tree))


def _var(scope: Scope, tree: exp.Var) -> Expression:
    if tree.this == "DEFAULT":
        if not scope.default_allowed:
            raise SqlError(
                "42601", "DEFAULT is not allowed in this context", position=position_of(tree)
            )
        return DefaultValue(type_oid=oids.UNKNOWN, position=position_of(tree))
    from dsql.sql.calls import sql_value

    return sql_value(scope, tree)


BINDERS: dict[type, Binder] = {
    exp.Literal: _literal,
    exp.Placeholder: _given,
    exp.List: _several,
    exp.Null: _null,
    exp.Boolean: _boolean,
    exp.BitString: _bit_string,
    exp.HexString: _bit_string,
    exp.Parameter: _parameter,
    exp.Column: _column,
    exp.Star: _star,
    exp.And: _and,
    exp.Or: _or,
    exp.Not: _not,
    exp.Is: _is,
    exp.Case: _case,
    exp.Coalesce: _coalesce,
    exp.Subquery: _scalar_subquery,
    exp.Exists: _exists,
    exp.Var: _var,
}
