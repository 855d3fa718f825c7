"""Which function runs which utility statement: one table from libpg_query's node to its handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.ddl.alter_table import alter_table
from dsql.ddl.create_table import create_table
from dsql.ddl.default_privileges import alter_default_privileges
from dsql.ddl.drop import drop
from dsql.ddl.grant import grant
from dsql.ddl.iam_mappings import iam_grant, iam_revoke
from dsql.ddl.indexes import create_index
from dsql.ddl.maintenance import truncate, vacuum
from dsql.ddl.memberships import grant_role
from dsql.ddl.owned import drop_owned, reassign_owned
from dsql.ddl.rename import rename, set_schema
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.roles import alter_role, create_role, drop_role
from dsql.ddl.schemas import create_schema
from dsql.errors import unsupported
from dsql.sql.gate import ParsedStatement

# Handlers of statements with expressions, whose errors have positions, take the whole statement.
_WHOLE: dict[str, Callable[[ParsedStatement, UtilityContext], UtilityResult]] = {
    "Create": create_table,
    "AlterTable": alter_table,
    "Index": create_index,
}
_HANDLERS: dict[str, Callable[[Any, UtilityContext], UtilityResult]] = {
    "Drop": drop,
    "Rename": rename,
    "AlterObjectSchema": set_schema,
    "CreateSchema": create_schema,
    "CreateRole": create_role,
    "AlterRole": alter_role,
    "DropRole": drop_role,
    "Grant": grant,
    "GrantRole": grant_role,
    "AlterDefaultPrivileges": alter_default_privileges,
    "ReassignOwned": reassign_owned,
    "DropOwned": drop_owned,
    "Truncate": truncate,
    "Vacuum": vacuum,
}


def execute(statement: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run one utility statement inside the context's transaction.

    Raises SqlError 0A000 `unsupported statement: <Node>` for what nobody handles.
    """
    if statement.name == "IamGrant":
        change = iam_revoke if statement.node.revoke else iam_grant
        return change(statement.node.role, statement.node.arn, context)
    if statement.name in _WHOLE:
        return _WHOLE[statement.name](statement, context)
    handler = _HANDLERS.get(statement.name)
    if handler is None:
        raise unsupported(f"unsupported statement: {statement.name}")
    return handler(statement.node, context)
