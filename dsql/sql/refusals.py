"""What the profiles refuse, and how they say it. One room, apart from the engine.

The `dsql` profile refuses what Aurora DSQL refuses, in its words; `postgres` lifts everything that the
engine can do. What the engine lacks is refused in both: here if a statement's form tells, otherwise
where it is met, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.sql import refusals_ddl
from dsql.sql.gate import ParsedStatement
from dsql.sql.libpg_query import grammar as pg

DSQL = "dsql"

_REFUSED_FUNCTIONS = frozenset(
    {
        "inet_server_addr",
        "inet_server_port",
        "pg_backend_pid",
        "pg_cancel_backend",
        "pg_database_size",
        "pg_indexes_size",
        "pg_notify",
        "pg_relation_size",
        "pg_table_size",
        "pg_tablespace_size",
        "pg_terminate_backend",
        "pg_total_relation_size",
    }
)
_REFUSED_PREFIXES = ("lo_", "pg_advisory_", "pg_try_advisory_")
_GEOMETRY = frozenset({"box", "circle", "line", "lseg", "path", "point", "polygon"})
_TEXT_SEARCH = frozenset(
    {
        "phraseto_tsquery",
        "plainto_tsquery",
        "to_tsquery",
        "to_tsvector",
        "ts_headline",
        "websearch_to_tsquery",
    }
)
_TEXT_SEARCH_DEFAULT = "english"  # the configuration of a call that names none


def check_function(
    name: str, arguments: Sequence[exp.Expression], profile: str, position: int
) -> None:
    """Raise SqlError for a call that the profile refuses by the function's name.

    0A000; 42704 if it needs a text search configuration, of which there are none.
    """
    if profile != DSQL:
        return
    if name in _REFUSED_FUNCTIONS or name.startswith(_REFUSED_PREFIXES):
        raise unsupported(f"function {name} not supported", position=position)
    if name in _GEOMETRY:
        raise unsupported(f"datatype {name} not supported", position=position)
    if name in _TEXT_SEARCH:
        named = len(arguments) > 1 and isinstance(arguments[0], exp.Literal)
        configuration = arguments[0].this if named else _TEXT_SEARCH_DEFAULT
        message = f'text search configuration "{configuration}" does not exist'
        raise SqlError("42704", message, position=position)


# ---------------------------------------------------------------- statements

# The statements the dsql profile knows, if only to refuse some of their forms below.
_KNOWN_STATEMENTS = frozenset(
    {
        "AlterDefaultPrivileges",
        "AlterDomain",
        "AlterFunction",
        "AlterObjectSchema",
        "AlterOwner",
        "AlterRole",
        "AlterRoleSet",
        "AlterSeq",
        "AlterStats",
        "AlterTable",
        "Call",
        "Comment",
        "ConstraintsSet",
        "Copy",
        "Create",
        "CreateDomain",
        "CreateFunction",
        "CreateRole",
        "CreateSchema",
        "CreateSeq",
        "CreateStats",
        "Deallocate",
        "Delete",
        "Drop",
        "DropRole",
        "Explain",
        "Grant",
        "GrantRole",
        "IamGrant",
        "Index",
        "Insert",
        "Rename",
        "Select",
        "Transaction",
        "Update",
        "Vacuum",
        "VariableSet",
        "VariableShow",
        "View",
    }
)
# Refused in words of their own.
_REFUSED_STATEMENTS = {
    "Merge": "unsupported statement type: MERGE",
    "CreateEnum": "CREATE TYPE not supported",
    "AlterEnum": "ALTER TYPE not supported",
    "AlterType": "ALTER TYPE not supported",
    "CreateTrig": "CREATE TRIGGER not supported",
}
_DROPPABLE = frozenset(
    {
        pg.OBJECT_DOMAIN,
        pg.OBJECT_FUNCTION,
        pg.OBJECT_INDEX,
        pg.OBJECT_ROUTINE,
        pg.OBJECT_SCHEMA,
        pg.OBJECT_SEQUENCE,
        pg.OBJECT_STATISTIC_EXT,
        pg.OBJECT_TABLE,
        pg.OBJECT_VIEW,
    }
)
_RENAMABLE = _DROPPABLE | {
    pg.OBJECT_COLUMN,
    pg.OBJECT_DOMCONSTRAINT,
    pg.OBJECT_ROLE,
    pg.OBJECT_TABCONSTRAINT,
}
_NOT_GRANTABLE = frozenset(
    {
        pg.OBJECT_DATABASE,
        pg.OBJECT_FDW,
        pg.OBJECT_FOREIGN_SERVER,
        pg.OBJECT_LANGUAGE,
        pg.OBJECT_LARGEOBJECT,
        pg.OBJECT_PARAMETER_ACL,
        pg.OBJECT_TABLESPACE,
    }
)
_SAVEPOINTS = frozenset({pg.TRANS_STMT_SAVEPOINT, pg.TRANS_STMT_RELEASE, pg.TRANS_STMT_ROLLBACK_TO})
_TRANSACTION_REFUSALS = {
    pg.TRANS_STMT_SAVEPOINT: "SAVEPOINT",
    pg.TRANS_STMT_RELEASE: "RELEASE",
    pg.TRANS_STMT_ROLLBACK_TO: "ROLLBACK TO",
    pg.TRANS_STMT_PREPARE: "PREPARE TRANSACTION",
    pg.TRANS_STMT_COMMIT_PREPARED: "COMMIT PREPARED",
    pg.TRANS_STMT_ROLLBACK_PREPARED: "ROLLBACK PREPARED",
}
SETTABLE = frozenset(
    {
        "application_name",
        "client_encoding",
        "datestyle",
        "disable_sync_create_index",
        "enable_bitmapscan",
        "enable_hashjoin",
        "enable_indexonlyscan",
        "enable_indexscan",
        "enable_material",
        "enable_mergejoin",
        "enable_nestloop",
        "enable_seqscan",
        "extra_float_digits",
        "intervalstyle",
        "jit",  # asyncpg turns it off while it looks types up
        "search_path",
        "timezone",
    }
)


def check_statement(
    parsed: ParsedStatement, profile: str, *, synchronous_index: bool = False
) -> None:
    """Raise SqlError 0A000 for a statement, or a form of it, that the profile refuses.

    `synchronous_index`: `disable_sync_create_index` is off, so plain CREATE INDEX passes.
    """
    if parsed.name == "Transaction":
        _check_transaction(parsed.node, profile)
    elif parsed.name == "VariableSet" and parsed.node.kind == pg.VAR_SET_MULTI:
        _check_isolation(parsed.node.args, profile)
    if profile != DSQL:
        return
    if parsed.name not in _KNOWN_STATEMENTS:
        message = _REFUSED_STATEMENTS.get(parsed.name, f"unsupported statement: {parsed.name}")
        raise unsupported(message)
    if parsed.name == "Index":
        refusals_ddl.check_index(parsed, synchronous=synchronous_index)
    check = _CHECKS.get(parsed.name)
    if check is not None:
        check(parsed)


def setting_refused(key: str, *, local: bool = False, reset: bool = False) -> bool:
    """Tell whether the dsql profile refuses SET of a parameter; `local`: SET LOCAL, `reset`: RESET.

    To give up a role is always allowed.
    """
    if key == "role":
        return not (local or reset)
    if key == "session_authorization":
        return not reset
    return key not in SETTABLE and "." not in key


def setting_error(name: str) -> SqlError:
    """Return the refusal of SET for a parameter."""
    return unsupported(f'setting configuration parameter "{name}" not supported')


def isolation_error(level: str) -> SqlError:
    """Return the refusal of an isolation level."""
    return unsupported(f"Unsupported isolation level: {level.upper()}")


def _check_isolation(options: Any, profile: str) -> None:
    """Aurora DSQL has REPEATABLE READ only."""
    for option in options:
        element = option.def_elem
        if element.defname != "transaction_isolation":
            continue
        level = element.arg.a_const.sval.sval
        if profile == DSQL and level != "repeatable read":
            raise isolation_error(level)


def _check_transaction(node: Any, profile: str) -> None:
    """The engine has savepoints and chains for `postgres`; it has no prepared transactions at all."""
    _check_isolation(node.options, profile)
    words = _TRANSACTION_REFUSALS.get(node.kind)
    if node.chain:
        words = "COMMIT AND CHAIN" if node.kind == pg.TRANS_STMT_COMMIT else "ROLLBACK AND CHAIN"
    lifted = profile != DSQL and (node.chain or node.kind in _SAVEPOINTS)
    if words is not None and not lifted:
        raise unsupported(f"unsupported transaction statement: {words}")


def _check_explain(parsed: ParsedStatement) -> None:
    """EXPLAIN EXECUTE and its kin are refused as what they explain."""
    inner = parsed.node.query
    field = inner.WhichOneof("node")
    name = type(getattr(inner, field)).DESCRIPTOR.name.removesuffix("Stmt")
    if name not in _KNOWN_STATEMENTS:
        raise unsupported(
            _REFUSED_STATEMENTS.get(name, f"unsupported statement: {name}"),
        )


def _check_vacuum(parsed: ParsedStatement) -> None:
    if parsed.node.is_vacuumcmd:
        raise unsupported("unsupported VACUUM statement")


def _check_drop(parsed: ParsedStatement) -> None:
    if parsed.node.remove_type not in _DROPPABLE:
        raise unsupported("unsupported object in DROP statement")


def _check_rename(parsed: ParsedStatement) -> None:
    if parsed.node.rename_type not in _RENAMABLE:
        raise unsupported("unsupported object in RENAME statement")


def _check_grant(parsed: ParsedStatement) -> None:
    if parsed.node.objtype in _NOT_GRANTABLE:
        raise unsupported("unsupported object type in GRANT")


def _check_deallocate(parsed: ParsedStatement) -> None:
    if parsed.node.name:
        raise unsupported("unsupported statement: Deallocate")


def _check_function(parsed: ParsedStatement) -> None:
    node = parsed.node
    if node.is_procedure:
        raise unsupported("PROCEDURE is not supported")
    for option in node.options:
        element = option.def_elem
        if element.defname == "language" and element.arg.string.sval.lower() != "sql":
            language = element.arg.string.sval
            raise unsupported(f"CREATE FUNCTION with language {language} not supported")


_CHECKS: dict[str, Callable[[ParsedStatement], None]] = {
    "AlterSeq": refusals_ddl.check_altered_sequence,
    "AlterTable": refusals_ddl.check_alter_table,
    "Create": refusals_ddl.check_create_table,
    "CreateFunction": _check_function,
    "CreateSeq": refusals_ddl.check_sequence,
    "Deallocate": _check_deallocate,
    "Drop": _check_drop,
    "Explain": _check_explain,
    "Grant": _check_grant,
    "Rename": _check_rename,
    "Vacuum": _check_vacuum,
}
