"""Everything that provides a computed table; importing this module makes them all known."""

from __future__ import annotations

from dsql.catalog import builtins, information_functions, information_schema, principals, relations

__all__ = ["builtins", "information_functions", "information_schema", "principals", "relations"]
