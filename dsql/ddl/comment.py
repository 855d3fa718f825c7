"""COMMENT: who may comment on what. Comments themselves are not kept, so what passes is refused (0A000)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dsql.access.privileges import Kind
from dsql.access.requirements import Ownership, Refusal, Requirement
from dsql.catalog.schema import Table
from dsql.ddl import nodes
from dsql.ddl.lacking_names import Name, missing
from dsql.ddl.naming import Found, find_any, missing_relation, no_column, ownership
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import require_role
from dsql.ddl.securables import KINDS, find_securables, kind_of
from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement
from dsql.sql.libpg_query import grammar as pg

_RELATIONS = {
    "OBJECT_FOREIGN_TABLE": ("f", "a foreign table"),
    "OBJECT_INDEX": ("i", "an index"),
    "OBJECT_MATVIEW": ("m", "a materialized view"),
    "OBJECT_SEQUENCE": ("S", "a sequence"),
    "OBJECT_TABLE": ("r", "a table"),
    "OBJECT_VIEW": ("v", "a view"),
}


def comment_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a CommentStmt needs: to own the object. Raises the error of one that does not exist."""
    statement = parsed.node
    kind = nodes.enum_name(statement, "objtype")
    item = statement.object
    if kind in _RELATIONS:
        yield ownership(_relation_of_kind(kind, nodes.strings(item.list.items), context))
    elif kind == "OBJECT_COLUMN":
        yield _of_relation(_relation_of_column(nodes.strings(item.list.items), context))
    elif kind == "OBJECT_TABCONSTRAINT":
        yield _of_relation(_relation_of_constraint(nodes.strings(item.list.items), context))
    elif kind == "OBJECT_ROLE":
        yield from _role(item.string.sval, context)
    elif kind in ("OBJECT_DOMAIN", "OBJECT_TYPE"):
        yield _securable(kind, pg.Node(list=pg.List(items=item.type_name.names)), context)
    elif kind == "OBJECT_DOMCONSTRAINT":
        yield _securable(
            "OBJECT_DOMAIN",
            pg.Node(list=pg.List(items=item.list.items[0].type_name.names)),
            context,
        )
    elif kind in KINDS and kind != "OBJECT_DATABASE":
        yield _securable(kind, item, context)
    elif kind == "OBJECT_DATABASE":
        database = context.catalog.database
        if item.string.sval == database.name:  # PostgreSQL only warns of others
            yield Ownership(Kind.DATABASE, database.name, database.owner_oid)
    elif (error := missing(kind, item, context)) is not None:
        raise error


def comment(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Refuse a CommentStmt."""
    del parsed, context
    raise unsupported("unsupported statement: Comment")


def _securable(kind: str, item: Any, context: UtilityContext) -> Ownership:
    (found,) = find_securables(KINDS[kind], [item], context)
    return Ownership(kind_of(found), found.name, found.owner_oid)


def _of_relation(found: Found) -> Ownership:
    """Return what somebody needs who comments on a part of a relation."""
    return replace(ownership(found), kind=Kind.COLUMN)


def _relation(names: list[str], context: UtilityContext) -> Found:
    found = find_any(context, Name(names))
    if found is None:
        raise missing_relation(Name(names))
    return found


def _relation_of_kind(kind: str, names: list[str], context: UtilityContext) -> Found:
    found = _relation(names, context)
    letter, words = _RELATIONS[kind]
    if letter != ("i" if isinstance(found, tuple) else found.kind):
        raise SqlError("42809", f'"{names[-1]}" is not {words}')
    return found


def _relation_of_column(names: list[str], context: UtilityContext) -> Found:
    found = _relation(names[:-1], context)
    if isinstance(found, Table):
        columns = (*found.system_columns, *found.live_columns)
        if names[-1] not in [column.name for column in columns]:
            raise no_column(".".join(names[:-1]), names[-1])
    return found


def _relation_of_constraint(names: list[str], context: UtilityContext) -> Found:
    found = _relation(names[:-1], context)
    if isinstance(found, Table):
        constraints = {check.name for check in found.checks}
        constraints |= {index.constraint for index in found.indexes if index.constraint}
        if names[-1] not in constraints:
            message = f'constraint "{names[-1]}" for table "{found.name}" does not exist'
            raise SqlError("42704", message)
    return found


def _role(name: str, context: UtilityContext) -> Iterator[Requirement]:
    role = require_role(context.catalog, name)
    administered = context.user.createrole and context.authority.administers(role.oid)
    if not administered:
        detail = f'The current user must have the ADMIN option on role "{name}".'
        yield Refusal(SqlError("42501", "permission denied", detail=detail))
