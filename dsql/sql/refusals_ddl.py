"""The clauses of CREATE TABLE, ALTER TABLE, CREATE INDEX and CREATE SEQUENCE that are refused.

The functions for whole statements are for the `dsql` profile. The others are asked by DDL as well, where it
runs a statement; `lenient` ones then stop at what the engine lacks. The checks of CREATE INDEX come in
the order that Aurora DSQL was seen to make them in: CONCURRENTLY, USING, the mode, then the keys.
"""

from __future__ import annotations

import re
from typing import Any

from dsql.errors import SqlError, unsupported
from dsql.limits import INDEX_COLUMNS_MAX, KEY_COLUMNS_MAX
from dsql.sql.gate import ParsedStatement
from dsql.sql.libpg_query import grammar as pg
from dsql.sql.libpg_query import scan

SEQUENCE_CACHE_MIN = 65_536
_CACHE_ADVICE = (
    "without an explicit cache size. "
    f"please define CACHE greater than or equal to {SEQUENCE_CACHE_MIN} or equal to 1"
)
_COLLATE = "COLLATE clause not supported"
_BINARY_COLLATIONS = ("C", "POSIX", "default")
_SERIAL_TYPES = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})


# ---------------------------------------------------------------- CREATE TABLE


def check_create_table(parsed: ParsedStatement) -> None:
    """Raise SqlError for a clause of CREATE TABLE that dsql refuses."""
    check_table_clauses(parsed.node, lenient=False)
    for element in parsed.node.table_elts:
        kind = element.WhichOneof("node")
        if kind == "column_def":
            _check_column(parsed, element.column_def)
        elif kind == "constraint":
            _check_constraint(element.constraint)


def check_table_clauses(node: Any, *, lenient: bool) -> None:
    """Raise SqlError 0A000 for a clause about the table as a whole."""
    if node.relation.relpersistence == "t" and not lenient:
        raise unsupported("TEMPORARY or TEMP table not supported for CREATE TABLE")
    if node.relation.relpersistence == "u" and not lenient:  # no table is less durable than others
        raise unsupported("UNLOGGED table not supported for CREATE TABLE")
    for present, clause in (
        (node.HasField("partbound"), "PARTITION OF"),
        (node.inh_relations, "INHERITS"),
        (node.HasField("partspec"), "PARTITION BY"),
        (node.HasField("of_typename"), "OF"),
        (node.options and not lenient, "WITH"),
        (node.tablespacename, "TABLESPACE"),
        (node.oncommit not in (pg.ONCOMMIT_NOOP, 0) and not lenient, "ON COMMIT"),
    ):
        if present:
            raise unsupported(f"{clause} not supported for CREATE TABLE")


def _check_column(parsed: ParsedStatement, column: Any) -> None:
    if column.HasField("coll_clause"):
        raise unsupported(_COLLATE)
    _check_type(parsed, column.type_name)
    for item in column.constraints:
        if item.constraint.contype == pg.CONSTR_IDENTITY:
            name = column.type_name.names[-1].string.sval
            check_identity(_INTEGER_TYPES.get(name, name), item.constraint.options)
        _check_constraint(item.constraint)


def _check_type(parsed: ParsedStatement, type_name: Any) -> None:
    name = type_name.names[-1].string.sval
    if len(type_name.names) == 1 and name in _SERIAL_TYPES:
        raise SqlError(
            "42704",
            f'type "{name}" does not exist',
            position=parsed.position(type_name.location),
        )


def _check_constraint(constraint: Any) -> None:
    if constraint.contype == pg.CONSTR_EXCLUSION:
        raise unsupported("EXCLUDE not supported for CREATE TABLE")


_INTEGER_TYPES = {"int2": "smallint", "int4": "integer", "int8": "bigint"}


def check_identity(type_name: str, options: Any) -> None:
    """Raise SqlError 0A000 for an identity column of a type, with these options, that dsql refuses."""
    if type_name != "bigint":
        message = f"datatype {type_name} not supported, identity column type must be bigint"
        raise unsupported(message)
    if not _has_cache(options):
        raise unsupported(f"identity column is not supported {_CACHE_ADVICE}")


def _has_cache(options: Any, *, default: bool = False) -> bool:
    """Tell whether sequence options have a CACHE of 1 or of at least 65,536; `default`: if none."""
    for option in options:
        element = option.def_elem
        if element.defname == "cache":
            argument = element.arg
            if argument.WhichOneof("node") == "integer":
                size = argument.integer.ival
            else:
                size = int(argument.float.fval)
            return bool(size == 1 or size >= SEQUENCE_CACHE_MIN)
    return default


