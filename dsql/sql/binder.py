"""The binder: a parsed query or data-modifying statement, and the catalog, to a `BoundStatement`.

It resolves every name against one catalog snapshot, chooses every operator and function by PostgreSQL's
rules, makes every cast explicit and settles the types of parameters. Describe answers from its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

import dsql.sql.view_catalog  # noqa: F401 (makes its tables and functions known)
from dsql.access.authority import Authority
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Column, Table
from dsql.errors import SqlError
from dsql.functions.coercion import CastContext
from dsql.sql import coercion
from dsql.sql.binding import PARAMETERS_MAX, Binding, type_name
from dsql.sql.bound import Expression
from dsql.sql.bound_query import BoundStatement, Modifying, Query
from dsql.sql.calls import clause
from dsql.sql.collection import uncollected
from dsql.sql.columns import assignable, bind_stored, refuse_subqueries, stored_scope
from dsql.sql.depth import stack_depth_error
from dsql.sql.dml import bind_modification
from dsql.sql.expression_lists import NotAlikeError
from dsql.sql.expressions import bind_boolean, bind_expression
from dsql.sql.gate import ParsedStatement, whole
from dsql.sql.query import bind_query
from dsql.sql.scope import Scope
from dsql.sql.tree import TreeBuilder
from dsql.sql.tree_query import statement_tree
from dsql.sql.uses import requirements
from dsql.types.type import FormatSettings

_QUERIES = (exp.Select, exp.Values, exp.SetOperation)


@uncollected
def bind(
    parsed: ParsedStatement,
    catalog: Catalog,
    search_path: Sequence[str],
    settings: FormatSettings,
    parameter_types: Sequence[int] | None = (),
    *,
    authority: Authority | None = None,
    profile: str = "dsql",
) -> BoundStatement:
    """Return the bound form of a SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE.

    `parameter_types` are the OIDs the client declared for $1..., 0 where it left one open; None for a
    statement that cannot have any, as in the simple protocol. Literals take the text formats of
    `settings`: the result is valid for these settings, this search path and this catalog only.
    `authority`: who looks names up. What the statement needs beyond that is in the result.
    Raises SqlError with PostgreSQL's codes and positions.
    """

    def bound(parsed: ParsedStatement) -> tuple[Binding, Query | Modifying]:
        binding = Binding(
            catalog,
            search_path,
            settings,
            list(parameter_types or ()),
            authority=authority,
            profile=profile,
            parameters_max=0 if parameter_types is None else PARAMETERS_MAX,
        )
        return binding, bind_tree(binding, statement_tree(parsed))

    try:
        try:
            binding, statement = bound(parsed)
        except NotAlikeError:
            binding, statement = bound(whole(parsed))
    except RecursionError:
        raise stack_depth_error() from None
    binding.check_parameters()
    return BoundStatement(
        statement,
        binding.parameter_types,
        frozenset(binding.tables),
        (*requirements(binding.uses), *binding.calls),
    )


def bind_tree(binding: Binding, tree: exp.Expression) -> Query | Modifying:
    """Bind a whole statement's tree."""
    scope = Scope(binding)
    if isinstance(tree, _QUERIES):
        return bind_query(scope, tree)
    return bind_modification(scope, tree)


@dataclass(frozen=True, slots=True)
class ColumnExpression:
    """What DDL may ask a stored expression for: its place in refusals, its column, its table.

    `clause`: "DEFAULT expressions", "check constraints", "column generation expressions",
    "index expressions", "index predicates".
    """

    clause: str
    column: Column | None = None

    @property
    def sees_row(self) -> bool:
        """Whether the table's columns may occur in it."""
        return self.clause != "DEFAULT expressions"


def bind_column_expression(
    text: str,
    table: Table | None,
    catalog: Catalog,
    search_path: Sequence[str],
    settings: FormatSettings,
    *,
    use: ColumnExpression,
) -> Expression:
    """Return a stored expression bound over `table`'s live columns as entry 0.

    Conditions are boolean; defaults and generated columns have their column's type. Raises SqlError
    42703, 42804, 0A000 as PostgreSQL does at CREATE TABLE.
    """
    binding = Binding(catalog, search_path, settings, [], profile="postgres", folding=False)
    scope = stored_scope(binding, table if use.sees_row else None)
    bound = bind_stored(scope, text, use.clause)
    if use.clause == "check constraints":
        return coercion.boolean(binding, bound, "CHECK")
    if use.clause == "index predicates":
        return coercion.boolean(binding, bound, "WHERE")
    if use.column is not None:
        return assignable(binding, bound, use.column)
    return coercion.known(binding, bound)


def bind_standalone(
    parsed: ParsedStatement,
    node: object,
    catalog: Catalog,
    search_path: Sequence[str],
    settings: FormatSettings,
    *,
    use: ColumnExpression,
    table: Table | None = None,
) -> Expression:
    """Bind an expression node of a utility statement (a DEFAULT, CHECK, ...) at its own positions."""
    binding = Binding(catalog, search_path, settings, [], profile="postgres", folding=False)
    scope = stored_scope(binding, table if use.sees_row else None)
    tree = TreeBuilder(parsed).expression(node)
    with clause(scope, use.clause):
        if use.clause in ("check constraints", "index predicates"):
            bound = bind_boolean(scope, tree, "CHECK" if "check" in use.clause else "WHERE")
        else:
            bound = bind_expression(scope, tree)
    refuse_subqueries(bound, use.clause)
    if use.column is not None:
        return assignable(binding, bound, use.column)
    return coercion.known(binding, bound)


def bind_parameter_default(
    parsed: ParsedStatement,
    node: object,
    type_oid: int,
    catalog: Catalog,
    search_path: Sequence[str],
    settings: FormatSettings,
) -> Expression:
    """Bind the default of a function's parameter of a type, 0 for a polymorphic one.

    Raises SqlError 42P10 for one that names a column, 42804 for one of another type.
    """
    binding = Binding(catalog, search_path, settings, [], profile="postgres", folding=False)
    scope = Scope(binding)
    with clause(scope, "DEFAULT expressions"):
        try:
            bound = bind_expression(scope, TreeBuilder(parsed).expression(node))
        except SqlError as error:
            if error.sqlstate != "0A000" or "column reference" not in error.message:
                raise
            message = "cannot use table references in parameter default value"
            raise SqlError("42P10", message) from None
    refuse_subqueries(bound, "DEFAULT expressions")
    if not type_oid:
        return coercion.known(binding, bound)
    done = coercion.coerce(binding, bound, type_oid, CastContext.ASSIGNMENT)
    if done is None:
        source, target = type_name(bound.type_oid), type_name(type_oid)
        raise SqlError(
            "42804",
            f"argument of DEFAULT must be type {target}, not type {source}",
            position=bound.position,
        )
    return done
