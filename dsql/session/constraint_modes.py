"""SET CONSTRAINTS: when a transaction checks its deferrable foreign keys."""

from __future__ import annotations

from typing import Any

from dsql.catalog.schema import ForeignKey
from dsql.ddl.naming import schemas_to_search
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError
from dsql.session.state import SessionState
from dsql.sql.gate import ParsedStatement


def run_set_constraints(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run SET CONSTRAINTS ALL or names, DEFERRED or IMMEDIATE. Raises SqlError 42704, 42809, 23503.

    What was deferred up to now is checked at once where it is IMMEDIATE from here on.
    """
    node, block = parsed.node, state.block
    result = UtilityResult("SET CONSTRAINTS")
    with result.told():
        if not block.is_block:
            message = "SET CONSTRAINTS can only be used in transaction blocks"
            result.notice("25P01", message, severity="WARNING")
        if node.constraints:
            keys = [key for item in node.constraints for key in _find(item.range_var, state)]
            chosen = frozenset(key.oid for key in keys)
            modes = block.progress.constraint_modes | dict.fromkeys(chosen, node.deferred)
        else:
            chosen, modes = None, {0: node.deferred}
        block.progress.constraint_modes = modes
        if not node.deferred:
            state.constraints.check_deferred(chosen)
    return result


def _find(name: Any, state: SessionState) -> list[ForeignKey]:
    """Return the foreign keys of a name, in the first schema that has any constraint of it."""
    context = state.context
    schemas = schemas_to_search(context, name.schemaname)
    for schema in schemas:
        tables = list(context.catalog.tables_in(schema))
        keys = [key for table in tables for key in table.foreign_keys if key.name == name.relname]
        others: set[str | None] = {check.name for table in tables for check in table.checks}
        others |= {index.constraint for table in tables for index in table.indexes}
        if name.relname in others or any(not key.deferrable for key in keys):
            raise SqlError("42809", f'constraint "{name.relname}" is not deferrable')
        if keys:
            return keys
    shown = ".".join(part for part in (name.schemaname, name.relname) if part)
    raise SqlError("42704", f'constraint "{shown}" does not exist')
