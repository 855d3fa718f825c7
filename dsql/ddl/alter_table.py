"""ALTER TABLE and its kind: each subcommand maps a Table value to the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.requirements import Requirement, RoleMembership, creation_in
from dsql.catalog.dependencies import PG_CLASS, Address
from dsql.catalog.schema import Index, Table
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.add_column import add_column
from dsql.ddl.alter_constraints import (
    add_constraint,
    alter_constraint,
    drop_constraint,
    is_key,
    validate_constraint,
)
from dsql.ddl.alter_type import alter_type
from dsql.ddl.alter_view import alter_view
from dsql.ddl.alteration import Alteration, with_column
from dsql.ddl.column import ColumnSource, StatementExpressions
from dsql.ddl.composites import alter_composite, alter_composite_requires, is_of_type
from dsql.ddl.foreign_keys import (
    foreign_key_nodes,
    references_requires,
    refuse_pending_checks,
)
from dsql.ddl.identity import add_identity, drop_identity, set_identity
from dsql.ddl.lacking_commands import check_command
from dsql.ddl.naming import (
    KIND_PLURALS,
    changeable_column,
    find_any,
    find_column,
    is_missing,
    missing_text,
    owned_relation,
    refuse_system_column,
    require_table,
)
from dsql.ddl.physical_order import (
    cluster_on,
    replica_identity,
    set_logged,
    set_statistics,
    set_storage,
    set_tablespace,
)
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.rewriting import pending_rewrite, target_of
from dsql.ddl.role_specs import role_of
from dsql.ddl.securables import with_owner
from dsql.ddl.sequences import linked, owned_sequences
from dsql.ddl.storage_options import read_storage_option
from dsql.ddl.validation import NewRule
from dsql.ddl.view_options import reset_options, set_options
from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement
from dsql.sql.refusals_ddl import alter_table_error, command_words


def alter_table_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what an AlterTableStmt needs: the table, and for some subcommands a place in its schema."""
    statement = parsed.node
    if is_of_type(statement):
        yield from alter_composite_requires(statement, context)
        return
    yield from owned_relation(context, statement)
    if is_missing(context, statement):
        return
    _check_kind(statement, context)
    if isinstance(find_any(context, statement.relation), tuple):
        return  # an index is its table's
    table = require_table(context, statement.relation, "rvmS")
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
            case "AT_AddConstraint" if is_key(getattr(command, "def").constraint):
                yield creation_in(schema)  # for its index
            case "AT_AddConstraint" | "AT_AddColumn":
                for constraint in foreign_key_nodes([getattr(command, "def")]):
                    yield from references_requires(constraint, context)


# What ALTER names, as pg_class.relkind and as an error message has it. ALTER TABLE is for every kind.
_KINDS = {
    "OBJECT_INDEX": ("i", "an index"),
    "OBJECT_VIEW": ("v", "a view"),
    "OBJECT_SEQUENCE": ("S", "a sequence"),
    "OBJECT_MATVIEW": ("m", "a materialized view"),
    "OBJECT_FOREIGN_TABLE": ("f", "a foreign table"),
}


def _check_kind(statement: Any, context: UtilityContext) -> None:
    letter, words = _KINDS.get(nodes.enum_name(statement, "objtype"), ("", ""))
    found = find_any(context, statement.relation)
    kind = "i" if isinstance(found, tuple) else found and found.kind
    if letter not in ("", kind):
        raise SqlError("42809", f'"{statement.relation.relname}" is not {words}')


