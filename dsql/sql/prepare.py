"""PREPARE as the grammar gate has parsed it: the statement that it keeps, and its parameters' types."""

from __future__ import annotations

from dsql.sql.gate import ParsedStatement, parse_statement
from dsql.sql.libpg_query import grammar, scan
from dsql.sql.type_names import type_oid_and_typmod
from dsql.types import oids


def kept_statement(parsed: ParsedStatement) -> ParsedStatement:
    """Return the statement behind AS, with its own text and at its place in the script."""
    encoded = parsed.text.encode()
    start = next(token.end for token in scan(parsed.text) if token.token == grammar.AS)
    before = len(encoded[:start].decode())
    kept = parse_statement(parsed.text[before:])
    kept.move(parsed.offset + before)
    return kept


def declared_types(parsed: ParsedStatement) -> tuple[int, ...]:
    """Return the parameters' type OIDs as far as they are given, 0 for "unknown".

    Raises SqlError 42704, 0A000.
    """
    found = []
    for wrapped in parsed.node.argtypes:
        node = wrapped.type_name
        names = [part.string.sval for part in node.names]
        position = parsed.position(node.location)
        oid, _ = type_oid_and_typmod(names, [], len(node.array_bounds), position)
        found.append(0 if oid == oids.UNKNOWN else oid)
    return tuple(found)
