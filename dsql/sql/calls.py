"""Binds function calls: plain ones, aggregates, window functions and the SQL value functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlglot import exp

from dsql.access.requirements import CallUse
from dsql.errors import SqlError, unsupported
from dsql.functions.function import Aggregate, Function, WindowFunction
from dsql.functions.resolution import Resolved, resolve_function
from dsql.limits import ARGUMENTS_MAX
from dsql.sql import coercion
from dsql.sql.bound import (
    AggregateCall,
    ArrayConstructor,
    Call,
    Expression,
    GroupingCall,
    Parameter,
    RowConstructor,
    SortKey,
    WindowCall,
)
from dsql.sql.composites import array_of
from dsql.sql.expressions import BINDERS, bind_boolean, bind_expression, whole_row
from dsql.sql.hypothetical_sets import HYPOTHETICAL_SETS, bind_hypothetical_set
from dsql.sql.json_constructors import constructed, returned
from dsql.sql.refusals import check_function
from dsql.sql.scope import Scope
from dsql.sql.sql_functions import resolve_own, sql_call
from dsql.sql.tree import position_of
from dsql.sql.walk import lowest_level, nodes
from dsql.sql.windows import bind_window
from dsql.types import oids, registry

# Where PostgreSQL lets aggregates and window functions stand.
_AGGREGATE_CLAUSES = frozenset({"SELECT", "HAVING", "ORDER BY", "DISTINCT ON", "WINDOW"})
_WINDOW_CLAUSES = frozenset({"SELECT", "ORDER BY", "DISTINCT ON"})
_SET_CLAUSES = frozenset({"SELECT", "ORDER BY", "DISTINCT ON", "GROUP BY", "functions in FROM"})


@contextmanager
def clause(scope: Scope, name: str) -> Iterator[None]:
    """Name the clause that expressions are bound in, for its refusals."""
    before = scope.clause
    scope.clause = name
    try:
        yield
    finally:
        scope.clause = before


def _function_call(scope: Scope, tree: exp.Anonymous) -> Expression:
    position = position_of(tree)
    if len(tree.expressions) > ARGUMENTS_MAX:
        message = f"cannot pass more than {ARGUMENTS_MAX} arguments to a function"
        raise SqlError("54023", message, position=position)
    check_function(tree.this, tree.expressions, scope.binding.profile, position)
    before = scope.last_set
    arguments = [_argument(scope, item) for item in tree.expressions]
    if tree.args.get("constructor") is not None:
        return _constructor(scope, tree, arguments)
    arguments = [argument for argument in arguments if not _is_void(argument)]
    if tree.args.get("within_group") is not None:
        return _ordered_set(scope, tree, arguments, tree.args["within_group"])
    types = [argument.type_oid for argument in arguments]
    found = _resolve(scope, tree, types)
    callee = found.callee
    if isinstance(callee, Aggregate):
        _check_no_sets(scope, "aggregate", before)
        return _aggregate(scope, tree, callee, found, arguments)
    if isinstance(callee, WindowFunction):
        _check_no_sets(scope, "window", before)
        return _window_call(scope, tree, callee, found, arguments)
    _check_plain(tree, position)
    return plain_call(scope, callee, found, arguments, position)


def _is_void(argument: Expression) -> bool:
    """Tell whether it is a parameter of type void, which JDBC sends for an OUT one: it is no argument."""
    return isinstance(argument, Parameter) and argument.type_oid == oids.VOID


def _check_no_sets(scope: Scope, kind: str, before: int) -> None:
    """Refuse a set-returning function among the arguments, which have been bound since `before`."""
    if scope.last_set != before:
        raise SqlError(
            "0A000",
            f"{kind} function calls cannot contain set-returning function calls",
            hint="You might be able to move the set-returning function into a LATERAL FROM item.",
            position=scope.last_set,
        )


def _constructor(scope: Scope, tree: exp.Anonymous, arguments: list[Expression]) -> Expression:
    """Bind JSON_OBJECT, JSON_ARRAY and their aggregates."""
    arguments = [coercion.known(scope.binding, argument) for argument in arguments]
    callee = constructed(tree, tuple(argument.type_oid for argument in arguments))
    found = Resolved(callee, callee.argument_types, callee.return_type)
    if isinstance(callee, Aggregate):
        made = _aggregate(scope, tree, callee, found, arguments)
    else:
        made = plain_call(scope, callee, found, arguments, position_of(tree))
    return returned(scope, tree, made)


def _argument(scope: Scope, tree: exp.Expression) -> Expression:
    if isinstance(tree, exp.Kwarg):
        return bind_expression(scope, tree.args["expression"])
    if isinstance(tree, exp.Column) and isinstance(tree.this, exp.Star):
        db, table = tree.args.get("db"), tree.args["table"]
        return whole_row(scope, db.this if db else "", table.this, position_of(tree))
    return bind_expression(scope, tree)


def _argument_names(tree: exp.Anonymous) -> list[str]:
    """Return the names of the arguments that have one. Raises SqlError 42601."""
    names: list[str] = []
    for item in tree.expressions:
        if not isinstance(item, exp.Kwarg):
            if names:
                raise _positional_after_named(position_of(item))
            continue
        if item.this.this in names:
            message = f'argument name "{item.this.this}" used more than once'
            raise SqlError("42601", message, position=position_of(item))
        names.append(item.this.this)
    return names


def _positional_after_named(position: int) -> SqlError:
    return SqlError("42601", "positional argument cannot follow named argument", position=position)


def _resolve(scope: Scope, tree: exp.Anonymous, types: list[int]) -> Resolved:
    names = _argument_names(tree)
    schema, variadic = tree.args.get("schema"), bool(tree.args.get("variadic"))
    position = position_of(tree)
    try:
        found = resolve_own(scope.binding, tree.this, tuple(types), schema, tuple(names), variadic)
    except SqlError as error:
        error.position = error.position or position
        raise
    return found or resolve(
        tree.this,
        types,
        position,
        schema=schema,
        argument_names=tuple(names),
        variadic=variadic,
    )


def resolve(
    name: str,
    types: list[int],
    position: int,
    *,
    schema: str | None = None,
    argument_names: tuple[str, ...] = (),
    variadic: bool = False,
) -> Resolved:
    """Return what a call means. Raises SqlError 42883 or 42725 at `position`."""
    try:
        return resolve_function(name, tuple(types), schema, argument_names, variadic)
    except SqlError as error:
        if not error.position:
            error.position = position
        raise


def _check_plain(tree: exp.Anonymous, position: int) -> None:
    """Refuse what only aggregates may have."""
    name = tree.this
    for key, text in (
        ("star", f"{name}(*) specified, but {name} is not an aggregate function"),
        ("distinct", f"DISTINCT specified, but {name} is not an aggregate function"),
        ("within_group", f"WITHIN GROUP specified, but {name} is not an aggregate function"),
        ("order", f"ORDER BY specified, but {name} is not an aggregate function"),
        ("filter", f"FILTER specified, but {name} is not an aggregate function"),
        (
            "over",
            f"OVER specified, but {name} is not a window function nor an aggregate function",
        ),
    ):
        if tree.args.get(key):
            raise SqlError("42809", text, position=position)


def plain_call(
    scope: Scope, function: Function, found: Resolved, arguments: list[Expression], position: int
) -> Expression:
    """Return the call of an ordinary function."""
    if function.returns_set and scope.clause and scope.clause not in _SET_CLAUSES:
        raise scope.forbid("set-returning functions", "0A000", position)
    if function.returns_set:
        scope.last_set = position
    done = cast_arguments(scope, found, arguments, position)
    if function.definition is not None:
        from dsql.sql.inlining import inlined_value

        own = sql_call(scope.binding, found, done, position)
        # In FROM a call's columns have names of their own; `from_clause` may make it a query.
        in_from = scope.clause == "functions in FROM"
        return own if in_from else inlined_value(scope, own) or own
    if function.acl is not None:
        scope.binding.calls.append(CallUse(function))
    call = Call(
        type_oid=found.return_type,
        position=position,
        function=function,
        arguments=done,
    )
    return coercion.folded(scope.binding, call)


def cast_arguments(
    scope: Scope, found: Resolved, arguments: list[Expression], position: int
) -> list[Expression]:
    """Cast arguments to the callee's types and collect the variadic ones into one array."""
    split = found.variadic_from
    done = []
    for argument, type_oid in zip(arguments, found.argument_types, strict=True):
        cast = coercion.coerce(scope.binding, argument, type_oid)
        assert cast is not None, (argument.type_oid, type_oid)
        done.append(cast)
    split = found.variadic_from
    if split < 0:
        return done
    array_oid = array_of(found.argument_types[split], position)
    array = ArrayConstructor(type_oid=array_oid, elements=done[split:], position=position)
    return [*done[:split], array]


