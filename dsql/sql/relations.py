"""Binds the relations of FROM: stored tables, system tables, views, and the queries of WITH."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dsql.access.authorize import check
from dsql.access.privileges import Privilege
from dsql.access.requirements import usage_of
from dsql.catalog.schema import Table
from dsql.catalog.sequences import sequence_relation
from dsql.catalog.virtual import VirtualTable
from dsql.errors import SqlError, unsupported
from dsql.sql.bound_query import (
    CteEntry,
    EntryColumn,
    Query,
    SubqueryEntry,
    TableEntry,
    VirtualEntry,
)
from dsql.sql.columns import Stored, bind_index_expressions
from dsql.sql.scope import Item, Scope, entry_item
from dsql.sql.tree import position_of


def renamed(
    columns: list[EntryColumn], alias: exp.Expression | None, name: str, position: int
) -> str:
    """Apply an alias to an entry's columns and return the entry's name."""
    if alias is None:
        return name
    name = alias.this.args["this"]
    given = alias.args.get("columns") or ()
    visible = [column for column in columns if not column.hidden]
    if len(given) > len(visible):
        raise SqlError(
            "42P10",
            f'table "{name}" has {len(visible)} columns available '
            f"but {len(given)} columns specified",
            position=position,
        )
    for column, new in zip(visible, given, strict=False):
        column.name = new.args["this"]
    return name


def bind_relation(scope: Scope, tree: exp.Expression) -> Item:
    """Bind a table, view, system table or WITH query of FROM."""
    name = tree.this.args["this"]
    position = position_of(tree)
    alias = tree.args.get("alias")
    db = tree.args.get("db")
    if db is None:
        cte = scope.find_cte(name)
        if cte is not None:
            return _cte(scope, name, cte, alias, position)
    relation = find_relation(scope, tree)
    if isinstance(relation, VirtualTable):
        virtual = [EntryColumn(column, oid) for column, oid in relation.columns]
        shown = renamed(virtual, alias, name, position)
        if not relation.acl:
            scope.binding.use(relation, Privilege.SELECT, scope.depth)
        entry: Any = VirtualEntry(alias=shown, columns=virtual, relation=relation)
    elif relation.kind == "v":
        entry = _view(scope, relation, alias, position)
    elif relation.kind == "S":
        entry = _sequence(scope, relation, alias, position)
    else:
        entry = table_entry(scope, relation, alias, position)
    return shown_item(scope, entry, relation.schema if alias is None else "")


def shown_item(scope: Scope, entry: Any, schema: str = "") -> Item:
    """Enter a FROM item into the range table; return what it shows."""
    return entry_item(entry, scope.add_entry(entry), schema)


def find_relation(scope: Scope, tree: exp.Expression) -> Table | VirtualTable:
    """Return the relation a Table tree names.

    Raises SqlError 42P01, and 42501 for a schema that is closed to the user.
    """
    binding = scope.binding
    name = tree.this.args["this"]
    db = tree.args.get("db")
    schema = db.args["this"] if db is not None else None
    if (
        tree.args.get("catalog") is not None
        and tree.args["catalog"].args["this"] != binding.catalog.database.name
    ):
        shown = f"{tree.args['catalog'].args['this']}.{schema}.{name}"
        message = f'cross-database references are not implemented: "{shown}"'
        raise unsupported(message, position=position_of(tree))
    if schema in binding.catalog.schemas and binding.authority is not None:
        try:
            check(usage_of(binding.catalog.schemas[schema]), binding.authority)
        except SqlError as error:
            error.position = position_of(tree)
            raise
    found = binding.catalog.find_relation(schema, name, binding.search_path)
    if found is None:
        shown = name if schema is None else f"{schema}.{name}"
        raise _missing_relation(scope, shown, position_of(tree))
    if isinstance(found, Table):
        binding.tables.add(found.oid)
    return found


def _missing_relation(scope: Scope, name: str, position: int) -> SqlError:
    detail = hint = ""
    level: Scope | None = scope
    while level is not None:
        if name in level.later_ctes:
            detail = (
                f'There is a WITH item named "{name}", '
                "but it cannot be referenced from this part of the query."
            )
            hint = "Use WITH RECURSIVE, or re-order the WITH items to remove forward references."
        level = level.parent
    return SqlError(
        "42P01",
        f'relation "{name}" does not exist',
        detail=detail,
        hint=hint,
        position=position,
    )


def table_entry(
    scope: Scope, table: Table, alias: exp.Expression | None, position: int
) -> TableEntry:
    """Return the entry of a stored table."""
    columns = [
        EntryColumn(column.name, column.type_oid, column.typmod, table.oid, column.number)
        for column in table.columns
        if not column.dropped
    ]
    name = renamed(columns, alias, table.name, position)
    use = scope.binding.use(table, Privilege.SELECT, scope.depth)
    stored = Stored()
    bind_index_expressions(scope.binding, table, stored)
    return TableEntry(
        alias=name,
        columns=columns,
        use=use,
        table=table,
        index_expressions=stored.index_expressions,
        index_predicates=stored.index_predicates,
    )


def _view(scope: Scope, view: Table, alias: exp.Expression | None, position: int) -> SubqueryEntry:
    from dsql.sql.views import bind_view, view_option

    use = scope.binding.use(view, Privilege.SELECT, scope.depth)
    query = bind_view(scope.binding, view)
    columns = [
        EntryColumn(
            column.name,
            target.expression.type_oid,
            target.expression.typmod,
            view.oid,
            column.number,
        )
        for column, target in zip(view.live_columns, query.targets, strict=False)
    ]
    name = renamed(columns, alias, view.name, position)
    return SubqueryEntry(
        alias=name,
        columns=columns,
        use=use,
        query=query,
        view=view,
        is_barrier=view_option(view, "security_barrier"),
    )


def _sequence(
    scope: Scope, sequence: Table, alias: exp.Expression | None, position: int
) -> VirtualEntry:
    """Return the entry of a sequence, whose only row is not read at the snapshot."""
    columns = [
        EntryColumn(column.name, column.type_oid, -1, sequence.oid, column.number)
        for column in sequence.columns
    ]
    name = renamed(columns, alias, sequence.name, position)
    use = scope.binding.use(sequence, Privilege.SELECT, scope.depth)
    relation = sequence_relation(sequence)
    return VirtualEntry(alias=name, columns=columns, use=use, relation=relation, sequence=sequence)


def _cte(scope: Scope, name: str, found: Any, alias: exp.Expression | None, position: int) -> Item:
    cte, index, levels = found
    cte.references += 1
    columns = [
        EntryColumn(c.name, c.type_oid, c.typmod, c.table_oid, c.number, c.hidden)
        for c in cte.columns
    ]
    if not isinstance(cte.statement, Query) and cte.statement.returning is None:
        raise unsupported(
            f'WITH query "{name}" does not have a RETURNING clause', position=position
        )
    shown = renamed(columns, alias, name, position)
    return shown_item(
        scope, CteEntry(alias=shown, columns=columns, index=index, levels_up=levels, name=name)
    )
