"""What kind of statement a parse node is, its command tag, and whether it may write."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from dsql.sql.gate import ParsedStatement
from dsql.sql.gate import grammar as pg


class StatementKind(enum.Enum):
    """Who runs a statement: the planner, DDL, the session itself."""

    QUERY = "query"
    MODIFICATION = "modification"
    DDL = "ddl"
    TRANSACTION = "transaction"
    SETTING = "setting"  # SET, SHOW, RESET, SET CONSTRAINTS
    COPY = "copy"
    EXPLAIN = "explain"
    UTILITY = "utility"  # cursors, prepared statements, LISTEN, CALL, VACUUM, ...


_KINDS: dict[str, StatementKind] = {
    "Select": StatementKind.QUERY,
    "Insert": StatementKind.MODIFICATION,
    "Update": StatementKind.MODIFICATION,
    "Delete": StatementKind.MODIFICATION,
    "Merge": StatementKind.MODIFICATION,
    "Transaction": StatementKind.TRANSACTION,
    "VariableSet": StatementKind.SETTING,
    "VariableShow": StatementKind.SETTING,
    "ConstraintsSet": StatementKind.SETTING,
    "Copy": StatementKind.COPY,
    "Explain": StatementKind.EXPLAIN,
}
_UTILITIES = frozenset(
    {
        "Call",
        "CheckPoint",
        "ClosePortal",
        "Cluster",
        "Deallocate",
        "DeclareCursor",
        "Discard",
        "Do",
        "Execute",
        "Fetch",
        "Listen",
        "Load",
        "Lock",
        "Notify",
        "Prepare",
        "Reindex",
        "Unlisten",
        "Vacuum",
    }
)


def kind_of(parsed: ParsedStatement) -> StatementKind:
    """Return the kind of a statement. What is nothing else is DDL; CREATE TABLE AS and TRUNCATE too."""
    known = _KINDS.get(parsed.name)
    if known is not None:
        if parsed.name == "Select" and parsed.node.HasField("into_clause"):
            return StatementKind.DDL
        return known
    return StatementKind.UTILITY if parsed.name in _UTILITIES else StatementKind.DDL


def is_read_only(parsed: ParsedStatement) -> bool:
    """Tell whether a statement may run in a READ ONLY transaction, functions aside."""
    kind = kind_of(parsed)
    if kind is StatementKind.QUERY:
        return not _writes(parsed.node)
    if kind is StatementKind.COPY:
        return not parsed.node.is_from
    if kind is StatementKind.EXPLAIN:
        return True
    return kind in (StatementKind.TRANSACTION, StatementKind.SETTING) or parsed.name in (
        "Call",
        "ClosePortal",
        "Deallocate",
        "DeclareCursor",
        "Discard",
        "Execute",
        "Fetch",
        "Listen",
        "Prepare",
        "Unlisten",
    )


def _writes(select: Any) -> bool:
    """Tell whether a SELECT locks rows or has a data-modifying WITH query."""
    if select.locking_clause:
        return True
    if not select.HasField("with_clause"):
        return False
    return any(
        not cte.common_table_expr.ctequery.HasField("select_stmt")
        for cte in select.with_clause.ctes
    )


# ---------------------------------------------------------------- command tags

_OBJECTS = {
    pg.OBJECT_AGGREGATE: "AGGREGATE",
    pg.OBJECT_COLLATION: "COLLATION",
    pg.OBJECT_DATABASE: "DATABASE",
    pg.OBJECT_DOMAIN: "DOMAIN",
    pg.OBJECT_EXTENSION: "EXTENSION",
    pg.OBJECT_FOREIGN_TABLE: "FOREIGN TABLE",
    pg.OBJECT_FUNCTION: "FUNCTION",
    pg.OBJECT_INDEX: "INDEX",
    pg.OBJECT_MATVIEW: "MATERIALIZED VIEW",
    pg.OBJECT_POLICY: "POLICY",
    pg.OBJECT_PROCEDURE: "PROCEDURE",
    pg.OBJECT_ROLE: "ROLE",
    pg.OBJECT_ROUTINE: "ROUTINE",
    pg.OBJECT_RULE: "RULE",
    pg.OBJECT_SCHEMA: "SCHEMA",
    pg.OBJECT_SEQUENCE: "SEQUENCE",
    pg.OBJECT_STATISTIC_EXT: "STATISTICS",
    pg.OBJECT_TABLE: "TABLE",
    pg.OBJECT_COLUMN: "TABLE",
    pg.OBJECT_TABCONSTRAINT: "TABLE",
    pg.OBJECT_TABLESPACE: "TABLESPACE",
    pg.OBJECT_TRIGGER: "TRIGGER",
    pg.OBJECT_TYPE: "TYPE",
    pg.OBJECT_VIEW: "VIEW",
}
_TRANSACTIONS = {
    pg.TRANS_STMT_BEGIN: "BEGIN",
    pg.TRANS_STMT_START: "START TRANSACTION",
    pg.TRANS_STMT_COMMIT: "COMMIT",
    pg.TRANS_STMT_ROLLBACK: "ROLLBACK",
    pg.TRANS_STMT_SAVEPOINT: "SAVEPOINT",
    pg.TRANS_STMT_RELEASE: "RELEASE",
    pg.TRANS_STMT_ROLLBACK_TO: "ROLLBACK",
    pg.TRANS_STMT_PREPARE: "PREPARE TRANSACTION",
    pg.TRANS_STMT_COMMIT_PREPARED: "COMMIT PREPARED",
    pg.TRANS_STMT_ROLLBACK_PREPARED: "ROLLBACK PREPARED",
}
_TAGS = {
    "Select": "SELECT",
    "Insert": "INSERT",
    "Update": "UPDATE",
    "Delete": "DELETE",
    "Merge": "MERGE",
    "AlterDefaultPrivileges": "ALTER DEFAULT PRIVILEGES",
    "AlterDomain": "ALTER DOMAIN",
    "AlterFunction": "ALTER FUNCTION",
    "AlterRole": "ALTER ROLE",
    "AlterRoleSet": "ALTER ROLE",
    "AlterSeq": "ALTER SEQUENCE",
    "AlterStats": "ALTER STATISTICS",
    "AlterSystem": "ALTER SYSTEM",
    "Call": "CALL",
    "CheckPoint": "CHECKPOINT",
    "Cluster": "CLUSTER",
    "Comment": "COMMENT",
    "CompositeType": "CREATE TYPE",
    "ConstraintsSet": "SET CONSTRAINTS",
    "Copy": "COPY",
    "Create": "CREATE TABLE",
    "CreateDomain": "CREATE DOMAIN",
    "CreateEnum": "CREATE TYPE",
    "CreateExtension": "CREATE EXTENSION",
    "CreateRole": "CREATE ROLE",
    "CreateSchema": "CREATE SCHEMA",
    "CreateSeq": "CREATE SEQUENCE",
    "CreateStats": "CREATE STATISTICS",
    "CreateTrig": "CREATE TRIGGER",
    "Createdb": "CREATE DATABASE",
    "DeclareCursor": "DECLARE CURSOR",
    "Do": "DO",
    "DropRole": "DROP ROLE",
    "Dropdb": "DROP DATABASE",
    "Execute": "EXECUTE",
    "Explain": "EXPLAIN",
    "Index": "CREATE INDEX",
    "Listen": "LISTEN",
    "Load": "LOAD",
    "Lock": "LOCK TABLE",
    "Notify": "NOTIFY",
    "Prepare": "PREPARE",
    "RefreshMatView": "REFRESH MATERIALIZED VIEW",
    "Reindex": "REINDEX",
    "Rule": "CREATE RULE",
    "Truncate": "TRUNCATE TABLE",
    "Unlisten": "UNLISTEN",
    "VariableShow": "SHOW",
    "View": "CREATE VIEW",
}


def command_tag(parsed: ParsedStatement) -> str:
    """Return the command tag without a row count ("SELECT", "CREATE TABLE", "DROP VIEW")."""
    special = _SPECIAL_TAGS.get(parsed.name)
    if special is not None:
        return special(parsed.node)
    return _TAGS.get(parsed.name, parsed.name.upper())


def tag_with_rows(tag: str, rows: int) -> str:
    """Return the tag of CommandComplete for a statement that reports rows."""
    return f"INSERT 0 {rows}" if tag == "INSERT" else f"{tag} {rows}"


def _objects_tag(verb: str, object_type: int) -> str:
    return f"{verb} {_OBJECTS.get(object_type, 'OBJECT')}"


def _set_tag(node: Any) -> str:
    return "RESET" if node.kind in (pg.VAR_RESET, pg.VAR_RESET_ALL) else "SET"


_DISCARDS = {
    pg.DISCARD_ALL: "DISCARD ALL",
    pg.DISCARD_PLANS: "DISCARD PLANS",
    pg.DISCARD_SEQUENCES: "DISCARD SEQUENCES",
    pg.DISCARD_TEMP: "DISCARD TEMP",
}


_RELATION_PARTS = frozenset({pg.OBJECT_COLUMN, pg.OBJECT_TABCONSTRAINT})
_SPECIAL_TAGS: dict[str, Callable[[Any], str]] = {
    "AlterTable": lambda node: _objects_tag("ALTER", node.objtype),
    "AlterObjectSchema": lambda node: _objects_tag("ALTER", node.object_type),
    "AlterOwner": lambda node: _objects_tag("ALTER", node.object_type),
    "Rename": lambda node: _objects_tag(
        "ALTER",
        node.relation_type if node.rename_type in _RELATION_PARTS else node.rename_type,
    ),
    "Drop": lambda node: _objects_tag("DROP", node.remove_type),
    "Transaction": lambda node: _TRANSACTIONS[node.kind],
    "VariableSet": _set_tag,
    "Grant": lambda node: "GRANT" if node.is_grant else "REVOKE",
    "GrantRole": lambda node: "GRANT ROLE" if node.is_grant else "REVOKE ROLE",
    "Discard": lambda node: _DISCARDS[node.target],
    "Deallocate": lambda node: "DEALLOCATE" if node.name else "DEALLOCATE ALL",
    "ClosePortal": lambda node: "CLOSE CURSOR" if node.portalname else "CLOSE CURSOR ALL",
    "Fetch": lambda node: "MOVE" if node.ismove else "FETCH",
    "Vacuum": lambda node: "VACUUM" if node.is_vacuumcmd else "ANALYZE",
    "CreateTableAs": lambda node: (
        "CREATE MATERIALIZED VIEW" if node.objtype == pg.OBJECT_MATVIEW else "SELECT"
    ),
    "CreateFunction": lambda node: "CREATE PROCEDURE" if node.is_procedure else "CREATE FUNCTION",
    "IamGrant": lambda node: "AWS IAM REVOKE" if node.revoke else "AWS IAM GRANT",
}