def alter_table(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run an AlterTableStmt."""
    statement = parsed.node
    if is_of_type(statement):
        return alter_composite(parsed, context)
    result = UtilityResult(_tag(statement))
    if is_missing(context, statement):
        result.notice("00000", missing_text(statement.relation))
        return result
    found = find_any(context, statement.relation)
    if isinstance(found, tuple):
        _alter_index(*found, statement, context, result)
        return result
    table = require_table(context, statement.relation, "rvmS")
    if table.kind == "v":
        alter_view(parsed, table, context)
        return result
    writer = CatalogWriter(context.transaction, local=table.is_temporary)
    expressions, several = StatementExpressions(parsed, context), len(statement.cmds) > 1
    refuse_pending_checks(table, context, "ALTER TABLE")
    before, pending = table, pending_rewrite(table, context)
    alteration = Alteration(
        context, expressions, writer, result, before=before, pending=pending, looks_at_once=several
    )
    if pending is not None:
        table = target_of(pending)
    for command in sorted(map(nodes.inner, statement.cmds), key=_turn):
        subtype = nodes.enum_name(command, "subtype")
        _check_action(table, command)
        action = _ACTIONS.get(subtype)
        if action is None:
            check_command(table, command, context)
            raise alter_table_error(command.subtype)
        table = action(alteration, table, command)
    alteration.finish(table)
    return result


# What can be said of a materialized view: who owns it, and how its rows are kept.
_OF_ROWS = frozenset(
    f"AT_{name}"
    for name in "ChangeOwner SetStatistics SetOptions ResetOptions SetStorage SetCompression"
    " ClusterOn DropCluster SetAccessMethod SetTableSpace SetRelOptions ResetRelOptions".split()
)


def _check_action(table: Table, command: Any) -> None:
    """Raise SqlError 42809 for a subcommand that is not for this kind of relation."""
    allowed = {"S": frozenset(("AT_ChangeOwner",)), "m": _OF_ROWS}.get(table.kind)
    if allowed is not None and nodes.enum_name(command, "subtype") not in allowed:
        words = command_words(command.subtype)
        raise SqlError(
            "42809",
            f'ALTER action {words} cannot be performed on relation "{table.name}"',
            detail=f"This operation is not supported for {KIND_PLURALS[table.kind]}.",
        )


def _turn(command: Any) -> int:
    """Return when a subcommand is run: drops, new columns, what is said of columns, keys, constraints."""
    subtype = nodes.enum_name(command, "subtype")
    if subtype.startswith("AT_Drop"):
        return 0
    if subtype == "AT_ColumnDefault":
        return 5 if command.HasField("def") else 0
    if subtype in _EARLY:
        return _EARLY[subtype]
    if subtype != "AT_AddConstraint":
        return 3
    return 4 if is_key(getattr(command, "def").constraint) else 5


_EARLY = {"AT_AlterColumnType": 1, "AT_AddColumn": 2}


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


def _drop_column(alteration: Alteration, table: Table, command: Any) -> Table:
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
        if alteration.context.profile == "dsql":
            raise unsupported(f"cannot drop primary key column {found.name}")
        alteration.rewrite()
    return alteration.drop(table, Address(PG_CLASS, table.oid, found.number), command)


def _column_default(alteration: Alteration, table: Table, command: Any) -> Table:
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
    return with_column(table, alteration.expressions.with_default(table, cleared, source))


def _drop_not_null(alteration: Alteration, table: Table, command: Any) -> Table:
    del alteration
    column = changeable_column(table, command.name)
    if column.identity:
        message = f'column "{column.name}" of relation "{table.name}" is an identity column'
        raise SqlError("42601", message)
    key = table.primary_key
    if key and any(part.column_number == column.number for part in key.columns):
        raise SqlError("42P16", f'column "{column.name}" is in a primary key')
    return with_column(table, replace(column, not_null=False, unproved=False))


def _set_not_null(alteration: Alteration, table: Table, command: Any) -> Table:
    column = changeable_column(table, command.name)
    if column.not_null:
        return table
    alteration.rules.append(NewRule(column.name, columns=(column.number,)))
    return with_column(table, replace(column, not_null=True, unproved=True))


def _drop_expression(alteration: Alteration, table: Table, command: Any) -> Table:
    del alteration
    column = changeable_column(table, command.name)
    if not column.generated and not command.missing_ok:
        raise SqlError(
            "55000",
            f'column "{column.name}" of relation "{table.name}" is not a stored generated column',
        )
    return with_column(table, replace(column, generated=False, default=None, uses=()))


def _change_owner(alteration: Alteration, table: Table, command: Any) -> Table:
    """A table's sequences have its owner, and none of their own."""
    context = alteration.context
    role = role_of(command.newowner, context)
    for sequence in owned_sequences(table, context.catalog):
        alteration.writer.put_table(with_owner(sequence, role.oid))
    return with_owner(table, role.oid)


def _set_options(alteration: Alteration, table: Table, command: Any) -> Table:
    del alteration
    elements = getattr(command, "def").list.items
    return replace(table, options=set_options(table.options, elements, read_storage_option))


def _reset_options(alteration: Alteration, table: Table, command: Any) -> Table:
    del alteration
    return replace(table, options=reset_options(table.options, getattr(command, "def").list.items))


def _nothing(alteration: Alteration, table: Table, command: Any) -> Table:
    del alteration, command
    return table


_Action = Callable[[Alteration, Table, Any], Table]
_ACTIONS: dict[str, _Action] = {
    "AT_SetRelOptions": _set_options,
    "AT_ResetRelOptions": _reset_options,
    "AT_AddColumn": add_column,
    "AT_DropColumn": _drop_column,
    "AT_AlterColumnType": alter_type,
    "AT_ColumnDefault": _column_default,
    "AT_DropNotNull": _drop_not_null,
    "AT_SetNotNull": _set_not_null,
    "AT_DropExpression": _drop_expression,
    "AT_AddIdentity": add_identity,
    "AT_SetIdentity": set_identity,
    "AT_DropIdentity": drop_identity,
    "AT_SetStorage": set_storage,
    "AT_SetStatistics": set_statistics,
    "AT_SetTableSpace": set_tablespace,
    "AT_SetLogged": set_logged,
    "AT_SetUnLogged": set_logged,
    "AT_ClusterOn": cluster_on,
    "AT_DropCluster": _nothing,
    "AT_DropOids": _nothing,
    "AT_DisableRowSecurity": _nothing,
    "AT_NoForceRowSecurity": _nothing,
    "AT_ReplicaIdentity": replica_identity,
    "AT_AddConstraint": add_constraint,
    "AT_AlterConstraint": alter_constraint,
    "AT_ValidateConstraint": validate_constraint,
    "AT_DropConstraint": drop_constraint,
    "AT_ChangeOwner": _change_owner,
    "AT_EnableTrigAll": _nothing,
    "AT_EnableTrigUser": _nothing,
    "AT_DisableTrigAll": _nothing,
    "AT_DisableTrigUser": _nothing,
}
