"""Identifiers as SQL text: when they need quotes, and how a qualified name is taken apart."""

from __future__ import annotations

import re

from dsql.errors import SqlError
from dsql.types.pieces import PIECE, in_pieces, pieces

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_PLAIN_REST = re.compile(r"[a-z0-9_]*")
_NAME_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\s."]+))\s*(\.|\Z)')

# Every keyword of PostgreSQL but the unreserved ones.
_KEYWORD_TEXT = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both
case cast char character check coalesce collate collation column concurrently constraint create cross
current_catalog current_date current_role current_schema current_time current_timestamp current_user dec
decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign
freeze from full grant greatest group grouping having ilike in initially inner inout int integer
intersect interval into is isnull join lateral leading least left like limit localtime localtimestamp
national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer
overlaps overlay placing position precision primary real references returning right row select
session_user setof similar smallint some substring symmetric table tablesample then time timestamp to
trailing treat trim true union unique user using values varchar variadic verbose when where window with
xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize
xmltable
"""
_KEYWORDS = frozenset(_KEYWORD_TEXT.split())


def needs_quotes(name: str) -> bool:
    """Tell whether a name must be written in double quotes."""
    if len(name) > PIECE:
        plain = _PLAIN.match(name, 0, 1) and all(map(_PLAIN_REST.fullmatch, pieces(name)))
        return not plain
    return _PLAIN.fullmatch(name) is None or name in _KEYWORDS


def quote_identifier(name: str) -> str:
    """Return a name as it must be written."""
    if not needs_quotes(name):
        return name
    return in_pieces(lambda piece: piece.replace('"', '""'), name, '"', '"')


def split_name(text: str) -> list[str]:
    """Return the parts of a qualified name as written, unquoted ones in lower case.

    Raises SqlError 42602.
    """
    parts, at = [], 0
    while True:
        found = _NAME_PART.match(text, at)
        if found is None:
            raise SqlError("42602", "invalid name syntax")
        quoted, plain, dot = found.groups()
        parts.append(quoted.replace('""', '"') if quoted else plain.lower())
        at = found.end()
        if not dot:
            return parts