def check_sequence(parsed: ParsedStatement) -> None:
    """Raise SqlError 0A000 for CREATE SEQUENCE without an acceptable CACHE, or of another type."""
    if not _has_cache(parsed.node.options):
        raise unsupported(f"CREATE SEQUENCE is not supported {_CACHE_ADVICE}")
    _check_sequence_type(parsed.node.options)


def check_altered_sequence(parsed: ParsedStatement) -> None:
    """Raise SqlError 0A000 for ALTER SEQUENCE to a CACHE or a type that CREATE SEQUENCE refuses."""
    if not _has_cache(parsed.node.options, default=True):
        raise unsupported(f"ALTER SEQUENCE is not supported {_CACHE_ADVICE}")
    _check_sequence_type(parsed.node.options)


def _check_sequence_type(options: Any) -> None:
    for option in options:
        if option.def_elem.defname == "as":
            name = option.def_elem.arg.type_name.names[-1].string.sval
            if name != "int8":
                shown = _INTEGER_TYPES.get(name, name)
                message = f"datatype {shown} not supported, sequence type must be bigint"
                raise unsupported(message)


# ---------------------------------------------------------------- ALTER TABLE

_ACCEPTED_COMMANDS = frozenset(
    {
        pg.AT_AddColumn,
        pg.AT_AddConstraint,
        pg.AT_AddIdentity,
        pg.AT_AlterConstraint,
        pg.AT_ChangeOwner,
        pg.AT_ColumnDefault,
        pg.AT_DisableTrigAll,
        pg.AT_DisableTrigUser,
        pg.AT_DropColumn,
        pg.AT_DropConstraint,
        pg.AT_DropExpression,
        pg.AT_DropIdentity,
        pg.AT_DropNotNull,
        pg.AT_EnableTrigAll,
        pg.AT_EnableTrigUser,
        pg.AT_SetIdentity,
        pg.AT_SetStorage,
        pg.AT_ValidateConstraint,
    }
)
_REFUSED_COMMANDS = {
    pg.AT_SetNotNull: "ALTER COLUMN ... SET NOT NULL",
    pg.AT_DropNotNull: "ALTER COLUMN ... DROP NOT NULL",
    pg.AT_SetStorage: "ALTER COLUMN ... SET STORAGE",
    pg.AT_AlterColumnType: "ALTER COLUMN ... SET DATA TYPE",
    pg.AT_SetStatistics: "ALTER COLUMN ... SET STATISTICS",
    pg.AT_SetRelOptions: "SET",
    pg.AT_ResetRelOptions: "RESET",
    pg.AT_ReplicaIdentity: "REPLICA IDENTITY",
    pg.AT_ClusterOn: "CLUSTER ON",
    pg.AT_EnableRowSecurity: "ENABLE ROW LEVEL SECURITY",
    pg.AT_DisableRowSecurity: "DISABLE ROW LEVEL SECURITY",
    pg.AT_ForceRowSecurity: "FORCE ROW LEVEL SECURITY",
    pg.AT_NoForceRowSecurity: "NO FORCE ROW LEVEL SECURITY",
    pg.AT_AttachPartition: "ATTACH PARTITION",
    pg.AT_DetachPartition: "DETACH PARTITION",
    pg.AT_SetTableSpace: "SET TABLESPACE",
    pg.AT_SetLogged: "SET LOGGED",
    pg.AT_SetUnLogged: "SET UNLOGGED",
    pg.AT_AddInherit: "INHERIT",
    pg.AT_DropInherit: "NO INHERIT",
}


_OF_VIEWS = (pg.AT_SetRelOptions, pg.AT_ResetRelOptions)


def check_alter_table(parsed: ParsedStatement) -> None:
    """Raise SqlError 0A000 for a form of ALTER TABLE that dsql refuses."""
    if parsed.node.objtype == pg.OBJECT_TYPE:
        raise unsupported("ALTER TYPE not supported")
    for item in parsed.node.cmds:
        command = item.alter_table_cmd
        if parsed.node.objtype == pg.OBJECT_VIEW and command.subtype in _OF_VIEWS:
            continue
        if command.subtype == pg.AT_AddColumn:
            _check_added_column(parsed, command)
        elif command.subtype == pg.AT_AddConstraint:
            _check_added_constraint(getattr(command, "def").constraint)
        elif command.subtype not in _ACCEPTED_COMMANDS or (
            command.subtype == pg.AT_ValidateConstraint and not parsed.asynchronous
        ):
            raise alter_table_error(command.subtype)


