"""CREATE SCHEMA with statements in it: they run in the new schema, as its owner (schemacmds.c)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dsql.ddl import execute as ddl
from dsql.ddl.nodes import inner, kind
from dsql.ddl.result import UtilityResult
from dsql.ddl.schemas import schema_name
from dsql.errors import SqlError
from dsql.session.state import SessionState
from dsql.sql.gate import ParsedStatement
from dsql.sql.refusals import check_statement
from dsql.types.identifier import quote_identifier

# By kind, in the order in which they run: the name of the statement, the field with what it makes.
_ELEMENTS = {
    "create_seq_stmt": ("CreateSeq", "sequence"),
    "create_stmt": ("Create", "relation"),
    "view_stmt": ("View", "view"),
    "index_stmt": ("Index", "relation"),
    "create_trig_stmt": ("CreateTrig", "relation"),
    "grant_stmt": ("Grant", ""),
}


def run_elements(parsed: ParsedStatement, result: UtilityResult, state: SessionState) -> None:
    """Run what a CreateSchemaStmt has made its schema with, and add the notices to its result.

    Raises SqlError 42P15 for an element of another schema, and whatever an element raises.
    """
    name = schema_name(parsed.node, state.context)
    elements = list(_elements(parsed, name))
    state.block.forget_catalog()
    schema = state.context.catalog.schemas[name]
    path = ", ".join(quote_identifier(each) for each in (name, *state.settings.search_path))
    with state.settings.within(schema.owner_oid, (("search_path", path),)):
        for element in elements:
            check_statement(element, state.settings.profile)
            utility = ddl.UTILITIES[element.name]
            found = utility.run(element, state.context, state.context.authority)
            result.notices += found.notices
            state.block.forget_catalog()


def _elements(parsed: ParsedStatement, schema: str) -> Iterator[ParsedStatement]:
    order = list(_ELEMENTS)
    for wrapped in sorted(parsed.node.schema_elts, key=lambda each: order.index(kind(each))):
        name, made = _ELEMENTS[kind(wrapped)]
        node = inner(wrapped)
        if made:
            node = _placed(node, made, schema)
        yield replace(parsed, node=node, name=name)


def _placed(node: Any, made: str, schema: str) -> Any:
    """Return a statement with the schema in the name of what it makes."""
    written = getattr(node, made).schemaname
    if written not in ("", schema):
        message = (
            f"CREATE specifies a schema ({written}) different from the one being created ({schema})"
        )
        raise SqlError("42P15", message)
    copied = type(node)()
    copied.CopyFrom(node)
    getattr(copied, made).schemaname = schema
    return copied
