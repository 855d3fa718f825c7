"""What goes along with a dropped object, or keeps it from being dropped, as PostgreSQL words it."""

from __future__ import annotations

from collections.abc import Sequence

from dsql.catalog.catalog import Catalog
from dsql.catalog.dependencies import Address, RequiredError, closure
from dsql.catalog.descriptions import description
from dsql.ddl.result import Notice, UtilityContext, UtilityResult
from dsql.errors import SqlError
from dsql.sql.depth import stack_depth_error

_REPORTED_MAX = 100  # lines of DETAIL, PostgreSQL's MAX_REPORTED_DEPS


def reported(lines: Sequence[str]) -> str:
    """Return lines as a DETAIL that is not longer than PostgreSQL's."""
    detail = "\n".join(lines[:_REPORTED_MAX])
    more = len(lines) - _REPORTED_MAX
    if more > 0:
        objects = "object" if more == 1 else "objects"
        detail += f"\nand {more} other {objects} (see server log for list)"
    return detail


def all_dropped(
    targets: Sequence[Address],
    catalog: Catalog,
    context: UtilityContext,
    result: UtilityResult,
    *,
    cascade: bool,
) -> set[Address]:
    """Return all that goes if `targets` of a catalog are dropped, and say it in notices.

    A target that was named twice counts twice in the words of a refusal.

    Raises SqlError 2BP01 for what cannot be dropped by itself, and unless `cascade`, if anything has to
    be named that nobody has.
    """

    def shown(address: Address | None) -> str:
        assert address is not None, "what was named goes without saying"
        return description(address, catalog, context.search_path) or ""

    try:
        found = closure(catalog, tuple(dict.fromkeys(targets)))
    except RecursionError:
        raise stack_depth_error() from None
    except RequiredError as error:
        needed, by = shown(error.needed), shown(error.by)
        raise SqlError(
            "2BP01",
            f"cannot drop {needed} because {by} requires it",
            hint=f"You can drop {by} instead.",
        ) from None
    told = [dropped for dropped in found if dropped.is_told]
    if told and not cascade:
        lines = [f"{shown(dropped.address)} depends on {shown(dropped.by)}" for dropped in told]
        raise _refusal(lines, [shown(target) for target in targets])
    _announce([f"drop cascades to {shown(dropped.address)}" for dropped in told], result)
    return {dropped.address for dropped in found}


def _refusal(lines: Sequence[str], targets: Sequence[str]) -> SqlError:
    message = "cannot drop desired object(s) because other objects depend on them"
    if len(targets) == 1:
        message = f"cannot drop {targets[0]} because other objects depend on it"
    hint = "Use DROP ... CASCADE to drop the dependent objects too."
    return SqlError("2BP01", message, detail=reported(lines), hint=hint)


def _announce(lines: Sequence[str], result: UtilityResult) -> None:
    if len(lines) == 1:
        result.notice("00000", lines[0])
    elif lines:
        message = f"drop cascades to {len(lines)} other objects"
        result.notices.append(Notice("NOTICE", "00000", message, reported(lines)))
