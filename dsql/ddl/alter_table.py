"""ALTER TABLE and its kind: each subcommand maps a Table value to the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.requirements import Requirement, RoleMembership, creation_in
from dsql.catalog.dependencies import PG_CLASS, PG_CONSTRAINT, Address
from dsql.catalog.schema import Column, Index, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.alter_domain import check_new_column
from dsql.ddl.alter_view import alter_view
from dsql.ddl.cascade import all_dropped
from dsql.ddl.column import ColumnSource, StatementExpressions
from dsql.ddl.identity import add_identity, drop_identity, set_identity
from dsql.ddl.keys import add_key
from dsql.ddl.lacking_commands import check_command
from dsql.ddl.lacking_statements import check_reference
from dsql.ddl.naming import (
    changeable_column,
    find_any,
    find_column,
    find_index,
    is_missing,
    missing_text,
    owned_relation,
    refuse_system_column,
    refuse_system_name,
    require_table,
)
from dsql.ddl.removal import remove
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import role_of
from dsql.ddl.securables import with_owner
from dsql.ddl.sequences import linked, owned_sequences
from dsql.ddl.table_limits import check_column_count
from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement
from dsql.sql.refusals_ddl import alter_table_error, check_column_constraints, command_words


def alter_table_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what an AlterTableStmt needs: the table, and for some subcommands a place in its schema."""
    statement = parsed.node
    yield from owned_relation(context, statement)
    if is_missing(context, statement):
        return
    _check_kind(statement, context)
    if isinstance(find_any(context, statement.relation), tuple):
        return  # an index is its table's
    table = require_table(context, statement.relation, "rvS")
    schema = context.catalog.schemas[table.schema]
    for command in map(nodes.inner, statement.cmds):
        match nodes.enum_name(command, "subtype"):
            case "AT_ChangeOwner":
                role = role_of(command.newowner, context)
                if role.oid != table.owner_oid:
                    if table.sequence is not None and table.sequence.owner is not None:
                        message = f'cannot change owner of sequence "{table.name}"'
                        raise linked(table, context, message)
                    yield RoleMembership(role)
                    yield creation_in(schema, as_role=role.oid)
            case "AT_AddConstraint" if _is_key(getattr(command, "def").constraint):
                yield creation_in(schema)  # for its index


# What ALTER names, as pg_class.relkind and as an error message has it. ALTER TABLE is for every kind.
_KINDS = {
    "OBJECT_INDEX": ("i", "an index"),
    "OBJECT_VIEW": ("v", "a view"),
    "OBJECT_SEQUENCE": ("S", "a sequence"),
    "OBJECT_MATVIEW": ("m", "a materialized view"),
    "OBJECT_FOREIGN_TABLE": ("f", "a foreign table"),
    "OBJECT_TYPE": ("c", "a composite type"),
}


def _check_kind(statement: Any, context: UtilityContext) -> None:
    letter, words = _KINDS.get(nodes.enum_name(statement, "objtype"), ("", ""))
    found = find_any(context, statement.relation)
    kind = "i" if isinstance(found, tuple) else found and found.kind
    if letter not in ("", kind):
        raise SqlError("42809", f'"{statement.relation.relname}" is not {words}')


def _is_key(constraint: Any) -> bool:
    return nodes.enum_name(constraint, "contype") in ("CONSTR_PRIMARY", "CONSTR_UNIQUE")


