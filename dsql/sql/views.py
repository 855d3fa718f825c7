"""Views in queries: their definition bound afresh wherever one is used."""

from __future__ import annotations

from dsql.catalog.schema import Table
from dsql.errors import SqlError
from dsql.sql.binding import Binding
from dsql.sql.bound import Query
from dsql.sql.gate import parse_statement
from dsql.sql.scope import Scope
from dsql.sql.tree_query import statement_tree

VIEW_DEPTH_MAX = 200


def bind_view(binding: Binding, view: Table) -> Query:
    """Return the query a view stands for. Its names were qualified when it was made."""
    from dsql.sql.query import bind_query

    if view.oid in binding.views:
        raise SqlError("42P17", f'infinite recursion detected in rules for relation "{view.name}"')
    statement = parse_statement(view.view_definition or "")
    # A view needs the rights of its owner on what it reads, not those of the user.
    inner = Binding(
        binding.catalog,
        binding.search_path,
        binding.settings,
        binding.user,
        [],
        profile="postgres",
        tables=binding.tables,
        views=(*binding.views, view.oid),
    )
    return bind_query(Scope(inner), statement_tree(statement))
