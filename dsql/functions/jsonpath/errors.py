"""The errors that predicates and silent calls pass over."""

from __future__ import annotations

from dsql.errors import SqlError


class PathError(SqlError):
    """What is wrong with an item. A predicate is unknown because of it, a silent call ends."""