def alter_table(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run an AlterTableStmt."""
    statement = parsed.node
    result = UtilityResult(_tag(statement))
    if is_missing(context, statement):
        result.notice("00000", missing_text(statement.relation))
        return result
    found = find_any(context, statement.relation)
    if isinstance(found, tuple):
        _alter_index(*found, statement, context, result)
        return result
    table = require_table(context, statement.relation, "rvS")
    if table.kind == "v":
        alter_view(parsed, table, context)
        return result
    writer = CatalogWriter(context.transaction)
    alteration = _Alteration(context, StatementExpressions(parsed, context), writer, result)
    for wrapped in statement.cmds:
        command = nodes.inner(wrapped)
        subtype = nodes.enum_name(command, "subtype")
        if table.kind == "S" and subtype != "AT_ChangeOwner":
            words = command_words(command.subtype)
            raise SqlError(
                "42809",
                f'ALTER action {words} cannot be performed on relation "{table.name}"',
                detail="This operation is not supported for sequences.",
            )
        action = _ACTIONS.get(subtype)
        if action is None:
            check_command(table, command, context)
            raise alter_table_error(command.subtype)
        table = action(alteration, table, command)
    writer.put_table(table)
    return result


def _tag(statement: Any) -> str:
    word = nodes.enum_name(statement, "objtype").removeprefix("OBJECT_")
    return f"ALTER {'MATERIALIZED VIEW' if word == 'MATVIEW' else word.replace('_', ' ')}"


def _alter_index(
    table: Table, index: Index, statement: Any, context: UtilityContext, result: UtilityResult
) -> None:
    """Run ALTER INDEX ... OWNER TO, which changes nothing: its table's owner is its own."""
    for command in map(nodes.inner, statement.cmds):
        if nodes.enum_name(command, "subtype") != "AT_ChangeOwner":
            raise unsupported("ALTER of this kind of object is not supported")
        if role_of(command.newowner, context).oid != table.owner_oid:
            result.notice(
                "42809",
                f'cannot change owner of index "{index.name}"',
                severity="WARNING",
                hint="Change the ownership of the index's table, instead.",
            )


class _Alteration:
    """What every subcommand may need."""

    def __init__(
        self,
        context: UtilityContext,
        expressions: StatementExpressions,
        writer: CatalogWriter,
        result: UtilityResult,
    ) -> None:
        self.context = context
        self.expressions = expressions
        self.writer = writer
        self.result = result
        self._catalog = context.catalog

    def drop(self, table: Table, part: Address, command: Any) -> Table:
        """Drop a part of the table, as it is by now, and what goes along. Raises SqlError 2BP01."""
        tables = self._catalog.tables.values()
        catalog = self._catalog.with_tables(
            table if other.oid == table.oid else other for other in tables
        )
        cascade = nodes.enum_name(command, "behavior") == "DROP_CASCADE"
        gone = all_dropped([part], catalog, self.context, self.result, cascade=cascade)
        self._catalog = remove(gone, catalog, self.context, self.writer)
        return self._catalog.tables_by_oid[table.oid]


def _with_column(table: Table, column: Column) -> Table:
    columns = list(table.columns)
    columns[column.number - 1] = column
    return replace(table, columns=tuple(columns))


def _add_column(alteration: _Alteration, table: Table, command: Any) -> Table:
    definition = getattr(command, "def").column_def
    if find_column(table, definition.colname):
        text = f'column "{definition.colname}" of relation "{table.name}" already exists'
        if not command.missing_ok:
            raise SqlError("42701", text)
        alteration.result.notice("42701", f"{text}, skipping")
        return table
    refuse_system_name(definition.colname)
    check_column_constraints(definition)
    check_column_count(len(table.live_columns) + 1, keyed=table.primary_key is not None)
    type_oid, typmod = alteration.expressions.column_type(definition.type_name)
    domain = alteration.expressions.column_domain(definition.type_name)
    number = len(table.columns) + 1
    column = Column(definition.colname, number, type_oid, typmod, domain=domain)
    check_new_column(table, column, alteration.context)
    return replace(table, columns=(*table.columns, column))


def _drop_column(alteration: _Alteration, table: Table, command: Any) -> Table:
    refuse_system_column(table, command.name, f'cannot drop system column "{command.name}"')
    found = find_column(table, command.name)
    if found is None:
        text = f'column "{command.name}" of relation "{table.name}" does not exist'
        if not command.missing_ok:
            raise SqlError("42703", text)
        alteration.result.notice("00000", f"{text}, skipping")
        return table
    key = table.primary_key
    if key and any(part.column_number == found.number for part in key.columns):
        raise unsupported(f"cannot drop primary key column {found.name}")
    return alteration.drop(table, Address(PG_CLASS, table.oid, found.number), command)


def _column_default(alteration: _Alteration, table: Table, command: Any) -> Table:
    column = changeable_column(table, command.name)
    if column.generated:
        raise SqlError(
            "42601", f'column "{column.name}" of relation "{table.name}" is a generated column'
        )
    if column.identity:
        hint = "Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."
        raise SqlError(
            "42601",
            f'column "{column.name}" of relation "{table.name}" is an identity column',
            hint="" if command.HasField("def") else hint,
        )
    source = ColumnSource(column.name, column.type_oid, column.typmod)
    if command.HasField("def"):
        source.default = getattr(command, "def")
    cleared = replace(column, default=None, uses=())
    return _with_column(table, alteration.expressions.with_default(table, cleared, source))


def _drop_not_null(alteration: _Alteration, table: Table, command: Any) -> Table:
    del alteration
    column = changeable_column(table, command.name)
    if column.identity:
        message = f'column "{column.name}" of relation "{table.name}" is an identity column'
        raise SqlError("42601", message)
    key = table.primary_key
    if key and any(part.column_number == column.number for part in key.columns):
        raise SqlError("42P16", f'column "{column.name}" is in a primary key')
    return _with_column(table, replace(column, not_null=False))


def _drop_expression(alteration: _Alteration, table: Table, command: Any) -> Table:
    del alteration
    column = changeable_column(table, command.name)
    if not column.generated and not command.missing_ok:
        raise SqlError(
            "55000",
            f'column "{column.name}" of relation "{table.name}" is not a stored generated column',
        )
    return _with_column(table, replace(column, generated=False, default=None, uses=()))


def _add_constraint(alteration: _Alteration, table: Table, command: Any) -> Table:
    constraint = getattr(command, "def").constraint
    contype = nodes.enum_name(constraint, "contype")
    if contype == "CONSTR_CHECK" and constraint.skip_validation:
        return _add_check(alteration, table, constraint)
    if contype == "CONSTR_UNIQUE" and constraint.indexname:
        return _unique_using_index(alteration, table, constraint)
    if _is_key(constraint):
        return add_key(table, constraint, alteration.context, alteration.writer)
    if contype == "CONSTR_FOREIGN":
        columns = [column.name for column in table.live_columns]
        check_reference(constraint, columns, alteration.context)
    raise alter_table_error(command.subtype)


def _add_check(alteration: _Alteration, table: Table, constraint: Any) -> Table:
    taken = {check.name for check in table.checks}
    check = alteration.expressions.check(table, constraint.raw_expr, constraint.conname, taken)
    check = replace(check, oid=alteration.writer.allocate_oid(), validated=False)
    return replace(table, checks=(*table.checks, check))


def _unique_using_index(alteration: _Alteration, table: Table, constraint: Any) -> Table:
    found = find_index(alteration.context, table.schema, constraint.indexname)
    if found is None or found[0].oid != table.oid:
        raise SqlError("42704", f'index "{constraint.indexname}" does not exist')
    index = found[1]
    if not index.valid:
        raise SqlError("55000", f'index "{index.name}" is not valid')
    if not index.unique or index.predicate or any(part.expression for part in index.columns):
        raise SqlError(
            "42809",
            f'"{index.name}" is not a unique index'
            if not index.unique
            else f'index "{index.name}" contains expressions or a predicate',
            detail="Cannot create a primary key or unique constraint using such an index.",
        )
    name = constraint.conname or index.name
    if name != index.name:
        alteration.writer.release_name(table.schema, index.name)
        alteration.writer.claim_name(table.schema, name)
    oid = alteration.writer.allocate_oid()
    return _with_index(table, replace(index, name=name, constraint=name, constraint_oid=oid))


def _with_index(table: Table, index: Index) -> Table:
    indexes = tuple(index if other.oid == index.oid else other for other in table.indexes)
    return replace(table, indexes=indexes)


def _drop_constraint(alteration: _Alteration, table: Table, command: Any) -> Table:
    constraints = {check.name: check.oid for check in table.checks}
    constraints |= {key.name: key.oid for key in table.foreign_keys}
    constraints |= {i.constraint: i.constraint_oid for i in table.indexes if i.constraint}
    key = table.primary_key
    if key and key.constraint == command.name:
        raise unsupported("cannot drop the primary key: rows are stored by it")
    if command.name in constraints:
        return alteration.drop(table, Address(PG_CONSTRAINT, constraints[command.name]), command)
    text = f'constraint "{command.name}" of relation "{table.name}" does not exist'
    if not command.missing_ok:
        raise SqlError("42704", text)
    alteration.result.notice("00000", f"{text}, skipping")
    return table


def _change_owner(alteration: _Alteration, table: Table, command: Any) -> Table:
    """A table's sequences have its owner, and none of their own."""
    context = alteration.context
    role = role_of(command.newowner, context)
    for sequence in owned_sequences(table, context.catalog):
        alteration.writer.put_table(with_owner(sequence, role.oid))
    return with_owner(table, role.oid)


def _add_identity(alteration: _Alteration, table: Table, command: Any) -> Table:
    position = alteration.expressions.position
    return add_identity(table, command, alteration.context, alteration.writer, position)


def _set_identity(alteration: _Alteration, table: Table, command: Any) -> Table:
    position = alteration.expressions.position
    return set_identity(table, command, alteration.context, alteration.writer, position)


def _drop_identity(alteration: _Alteration, table: Table, command: Any) -> Table:
    result = alteration.result
    return drop_identity(table, command, alteration.context, alteration.writer, result)


def _set_storage(alteration: _Alteration, table: Table, command: Any) -> Table:
    del alteration
    # Values are never compressed, so the setting changes nothing.
    changeable_column(table, command.name)
    return table


def _nothing(alteration: _Alteration, table: Table, command: Any) -> Table:
    del alteration, command
    return table


_Action = Callable[[_Alteration, Table, Any], Table]
_ACTIONS: dict[str, _Action] = {
    "AT_AddColumn": _add_column,
    "AT_DropColumn": _drop_column,
    "AT_ColumnDefault": _column_default,
    "AT_DropNotNull": _drop_not_null,
    "AT_DropExpression": _drop_expression,
    "AT_AddIdentity": _add_identity,
    "AT_SetIdentity": _set_identity,
    "AT_DropIdentity": _drop_identity,
    "AT_SetStorage": _set_storage,
    "AT_AddConstraint": _add_constraint,
    "AT_DropConstraint": _drop_constraint,
    "AT_ChangeOwner": _change_owner,
    "AT_EnableTrigAll": _nothing,
    "AT_EnableTrigUser": _nothing,
    "AT_DisableTrigAll": _nothing,
    "AT_DisableTrigUser": _nothing,
}
