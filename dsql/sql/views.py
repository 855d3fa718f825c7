"""Views: what CREATE VIEW keeps of a query, and that query bound afresh wherever the view is used.

The text in the catalog is that of `dsql.sql.query_text`: relations with their schemas, columns spelled
out, constants with their types. So it means the same whatever search path and settings it is bound under.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dsql.access.authority import Authority
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Table, Use
from dsql.errors import SqlError
from dsql.sql.binding import Binding
from dsql.sql.bound_query import Query
from dsql.sql.gate import ParsedStatement, parse_stored
from dsql.sql.query_names import TextStyle, visible
from dsql.sql.query_text import query_text
from dsql.sql.scope import Scope
from dsql.sql.stored_uses import in_order, named_objects
from dsql.sql.tree import TreeBuilder
from dsql.sql.tree_query import statement_tree
from dsql.types.type import FormatSettings

_KEPT_CHARACTERS_MAX = 2_000  # of a tree that takes 130 bytes for each
_FALSE = frozenset(("false", "off", "0", "no", "f", "n"))


def view_option(view: Table, name: str) -> bool:
    """Return a boolean option of a view: security_barrier or security_invoker."""
    return dict(view.options).get(name, "false").lower() not in _FALSE


def _tree(text: str) -> Any:
    """Return the tree of a query, which binding does not change. Short ones are kept: 70 MB at most."""
    return _kept_tree(text) if len(text) <= _KEPT_CHARACTERS_MAX else _new_tree(text)


def _new_tree(text: str) -> Any:
    return statement_tree(parse_stored(text))


_kept_tree = lru_cache(256)(_new_tree)


def bind_view(binding: Binding, view: Table) -> Query:
    """Return the query a view stands for. Raises SqlError 42P17 for one that reads itself."""
    from dsql.sql.query import bind_query

    if view.oid in binding.views:
        raise SqlError("42P17", f'infinite recursion detected in rules for relation "{view.name}"')
    # A view needs the rights of its owner on what it reads. A security invoker's reads need those of the
    # user, whatever view it stands in itself.
    as_role = 0 if view_option(view, "security_invoker") else view.owner_oid
    inner = binding.for_stored_text(
        views=(*binding.views, view.oid), folding=binding.folding, as_role=as_role
    )
    return bind_query(Scope(inner), _tree(view.view_definition or ""))


def stored_query(view: Table, catalog: Catalog) -> Query:
    """Return the query of a view as its text has it, nothing folded, to be printed or looked at."""
    binding = Binding(catalog, (), FormatSettings(), [], profile="postgres", folding=False)
    return bind_view(binding, view)


def view_text(oid: int, catalog: Catalog, style: TextStyle, names: Catalog | None = None) -> str:
    """Return the text of a view's query with the names that objects have in `names`, or in `catalog`.

    Its output columns are called as the view's.
    """
    now = names or catalog
    columns = [column.name for column in now.tables_by_oid[oid].live_columns]
    return query_text(stored_query(catalog.tables_by_oid[oid], catalog), now, style, columns)


@dataclass(frozen=True, slots=True)
class ViewDefinition:
    """What a ViewStmt says: its bound query, and what that reads."""

    query: Query
    uses: tuple[Use, ...]

    def text(self, catalog: Catalog, columns: Sequence[str]) -> str:
        """Return the text that the catalog keeps."""
        return query_text(self.query, catalog, TextStyle(), columns)


def bind_definition(
    parsed: ParsedStatement,
    catalog: Catalog,
    search_path: Sequence[str],
    settings: FormatSettings,
    authority: Authority | None = None,
) -> ViewDefinition:
    """Return the definition of a ViewStmt; `authority` has the rights of who names things in it."""
    from dsql.sql.query import bind_query

    binding = Binding(
        catalog, search_path, settings, [], authority=authority, profile="postgres", folding=False
    )
    query = bind_query(Scope(binding), TreeBuilder(parsed).query(parsed.node.query.select_stmt))
    binding.check_parameters()
    return ViewDefinition(query, _uses(binding, query))


def _uses(binding: Binding, query: Query) -> tuple[Use, ...]:
    """Return the relations and columns that a query reads itself, not through views."""
    found = set(named_objects(query))
    for use in binding.uses:
        if use.view == 0 and isinstance(use.relation, Table):
            numbers = {max(number, 0) for number in use.selected} or {0}
            found.update(Use(use.relation.oid, number) for number in numbers)
    return in_order(found)


def output_columns(query: Query) -> list[tuple[str, int, int]]:
    """Return the (name, type OID, typmod) of a query's output columns."""
    return [
        (target.name, target.expression.type_oid, target.expression.typmod)
        for target in visible(query)
    ]