# ---------------------------------------------------------------- aggregates


def _aggregate(
    scope: Scope,
    tree: exp.Anonymous,
    aggregate: Aggregate,
    found: Resolved,
    arguments: list[Expression],
) -> Expression:
    position = position_of(tree)
    name = tree.this
    if not arguments and not tree.args.get("star"):
        raise SqlError(
            "42809",
            f"{name}(*) must be used to call a parameterless aggregate function",
            position=position,
        )
    if aggregate.ordered_set:
        raise SqlError(
            "42809", f"WITHIN GROUP is required for ordered-set aggregate {name}", position=position
        )
    done = cast_arguments(scope, found, arguments, position)
    with clause(scope, "FILTER"):
        condition = tree.args.get("filter")
        filter_ = bind_boolean(scope, condition, "FILTER") if condition is not None else None
    if tree.args.get("over") is not None:
        return _aggregate_over(scope, tree, aggregate, found, done, filter_)
    order_by = _aggregate_order(scope, tree, done)
    levels = _aggregate_level(scope, [*done, *order_by, *([filter_] if filter_ else [])], position)
    return AggregateCall(
        type_oid=found.return_type,
        position=position,
        aggregate=aggregate,
        arguments=done,
        distinct=bool(tree.args.get("distinct")),
        order_by=order_by,
        filter=filter_,
        levels_up=levels,
    )


