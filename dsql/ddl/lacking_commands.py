"""Subcommands of ALTER TABLE that this server cannot run: PostgreSQL misses what they name first."""

from __future__ import annotations

from typing import Any

from dsql.catalog.schema import Table
from dsql.ddl import nodes
from dsql.ddl.naming import changeable_column, find_any, missing_relation
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError

_OF_COLUMNS = frozenset(
    (
        "AT_ResetOptions",
        "AT_SetCompression",
        "AT_SetOptions",
        "AT_SetStatistics",
    )
)
_OF_TRIGGERS = frozenset(
    f"AT_{switch}"
    for switch in (
        "DisableTrig",
        "EnableAlwaysTrig",
        "EnableReplicaTrig",
        "EnableTrig",
    )
)
_OF_RULES = frozenset(("AT_DisableRule", "AT_EnableRule"))


def check_command(table: Table, command: Any, context: UtilityContext) -> None:
    """Raise PostgreSQL's error for what a subcommand names, which comes before its refusal."""
    subtype = nodes.enum_name(command, "subtype")
    if subtype in _OF_COLUMNS and command.name:
        changeable_column(table, command.name)
    elif subtype in ("AT_AddInherit", "AT_DropInherit"):
        parent = getattr(command, "def").range_var
        if find_any(context, parent) is None:
            raise missing_relation(parent)
    elif subtype in ("AT_AttachPartition", "AT_DetachPartition"):
        raise SqlError("42P17", f'table "{table.name}" is not partitioned')
    elif subtype in _OF_TRIGGERS:
        message = f'trigger "{command.name}" for table "{table.name}" does not exist'
        raise SqlError("42704", message)
    elif subtype in _OF_RULES:
        message = f'rule "{command.name}" for relation "{table.name}" does not exist'
        raise SqlError("42704", message)
