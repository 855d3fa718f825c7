"""What goes along with a dropped schema, or keeps it from being dropped, as PostgreSQL words it."""

from __future__ import annotations

from collections.abc import Sequence

from dsql.catalog.schema import Schema, Table
from dsql.ddl.result import Notice, UtilityContext, UtilityResult
from dsql.ddl.role_dependencies import described
from dsql.errors import SqlError

_REPORTED_MAX = 100  # lines of DETAIL, PostgreSQL's MAX_REPORTED_DEPS


def reported(lines: Sequence[str]) -> str:
    """Return lines as a DETAIL that is not longer than PostgreSQL's."""
    detail = "\n".join(lines[:_REPORTED_MAX])
    more = len(lines) - _REPORTED_MAX
    if more > 0:
        objects = "object" if more == 1 else "objects"
        detail += f"\nand {more} other {objects} (see server log for list)"
    return detail


def announce(
    tables: Sequence[Table],
    targets: Sequence[Table | Schema],
    context: UtilityContext,
    result: UtilityResult,
    *,
    cascade: bool,
) -> None:
    """Say that tables go along with their schemas, which are among `targets`.

    Raises SqlError 2BP01 unless `cascade`.
    """
    # The targets named last come first.
    places = {
        target.name: -place for place, target in enumerate(targets) if isinstance(target, Schema)
    }
    tables = sorted(tables, key=lambda table: (places[table.schema], table.oid))
    shown = [described(table, context.catalog, context.search_path) for table in tables]
    if shown and not cascade:
        raise _refusal(shown, tables, targets)
    lines = [f"drop cascades to {text}" for text in shown]
    if len(lines) == 1:
        result.notice("00000", lines[0])
    elif lines:
        message = f"drop cascades to {len(lines)} other objects"
        result.notices.append(Notice("NOTICE", "00000", message, reported(lines)))


def _refusal(
    shown: Sequence[str], tables: Sequence[Table], targets: Sequence[Table | Schema]
) -> SqlError:
    message = "cannot drop desired object(s) because other objects depend on them"
    if len(targets) == 1:
        message = f"cannot drop schema {targets[0].name} because other objects depend on it"
    lines = [
        f"{text} depends on schema {table.schema}"
        for text, table in zip(shown, tables, strict=True)
    ]
    hint = "Use DROP ... CASCADE to drop the dependent objects too."
    return SqlError("2BP01", message, detail=reported(lines), hint=hint)