def _aggregate_order(
    scope: Scope, tree: exp.Anonymous, arguments: list[Expression]
) -> list[SortKey]:
    """Bind ORDER BY inside the call. An argument before its implicit cast stands for that argument."""
    from dsql.sql.walk import same

    order = tree.args.get("order")
    given = [(coercion.without_implicit_cast(argument), argument) for argument in arguments]
    keys = []
    for item in order.expressions if order is not None else ():
        bound = coercion.known(scope.binding, bind_expression(scope, item.this))
        sorted_by = next((a for plain, a in given if same(bound, plain) or same(bound, a)), None)
        if tree.args.get("distinct") and sorted_by is None:
            raise SqlError(
                "42P10",
                "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                position=bound.position,
            )
        keys.append(sort_key(item, sorted_by or bound))
    return keys


def sort_key(item: exp.Expression, bound: Expression) -> SortKey:
    """Return the SortKey of an Ordered tree whose expression is bound already."""
    descending = item.args["desc"]
    using = item.args.get("using")
    if using is not None:
        if using not in ("<", ">"):
            raise SqlError(
                "42809",
                f"operator {using} is not a valid ordering operator",
                hint='Ordering operators must be "<" or ">" members of btree operator families.',
            )
        descending = using == ">"
    return SortKey(expression=bound, descending=descending, nulls_first=item.args["nulls_first"])


def _ordered_set(
    scope: Scope,
    tree: exp.Anonymous,
    direct: list[Expression],
    within: exp.Expression,
) -> Expression:
    """Bind percentile_cont(0.5) WITHIN GROUP (ORDER BY x): direct arguments and the sorted one."""
    position = position_of(tree)
    if tree.this in HYPOTHETICAL_SETS and tree.args.get("over") is None:
        return bind_hypothetical_set(scope, tree, direct, within)
    keys = [
        sort_key(item, coercion.known(scope.binding, bind_expression(scope, item.this)))
        for item in within.expressions
    ]
    if tree.args.get("over") is not None:
        raise unsupported(
            f"OVER is not supported for ordered-set aggregate {tree.this}", position=position
        )
    if _argument_names(tree):
        raise _positional_after_named(keys[0].expression.position)
    types = [a.type_oid for a in direct] + [key.expression.type_oid for key in keys]
    found = resolve(tree.this, types, position, schema=tree.args.get("schema"))
    if not isinstance(found.callee, Aggregate):
        raise SqlError(
            "42809",
            f"{tree.this} is not an ordered-set aggregate, so it cannot have WITHIN GROUP",
            position=position,
        )
    count = len(direct)
    done = cast_arguments(scope, found, [*direct, *(key.expression for key in keys)], position)
    for key, expression in zip(keys, done[count:], strict=True):
        key.expression = expression
    with clause(scope, "FILTER"):
        condition = tree.args.get("filter")
        filter_ = bind_boolean(scope, condition, "FILTER") if condition is not None else None
    levels = _aggregate_level(scope, [*done, *([filter_] if filter_ else [])], position)
    return AggregateCall(
        type_oid=found.return_type,
        position=position,
        aggregate=found.callee,
        arguments=done[count:],
        order_by=keys,
        filter=filter_,
        direct=done[:count],
        levels_up=levels,
    )


