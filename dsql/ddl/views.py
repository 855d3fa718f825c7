"""CREATE [OR REPLACE] VIEW."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind
from dsql.access.requirements import Requirement, owner_of
from dsql.catalog.schema import Column, Table, is_temporary_schema
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.domain_names import check_type_usage, domain_usage
from dsql.ddl.naming import refuse_type_name, relation_creation, relation_schema, taken_names
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.view_options import read_view_option, set_options, with_check_option
from dsql.encoding.keyspace import is_local_id
from dsql.errors import SqlError, unsupported
from dsql.limits import VIEW_BYTES_MAX, VIEWS_MAX
from dsql.sql.domains import output_domains
from dsql.sql.gate import ParsedStatement
from dsql.sql.updatable import why_not_updatable
from dsql.sql.views import ViewDefinition, bind_definition, output_columns
from dsql.types import registry
from dsql.types.typmod import format_type


def create_view_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a ViewStmt needs: a place in the schema, and the view that it replaces.

    Raises what is wrong with its query or its options.
    """
    statement = parsed.node
    definition = _definition(parsed, context)
    _options(statement, definition)
    _columns(statement, definition)
    view = _as_made(statement.view, definition)
    yield relation_creation(context, view)
    schema = relation_schema(context, view)
    found = _replaced(statement, schema.name, context)
    if found is not None:
        yield owner_of(found)
    for column in _columns(statement, definition):
        check_type_usage(context, column.type_oid)
    for domain in output_domains(definition.query, context.catalog):
        yield domain_usage(context, domain)


def create_view(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a ViewStmt."""
    statement = parsed.node
    definition = _definition(parsed, context)
    columns = _columns(statement, definition)
    view = _as_made(statement.view, definition)
    result = UtilityResult("CREATE VIEW")
    if view.relpersistence != statement.view.relpersistence:
        result.notice("00000", f'view "{view.relname}" will be a temporary view')
    schema = relation_schema(context, view)
    before = _replaced(statement, schema.name, context)
    writer = CatalogWriter(context.transaction, local=is_temporary_schema(schema.name))
    if before is None:
        before = _new(statement.view.relname, schema.name, schema.oid, context, writer)
    else:
        columns = _replacing(before, columns)
    text = definition.text(context.catalog, [column.name for column in columns])
    if len(text.encode()) > VIEW_BYTES_MAX:
        raise SqlError("54000", "view definition too large")
    writer.put_table(
        replace(
            before,
            columns=columns,
            view_definition=text,
            uses=definition.uses,
            options=_options(statement, definition),
        )
    )
    return result


def _as_made(view: Any, definition: ViewDefinition) -> Any:
    """Return a view's RangeVar: it is temporary if anything is that it reads."""
    if not any(is_local_id(use.oid) for use in definition.uses):
        return view
    made = type(view)()
    made.CopyFrom(view)
    made.relpersistence = "t"
    return made


def _definition(parsed: ParsedStatement, context: UtilityContext) -> ViewDefinition:
    query = nodes.inner(parsed.node.query)
    if nodes.kind(parsed.node.query) != "select_stmt":
        raise unsupported("unsupported statement: View")
    if parsed.node.view.relpersistence == "u":
        message = "views cannot be unlogged because they do not have storage"
        raise SqlError("42601", message)
    if query.HasField("into_clause"):
        raise unsupported("views must not contain SELECT INTO")
    if any(_changes_data(nodes.inner(cte)) for cte in query.with_clause.ctes):
        raise unsupported("views must not contain data-modifying statements in WITH")
    if parsed.node.view.relpersistence == "t" and context.profile == "dsql":
        raise unsupported("TEMPORARY or TEMP view not supported for CREATE VIEW")
    return bind_definition(
        parsed, context.catalog, context.search_path, context.settings, context.authority
    )


def _changes_data(cte: Any) -> bool:
    return nodes.kind(cte.ctequery) != "select_stmt"


def _options(statement: Any, definition: ViewDefinition) -> tuple[tuple[str, str], ...]:
    """Return the view's options. Raises SqlError 22023, and 0A000 for a check that nothing passes."""
    options = with_check_option(set_options((), statement.options, read_view_option), statement)
    if "check_option" in dict(options):
        refuse_check_option(why_not_updatable(definition.query, needs_column=True))
    return options


def refuse_check_option(why_not: str) -> None:
    """Raise SqlError 0A000 for WITH CHECK OPTION on a view that is not updatable, for a reason."""
    if why_not:
        message = "WITH CHECK OPTION is supported only on automatically updatable views"
        raise SqlError("0A000", message, hint=why_not)


def _columns(statement: Any, definition: ViewDefinition) -> tuple[Column, ...]:
    """Return the view's columns. Raises SqlError 42601, 42701, 42P16."""
    given = nodes.strings(statement.aliases)
    found = output_columns(definition.query)
    if len(given) > len(found):
        raise SqlError("42601", "CREATE VIEW specifies more column names than columns")
    columns: list[Column] = []
    for number, (name, type_oid, typmod) in enumerate(found, 1):
        name = given[number - 1] if number <= len(given) else name
        if any(column.name == name for column in columns):
            raise SqlError("42701", f'column "{name}" specified more than once')
        kind = registry.get(type_oid)
        if kind.kind == "p":
            raise SqlError("42P16", f'column "{name}" has pseudo-type {kind.sql_name}')
        columns.append(Column(name, number, type_oid, typmod))
    return tuple(columns)


def _replaced(statement: Any, schema: str, context: UtilityContext) -> Table | None:
    """Return the view that is replaced. Raises SqlError 42P07, 42809."""
    name = statement.view.relname
    if name not in taken_names(context, schema):
        refuse_type_name(name, schema, context)
        return None
    if not statement.replace:
        raise SqlError("42P07", f'relation "{name}" already exists')
    found = context.catalog.tables.get((schema, name))
    if found is None or found.kind != "v":
        raise SqlError("42809", f'"{name}" is not a view')
    return found


def _new(
    name: str, schema: str, schema_oid: int, context: UtilityContext, writer: CatalogWriter
) -> Table:
    """Return a view without columns, whose name is taken."""
    views = sum(table.kind == "v" for table in context.catalog.tables.values())
    if context.profile == "dsql" and views >= VIEWS_MAX:
        raise SqlError("54000", f"creating more than {VIEWS_MAX} views not allowed")
    writer.claim_name(schema, name)
    return Table(
        oid=writer.allocate_oid(),
        schema=schema,
        name=name,
        owner_oid=context.user.oid,
        columns=(),
        kind="v",
        row_type_oid=writer.allocate_oid(),
        acl=initial_acl(context.catalog, Kind.VIEW, context.user.oid, schema_oid),
    )


def _replacing(before: Table, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return the columns of a view that is replaced, which keep their defaults and rights.

    Raises SqlError 42P16 for one that goes or that is another one.
    """
    if len(columns) < len(before.columns):
        raise SqlError("42P16", "cannot drop columns from view")
    for old, new in zip(before.columns, columns, strict=False):
        if old.name != new.name:
            raise SqlError(
                "42P16",
                f'cannot change name of view column "{old.name}" to "{new.name}"',
                hint="Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.",
            )
        if (old.type_oid, old.typmod) != (new.type_oid, new.typmod):
            was, is_now = (format_type(each.type_oid, each.typmod) for each in (old, new))
            message = f'cannot change data type of view column "{old.name}" from {was} to {is_now}'
            raise SqlError("42P16", message)
    return (*before.columns, *columns[len(before.columns) :])
