"""Identifiers as trees."""

from __future__ import annotations

from sqlglot import exp

from dsql.types.identifier import needs_quotes


def identifier(name: str) -> exp.Identifier:
    """Return the tree of an identifier."""
    return exp.Identifier(this=name, quoted=needs_quotes(name))