def alter_table_error(subtype: int) -> SqlError:
    """Return the refusal of a subcommand of ALTER TABLE."""
    return unsupported(f"unsupported ALTER TABLE {command_words(subtype)} statement")


def command_words(subtype: int) -> str:
    """Return a subcommand of ALTER TABLE in words."""
    return _REFUSED_COMMANDS.get(subtype) or _spelled(subtype)


def _spelled(subtype: int) -> str:
    """Return AT_AddConstraint as "ADD CONSTRAINT"."""
    letters = str(pg.AlterTableType.Name(subtype)).removeprefix("AT_")
    return re.sub("(?<!^)(?=[A-Z])", " ", letters).upper()


def check_column_constraints(column: Any) -> None:
    """Raise SqlError 0A000 if a column to be added has constraints."""
    if column.constraints:
        raise unsupported("ALTER TABLE ADD COLUMN with constraint not supported")


def _check_added_column(parsed: ParsedStatement, command: Any) -> None:
    column = getattr(command, "def").column_def
    check_column_constraints(column)
    if column.HasField("coll_clause"):
        raise unsupported(_COLLATE)
    _check_type(parsed, column.type_name)


def _check_added_constraint(constraint: Any) -> None:
    unvalidated = constraint.skip_validation and constraint.contype in (
        pg.CONSTR_CHECK,
        pg.CONSTR_FOREIGN,
    )
    by_index = constraint.contype == pg.CONSTR_UNIQUE and constraint.indexname
    if not unvalidated and not by_index:
        raise alter_table_error(pg.AT_AddConstraint)


# ---------------------------------------------------------------- CREATE INDEX


def check_index(parsed: ParsedStatement, *, synchronous: bool) -> None:
    """Raise SqlError for a clause of CREATE INDEX that dsql refuses, or its synchronous mode."""
    node = parsed.node
    if node.concurrent:
        raise unsupported("CONCURRENTLY not supported for CREATE INDEX")
    if _writes_using(parsed.text):
        raise unsupported("USING not supported for CREATE INDEX")
    if not parsed.asynchronous and not synchronous:
        raise unsupported("unsupported mode. please use CREATE INDEX ASYNC.")
    for present, clause in ((node.options, "WITH"), (node.table_space, "TABLESPACE")):
        if present:
            raise unsupported(f"{clause} not supported for CREATE INDEX")
    check_index_keys(node, lenient=False)


def check_index_keys(node: Any, *, lenient: bool) -> None:
    """Raise SqlError 0A000 or 54011 for the keys and included columns of CREATE INDEX."""
    for item in node.index_params:
        _check_key(item.index_elem, lenient)
    for item in node.index_including_params:
        if item.index_elem.HasField("expr"):
            raise unsupported("expressions are not supported in included columns")
    check_key_count(len(node.index_params), lenient=lenient)


def check_key_count(keys: int, *, lenient: bool) -> None:
    """Raise SqlError 54011 if an index or a key constraint has too many columns."""
    if lenient and keys > INDEX_COLUMNS_MAX:
        raise SqlError("54011", f"cannot use more than {INDEX_COLUMNS_MAX} columns in an index")
    if not lenient and keys > KEY_COLUMNS_MAX:
        raise SqlError(
            "54011", f"more than {KEY_COLUMNS_MAX} column keys in an index are not supported"
        )


def _check_key(element: Any, lenient: bool) -> None:
    if element.ordering not in (pg.SORTBY_DEFAULT, 0) and not lenient:
        raise unsupported("specifying sort order not supported for index keys")
    if element.opclass and not lenient:
        raise unsupported("opclass not supported for index keys")
    if element.collation:
        binary = element.collation[-1].string.sval in _BINARY_COLLATIONS
        if not (lenient and binary):
            raise unsupported(_COLLATE)


def _writes_using(text: str) -> bool:
    """Tell whether CREATE INDEX names an access method; the node has "btree" either way."""
    depth = 0
    for token in scan(text):
        if token.token == pg.ASCII_40:
            depth += 1
        elif token.token == pg.ASCII_41:
            depth -= 1
        elif token.token == pg.USING and depth == 0:
            return True
    return False