def _aggregate_level(scope: Scope, inside: list[Any], position: int) -> int:
    """Return whose rows an aggregate runs over, and mark that query as aggregated."""
    levels = lowest_level(inside) or 0
    owner = scope.outer(levels)
    for part in inside:
        for node, depth in nodes(part):
            if isinstance(node, AggregateCall) and node.levels_up - depth == levels:
                raise SqlError(
                    "42803", "aggregate function calls cannot be nested", position=node.position
                )
            if isinstance(node, WindowCall) and depth == 0:
                raise SqlError(
                    "42803",
                    "aggregate function calls cannot contain window function calls",
                    position=node.position,
                )
    if owner.clause not in _AGGREGATE_CLAUSES:
        raise owner.forbid("aggregate functions", "42803", position)
    owner.aggregated = True
    return levels


def _aggregate_over(
    scope: Scope,
    tree: exp.Anonymous,
    aggregate: Aggregate,
    found: Resolved,
    arguments: list[Expression],
    filter_: Expression | None,
) -> Expression:
    position = position_of(tree)
    if tree.args.get("distinct"):
        raise unsupported("DISTINCT is not implemented for window functions", position=position)
    if tree.args.get("order"):
        raise unsupported(
            "aggregate ORDER BY is not implemented for window functions", position=position
        )
    return _over(scope, tree, aggregate, found.return_type, arguments, filter_)


# ---------------------------------------------------------------- window functions


def _window_call(
    scope: Scope,
    tree: exp.Anonymous,
    function: WindowFunction,
    found: Resolved,
    arguments: list[Expression],
) -> Expression:
    position = position_of(tree)
    if tree.args.get("over") is None:
        raise SqlError(
            "42809", f"window function {tree.this} requires an OVER clause", position=position
        )
    if tree.args.get("filter") is not None:
        raise unsupported(
            "FILTER is not implemented for non-aggregate window functions", position=position
        )
    done = cast_arguments(scope, found, arguments, position)
    return _over(scope, tree, function, found.return_type, done, None)


def _over(
    scope: Scope,
    tree: exp.Anonymous,
    function: WindowFunction | Aggregate,
    return_type: int,
    arguments: list[Expression],
    filter_: Expression | None,
) -> Expression:
    position = position_of(tree)
    if scope.clause not in _WINDOW_CLAUSES:
        if scope.clause in ("FILTER", "WINDOW"):
            raise SqlError("42P20", "window function calls cannot be nested", position=position)
        raise scope.forbid("window functions", "42P20", position)
    for argument in arguments:
        for node, depth in nodes(argument):
            if isinstance(node, WindowCall) and depth == 0:
                raise SqlError(
                    "42P20", "window function calls cannot be nested", position=node.position
                )
    with clause(scope, "WINDOW"):
        window = bind_window(scope, tree.args["over"])
    call = WindowCall(
        type_oid=return_type,
        position=position,
        function=function,
        arguments=arguments,
        partition_by=window.partition_by,
        order_by=window.order_by,
        frame=window.frame,
        filter=filter_,
    )
    scope.window_calls.append(call)
    return call


def _grouping(scope: Scope, tree: exp.Grouping) -> Expression:
    position = position_of(tree)
    arguments = [bind_expression(scope, item) for item in tree.expressions]
    if scope.clause not in _AGGREGATE_CLAUSES:
        raise scope.forbid("grouping operations", "42803", position)
    scope.aggregated = True
    return GroupingCall(type_oid=oids.INT4, arguments=arguments, position=position)


# ---------------------------------------------------------------- SQL value functions

# The names' own functions go by pg_proc's names; those of times are called like the keywords.
_NAME_VALUES = {
    "current_user": "current_user",
    "current_role": "current_user",
    "user": "current_user",
    "session_user": "session_user",
    "current_catalog": "current_database",
    "current_schema": "current_schema",
}


def sql_value(scope: Scope, tree: exp.Var) -> Expression:
    """Bind CURRENT_TIMESTAMP, CURRENT_USER and the other functions without parentheses."""
    position = position_of(tree)
    name = tree.this
    found = resolve(_NAME_VALUES.get(name, name), [], position, schema="pg_catalog")
    assert isinstance(found.callee, Function)
    call = plain_call(scope, found.callee, found, [], position)
    assert isinstance(call, Call)
    call.keyword = name
    precision = tree.args.get("precision")
    if precision is None:
        return call
    return coercion.apply_typmod(call, min(precision, 6), explicit=True)


def is_composite(expression: Expression) -> bool:
    """Tell whether an expression has fields that .* can spell out."""
    if isinstance(expression, RowConstructor) or registry.get(expression.type_oid).kind == "c":
        return True
    return isinstance(expression, Call) and bool(expression.function.columns)


BINDERS.update({exp.Anonymous: _function_call, exp.Grouping: _grouping})
