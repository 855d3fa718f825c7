"""Binds the arguments of EXECUTE: expressions without a FROM, each of a type that is settled already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsql.access.authority import Authority
from dsql.catalog.catalog import Catalog
from dsql.errors import SqlError
from dsql.functions.coercion import CastContext
from dsql.sql import coercion
from dsql.sql.binding import Binding, type_name
from dsql.sql.bound import Expression
from dsql.sql.bound_query import BoundStatement, Query, Target
from dsql.sql.calls import clause
from dsql.sql.columns import refuse_subqueries
from dsql.sql.expressions import bind_expression
from dsql.sql.gate import ParsedStatement
from dsql.sql.scope import Scope
from dsql.sql.tree import TreeBuilder
from dsql.sql.uses import requirements
from dsql.types.type import FormatSettings


def bind_arguments(
    parsed: ParsedStatement,
    nodes: Sequence[Any],
    types: Sequence[int],
    catalog: Catalog,
    search_path: Sequence[str],
    settings: FormatSettings,
    *,
    authority: Authority,
    profile: str,
) -> BoundStatement:
    """Return a query of one row with an argument of each type.

    `nodes` are the expressions, at their places in the statement. Raises SqlError 42804 for one that
    cannot be assigned to its type, 0A000 for a subquery, and what binding an expression raises.
    """
    binding = Binding(
        catalog,
        search_path,
        settings,
        [],
        authority=authority,
        profile=profile,
        parameters_max=0,
    )
    scope, trees = Scope(binding), TreeBuilder(parsed)
    with clause(scope, "EXECUTE parameters"):
        bound = [bind_expression(scope, trees.expression(node)) for node in nodes]
    targets = []
    for number, (expression, wanted) in enumerate(zip(bound, types, strict=True), 1):
        refuse_subqueries(expression, "EXECUTE parameters")
        targets.append(Target("", _of_type(binding, expression, wanted, number)))
    query = Query(targets=targets)
    needed = (*requirements(binding.uses), *binding.calls)
    return BoundStatement(query, [], frozenset(binding.tables), needed)


def _of_type(binding: Binding, expression: Expression, wanted: int, number: int) -> Expression:
    done = coercion.coerce(binding, expression, wanted, CastContext.ASSIGNMENT)
    if done is None:
        source, target = type_name(expression.type_oid), type_name(wanted)
        raise SqlError(
            "42804",
            f"parameter ${number} of type {source} cannot be coerced to the expected type {target}",
            hint="You will need to rewrite or cast the expression.",
            position=expression.position,
        )
    return done
