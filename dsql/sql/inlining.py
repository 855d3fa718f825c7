"""Simple functions written into the query that calls them, where PostgreSQL does it (clauses.c).

A call's value becomes the body's expression over the arguments, a call in FROM the body's query. Not so
where it could be told: another role or other settings, arguments that would be computed more or less
often, NULLs that a strict function has to see first, queries that write.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlglot import exp

from dsql.catalog.schema import SqlFunction
from dsql.errors import SqlError
from dsql.functions.coercion import CastContext
from dsql.sql import bound, coercion
from dsql.sql.binding import Binding
from dsql.sql.bound import Call, Expression
from dsql.sql.bound_query import BoundStatement, Query
from dsql.sql.function_bodies import arguments_of, body_path, check_result, parse_body
from dsql.sql.gate import ParsedStatement
from dsql.sql.scope import Scope
from dsql.sql.sql_functions import SqlCall
from dsql.sql.tree_query import statement_tree
from dsql.sql.walk import has_variables, nodes
from dsql.types import oids

_REPEATED_NODES_MAX = 8  # of an argument that is used several times: cheaper than a call
_NOT_INLINED = (bound.AggregateCall, bound.WindowCall, bound.GroupingCall, Query)
# Expressions that are NULL if a part is; calls say it themselves.
_STRICT = (
    bound.Parameter,
    bound.Constant,
    bound.Relabel,
    bound.TextCast,
    bound.ApplyTypmod,
    bound.Not,
)
_CLAUSES = (
    "from_", "where", "group", "having", "order", "limit", "offset", "distinct", "with_", "locks",
)  # fmt: skip


def inlined_value(scope: Scope, call: Call) -> Expression | None:
    """Return the expression that a call of a function is, None where the call has to stay one."""
    implementation = _implementation(scope.binding, call)
    if implementation is None or implementation.columns or call.function.returns_set:
        return None
    function = implementation.function
    tree = _only_expression(function)
    if tree is None or call.type_oid in (oids.RECORD, oids.VOID):
        return None
    try:
        model = _value(scope.binding, implementation, tree, None)
        if model is None or not _may_replace(function, call.arguments, model):
            return None
        return _value(scope.binding, implementation, tree, call.arguments)
    except SqlError:
        return None  # it is the call's to fail


def _implementation(binding: Binding, call: Call) -> SqlCall | None:
    """Return what runs a call, if that could be inlined at all."""
    found = call.function.implementation
    if not isinstance(found, SqlCall) or not binding.folding:
        return None
    function = found.function
    if (
        function.domain
        or function.security_definer
        or function.settings
        or function.oid in binding.inlining
        or not binding.may_call(function)
    ):
        return None
    return found


@lru_cache(1024)
def _only_statement(function: SqlFunction) -> ParsedStatement | None:
    try:
        statements = parse_body(function)
    except SqlError:
        return None
    return statements[0] if len(statements) == 1 and statements[0].name == "Select" else None


@lru_cache(1024)
def _only_expression(function: SqlFunction) -> exp.Expression | None:
    """Return the tree of a body that is SELECT expression."""
    statement = _only_statement(function)
    tree = None if statement is None else statement_tree(statement)
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1:
        return None
    if any(tree.args.get(name) for name in _CLAUSES):
        return None
    (target,) = tree.expressions
    found: exp.Expression = target.this if isinstance(target, exp.Alias) else target
    return None if isinstance(found, exp.Star) else found


def _inner(
    binding: Binding, call: SqlCall, given: Sequence[Expression] | None, levels: int
) -> Binding:
    """Return the state in which a body is bound: for arguments, or for parameters without."""
    function = call.function
    inner = binding.for_stored_text(
        views=binding.views, folding=binding.folding, as_role=binding.as_role
    )
    inner.search_path = body_path(function, binding.search_path)
    inner.profile = binding.profile
    inner.authority = binding.authority
    inner.parameter_types = list(call.argument_types)
    inner.parameters_max = len(call.argument_types)
    inner.arguments = arguments_of(function)
    inner.inlining = (*binding.inlining, function.oid)
    inner.calls = binding.calls
    inner.given = given
    inner.given_levels = levels
    if given is None:  # only a model, which uses nothing
        inner.uses, inner.tables, inner.calls = [], set(), []
    return inner


def _value(
    binding: Binding, call: SqlCall, tree: exp.Expression, given: Sequence[Expression] | None
) -> Expression | None:
    from dsql.sql.expressions import bind_expression

    inner = _inner(binding, call, given, 0)
    value = bind_expression(Scope(inner), tree)
    return coercion.coerce(inner, value, call.return_type, CastContext.ASSIGNMENT)


def _may_replace(function: SqlFunction, arguments: Sequence[Expression], model: Expression) -> bool:
    """Tell whether the body's expression means what the call does."""
    from dsql.sql.columns import volatility

    parts = [node for node, _ in nodes(model)]
    if any(isinstance(node, _NOT_INLINED) or _returns_set(node) for node in parts):
        return False
    if "isv".index(volatility(model)) > "isv".index(function.volatility):
        return False
    counts = [0] * len(arguments)
    for node in parts:
        if isinstance(node, bound.Parameter):
            counts[node.index] += 1
    if function.strict and not (all(counts) and all(map(_is_strict, parts))):
        return False
    return all(
        count < 2 or _is_cheap(argument) for count, argument in zip(counts, arguments, strict=True)
    )


def _returns_set(node: object) -> bool:
    return isinstance(node, Call) and node.function.returns_set


def _is_strict(node: object) -> bool:
    return isinstance(node, _STRICT) or (isinstance(node, Call) and node.function.strict)


def _is_cheap(argument: Expression) -> bool:
    """Tell whether an argument may be computed several times."""
    from dsql.sql.columns import volatility

    parts = [node for node, _ in nodes(argument)]
    if any(isinstance(node, Query) or _is_own(node) for node in parts):
        return False
    return len(parts) <= _REPEATED_NODES_MAX and volatility(argument) != "v"


def _is_own(node: object) -> bool:
    return isinstance(node, Call) and node.function.definition is not None


def inlined_query(scope: Scope, call: Call) -> Query | None:
    """Return the query that a call in FROM is, None where the call has to stay one."""
    implementation = _implementation(scope.binding, call)
    if implementation is None or not _may_be_query(call, implementation.function):
        return None
    statement = _only_statement(implementation.function)
    if statement is None:
        return None
    try:
        model = _query(scope, implementation, statement, None)
        lateral = any(map(has_variables, call.arguments))
        if lateral and any(isinstance(node, _NOT_INLINED[:3]) for node, _ in nodes(model)):
            return None
        return _query(scope, implementation, statement, call.arguments)
    except SqlError:
        return None  # it is the call's to fail


def _may_be_query(call: Call, function: SqlFunction) -> bool:
    from dsql.sql.columns import volatility

    if not function.returns_set or function.strict or function.volatility == "v":
        return False
    if call.type_oid == oids.VOID or (call.type_oid == oids.RECORD and not call.function.columns):
        return False
    return not any(
        volatility(argument) == "v" or any(isinstance(node, Query) for node, _ in nodes(argument))
        for argument in call.arguments
    )


def _query(
    scope: Scope,
    call: SqlCall,
    statement: ParsedStatement,
    given: Sequence[Expression] | None,
) -> Query:
    from dsql.sql.query import bind_query

    inner = _inner(scope.binding, call, given, 1)
    query = bind_query(Scope(inner), statement_tree(statement))
    result = BoundStatement(query, inner.parameter_types)
    check_result(inner, call, result)
    assert isinstance(result.statement, Query)
    return result.statement
