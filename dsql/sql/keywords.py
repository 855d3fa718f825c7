"""Identifiers: when PostgreSQL needs them quoted."""

from __future__ import annotations

import re

from sqlglot import exp

from dsql.sql.gate import grammar, scan

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_quoted_by_name: dict[str, bool] = {}
_CACHE_NAMES_MAX = 10_000


def needs_quotes(name: str) -> bool:
    """Tell whether an identifier must be written in double quotes (quote_identifier)."""
    known = _quoted_by_name.get(name)
    if known is None:
        known = _PLAIN.match(name) is None or _is_keyword(name)
        if len(_quoted_by_name) < _CACHE_NAMES_MAX:
            _quoted_by_name[name] = known
    return known


def quote_identifier(name: str) -> str:
    """Return an identifier as it must be written."""
    return '"' + name.replace('"', '""') + '"' if needs_quotes(name) else name


def identifier(name: str) -> exp.Identifier:
    """Return the tree of an identifier."""
    return exp.Identifier(this=name, quoted=needs_quotes(name))


def _is_keyword(name: str) -> bool:
    """Tell whether the scanner takes a plain word for a keyword that is not unreserved."""
    tokens = scan(name)
    return bool(tokens) and tokens[0].keyword_kind not in (
        grammar.NO_KEYWORD,
        grammar.UNRESERVED_KEYWORD,
    )
