"""ALTER VIEW, and ALTER TABLE where it names a view: options, column defaults and the owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from dsql.catalog.schema import Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.column import ColumnSource, StatementExpressions
from dsql.ddl.naming import require_column
from dsql.ddl.result import UtilityContext
from dsql.ddl.role_specs import role_of
from dsql.ddl.securables import with_owner
from dsql.ddl.view_options import read_view_option, reset_options, set_options
from dsql.ddl.views import refuse_check_option
from dsql.errors import SqlError
from dsql.sql.gate import ParsedStatement
from dsql.sql.refusals_ddl import command_words
from dsql.sql.updatable import why_not_updatable
from dsql.sql.views import stored_query

Change = Callable[[Table, Any, StatementExpressions, UtilityContext], Table]


def alter_view(parsed: ParsedStatement, view: Table, context: UtilityContext) -> None:
    """Run the subcommands of an AlterTableStmt on a view. Raises SqlError 42809 for those of tables."""
    expressions = StatementExpressions(parsed, context)
    commands = [nodes.inner(wrapped) for wrapped in parsed.node.cmds]
    for command in commands:
        if nodes.enum_name(command, "subtype") not in _CHANGES:
            raise SqlError(
                "42809",
                f"ALTER action {command_words(command.subtype)} cannot be performed "
                f'on relation "{view.name}"',
                detail="This operation is not supported for views.",
            )
    for command in commands:
        change = _CHANGES[nodes.enum_name(command, "subtype")]
        view = change(view, command, expressions, context)
    CatalogWriter(context.transaction).put_table(view)


def _default(
    view: Table, command: Any, expressions: StatementExpressions, context: UtilityContext
) -> Table:
    del context
    column = require_column(view, command.name)
    source = ColumnSource(column.name, column.type_oid, column.typmod)
    if command.HasField("def"):
        source.default = getattr(command, "def")
    cleared = replace(column, default=None, uses=())
    return view.with_columns([expressions.with_default(view, cleared, source)])


def _owner(
    view: Table, command: Any, expressions: StatementExpressions, context: UtilityContext
) -> Table:
    del expressions
    return with_owner(view, role_of(command.newowner, context).oid)


def _set(
    view: Table, command: Any, expressions: StatementExpressions, context: UtilityContext
) -> Table:
    del expressions
    options = set_options(view.options, getattr(command, "def").list.items, read_view_option)
    if "check_option" in dict(options):
        query = stored_query(view, context.catalog)
        refuse_check_option(why_not_updatable(query, needs_column=True))
    return replace(view, options=options)


def _reset(
    view: Table, command: Any, expressions: StatementExpressions, context: UtilityContext
) -> Table:
    del expressions, context
    return replace(view, options=reset_options(view.options, getattr(command, "def").list.items))


_CHANGES: dict[str, Change] = {
    "AT_ColumnDefault": _default,
    "AT_ChangeOwner": _owner,
    "AT_SetRelOptions": _set,
    "AT_ResetRelOptions": _reset,
}
