"""LIMIT and OFFSET counts."""

from __future__ import annotations

from dsql.errors import SqlError

UNLIMITED = 1 << 62


def limit_count(value: int | None) -> int:
    """Return the rows LIMIT lets pass; NULL is no limit. Raises SqlError 2201W below zero."""
    if value is None:
        return UNLIMITED
    if value < 0:
        raise SqlError("2201W", "LIMIT must not be negative")
    return value


def offset_count(value: int | None) -> int:
    """Return the rows OFFSET skips; NULL is none. Raises SqlError 2201X below zero."""
    if value is None:
        return 0
    if value < 0:
        raise SqlError("2201X", "OFFSET must not be negative")
    return value
