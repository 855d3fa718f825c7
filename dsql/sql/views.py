"""Views in queries: their definition bound afresh wherever one is used."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Table
from dsql.errors import SqlError
from dsql.sql.binding import Binding
from dsql.sql.bound import ColumnRef
from dsql.sql.bound_query import Query, SubqueryEntry, Target
from dsql.sql.gate import ParsedStatement, parse_stored
from dsql.sql.keywords import identifier
from dsql.sql.printer import print_tree
from dsql.sql.scope import Scope
from dsql.sql.tree import TreeBuilder
from dsql.sql.tree_query import statement_tree
from dsql.types.type import FormatSettings

_UNNAMED = frozenset({"unnamed_subquery", "*VALUES*"})


def bind_view(binding: Binding, view: Table) -> Query:
    """Return the query a view stands for. Its names were qualified when it was made."""
    from dsql.sql.query import bind_query

    if view.oid in binding.views:
        raise SqlError("42P17", f'infinite recursion detected in rules for relation "{view.name}"')
    statement = parse_stored(view.view_definition or "")
    # A view needs the rights of its owner on what it reads, not those of the user.
    inner = binding.for_stored_text(views=(*binding.views, view.oid), as_role=view.owner_oid)
    return bind_query(Scope(inner), statement_tree(statement))


def view_text(
    parsed: ParsedStatement, query: Query, catalog: Catalog, search_path: Sequence[str]
) -> str:
    """Return the text a view keeps of its query: relations with their schemas, * spelled out.

    `parsed` is the ViewStmt, `query` its bound query: columns added to a table later are not the view's.
    """
    tree = TreeBuilder(parsed).query(parsed.node.query.select_stmt)
    _spell_stars(tree, query)
    _qualify(tree, catalog, search_path)
    return print_tree(tree)


def bind_definition(
    parsed: ParsedStatement,
    catalog: Catalog,
    search_path: Sequence[str],
    settings: FormatSettings,
) -> tuple[Query, frozenset[int]]:
    """Return the bound query of a ViewStmt and the OIDs of the relations it reads."""
    from dsql.sql.query import bind_query

    binding = Binding(catalog, search_path, settings, [], profile="postgres")
    tree = TreeBuilder(parsed).query(parsed.node.query.select_stmt)
    query = bind_query(Scope(binding), tree)
    binding.check_parameters()
    return query, frozenset(binding.tables)


def _spell_stars(tree: exp.Expression, query: Query) -> None:
    if isinstance(tree, exp.SetOperation) and query.set_operation is not None:
        _spell_stars(tree.this, _unwrapped(query.set_operation.left))
        _spell_stars(tree.args["expression"], _unwrapped(query.set_operation.right))
    if not isinstance(tree, exp.Select) or not any(map(_is_star, tree.expressions)):
        return
    targets = [target for target in query.targets if not target.junk]
    widths = [_width(target, query) for target in tree.expressions]
    bare = widths.count(None)
    rest = len(targets) - sum(width for width in widths if width is not None)
    spelled: list[exp.Expression] = []
    for written, width in zip(tree.expressions, widths, strict=True):
        count = rest // bare if width is None else width
        taken, targets = targets[:count], targets[count:]
        if _is_star(written):
            spelled.extend(_column_tree(target, query) for target in taken)
        else:
            spelled.append(written)
    tree.set("expressions", spelled)


def _unwrapped(query: Query) -> Query:
    """Return the query as it was written, without the one around it that casts its columns."""
    first = query.range_table[0] if len(query.range_table) == 1 else None
    if isinstance(first, SubqueryEntry) and first.alias == "*SELECT*":
        return first.query
    return query


def _width(target: exp.Expression, query: Query) -> int | None:
    """Return how many columns a target stands for; None for a bare *, which takes what is left."""
    if not _is_star(target):
        return 1
    table = target.args.get("table")
    if table is None:
        return None
    name = table.args["this"]
    return next(len(entry.columns) for entry in query.range_table if entry.alias == name)


def _column_tree(target: Target, query: Query) -> exp.Expression:
    column = target.expression
    if isinstance(column, ColumnRef) and column.levels_up == 0:
        entry = query.range_table[column.entry]
        name = entry.columns[column.column].name
        if entry.alias not in _UNNAMED:
            return exp.Column(this=identifier(name), table=identifier(entry.alias))
    return exp.Column(this=identifier(target.name))


def _qualify(tree: exp.Expression, catalog: Catalog, search_path: Sequence[str]) -> None:
    """Write the schema before every relation name that is not a WITH query's."""
    ctes = {cte.args["alias"].this.args["this"] for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        name = table.args.get("this")
        if name is None or table.args.get("db") is not None or name.args["this"] in ctes:
            continue
        found = catalog.find_relation(None, name.args["this"], search_path)
        if found is not None:
            table.set("db", identifier(found.schema))


def _is_star(target: exp.Expression) -> bool:
    return isinstance(target, exp.Column) and isinstance(target.this, exp.Star)
