"""Everything that provides a computed table or a function; importing this module makes them all known."""

from __future__ import annotations

from dsql.catalog import (
    absent_functions,
    builtins,
    comments,
    dependencies,
    information_functions,
    information_privileges,
    information_schema,
    name_functions,
    opclasses,
    principals,
    privilege_functions,
    relations,
    role_dependencies,
    sequences,
    session_functions,
    session_tables,
    size_functions,
    statistics_views,
    sys_functions,
    tool_functions,
)

__all__ = [
    "absent_functions",
    "builtins",
    "comments",
    "dependencies",
    "information_functions",
    "information_privileges",
    "information_schema",
    "name_functions",
    "opclasses",
    "principals",
    "privilege_functions",
    "relations",
    "role_dependencies",
    "sequences",
    "session_functions",
    "session_tables",
    "size_functions",
    "statistics_views",
    "sys_functions",
    "tool_functions",
]
