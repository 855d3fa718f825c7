"""COMMENT ON: who may comment on what. The text is kept with the object, of a part with its relation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from dsql.access.privileges import Kind
from dsql.access.requirements import Ownership, Refusal, Requirement
from dsql.catalog.dependencies import PG_CLASS, PG_CONSTRAINT, Address
from dsql.catalog.domain_text import domain_name
from dsql.catalog.extended_statistics import Found as StatisticsFound
from dsql.catalog.schema import (
    Database,
    Domain,
    PartComment,
    Role,
    Schema,
    SqlFunction,
    Table,
    UserType,
)
from dsql.catalog.store import CatalogWriter
from dsql.catalog.user_types import user_type_name
from dsql.ddl import nodes, statistics
from dsql.ddl.lacking_names import Name, missing
from dsql.ddl.naming import KIND_NAMES, Found, find_any, missing_relation, no_column, ownership
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import require_role
from dsql.ddl.securables import KINDS, find_securables, kind_of
from dsql.ddl.statistics import STATISTICS
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
# What is commented on: an object with a `comment`, or a part of a table.
_Subject = (
    Table | Schema | Role | Database | SqlFunction | Domain | UserType | tuple[Table, Address]
)


def comment_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what a CommentStmt needs: to own the object. Raises the error of one that does not exist."""
    kind, item = nodes.enum_name(parsed.node, "objtype"), parsed.node.object
    if kind == "OBJECT_DATABASE":
        database = context.catalog.database
        if item.string.sval == database.name:  # PostgreSQL only warns of others
            yield Ownership(Kind.DATABASE, database.name, database.owner_oid)
    elif kind == "OBJECT_ROLE":
        yield from _role(item.string.sval, context)
    elif kind in _RELATIONS:
        yield ownership(_relation_of_kind(kind, nodes.strings(item.list.items), context))
    elif kind in _PARTS:
        names = nodes.strings(item.list.items)
        found = _relation(names[:-1], context)
        _PARTS[kind](found, names)
        need = ownership(found)
        yield Ownership(Kind.COLUMN, need.name, need.owner_oid, need.others)
    elif kind == STATISTICS:
        named = ".".join(nodes.strings(item.list.items))
        yield statistics.own(_statistics(item, context), named)
    elif (securable := _securable_node(kind, item)) is not None:
        (owned,) = find_securables(KINDS[securable[0]], [securable[1]], context)
        yield Ownership(kind_of(owned), _called(owned, securable[1], context), owned.owner_oid)
    elif (error := missing(kind, item, context)) is not None:
        raise error


def comment(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a CommentStmt; no text, or an empty one, takes the comment away."""
    result = UtilityResult("COMMENT")
    kind, item = nodes.enum_name(parsed.node, "objtype"), parsed.node.object
    if kind == "OBJECT_DATABASE" and item.string.sval != context.catalog.database.name:
        message = f'database "{item.string.sval}" does not exist'
        result.notice("3D000", message, severity="WARNING")
        return result
    writer = CatalogWriter(context.transaction)
    _write(_subject(kind, item, context), parsed.node.comment or None, context, writer)
    return result


def _subject(kind: str, item: Any, context: UtilityContext) -> _Subject:
    """Return what a CommentStmt is about. Raises SqlError 0A000 for a kind that nobody can own."""
    if kind == "OBJECT_ROLE":
        return require_role(context.catalog, item.string.sval)
    if kind in _RELATIONS:
        found = _relation_of_kind(kind, nodes.strings(item.list.items), context)
        if isinstance(found, tuple):
            return found[0], Address(PG_CLASS, found[1].oid)
        assert isinstance(found, Table), "nobody owns a table of the system"
        return found
    if kind in _PARTS:
        names = nodes.strings(item.list.items)
        table = _relation(names[:-1], context)
        address = _PARTS[kind](table, names)
        assert isinstance(table, Table), "nobody owns a table of the system"
        assert address is not None, "parts of tables have one"
        return table, address
    if kind == STATISTICS:
        of_table = _statistics(item, context)
        return of_table[0], statistics.address(of_table)
    securable = _securable_node(kind, item)
    if securable is None:
        raise unsupported("unsupported statement: Comment")
    (owned,) = find_securables(KINDS[securable[0]], [securable[1]], context)
    if not isinstance(owned, Table | Schema | Database | SqlFunction | Domain | UserType):
        raise unsupported("unsupported statement: Comment")
    return owned


def _write(
    subject: _Subject, text: str | None, context: UtilityContext, writer: CatalogWriter
) -> None:
    match subject:
        case (table, about):
            kept = tuple(
                each
                for each in table.part_comments
                if Address(each.class_oid, each.oid, each.column) != about
            )
            added = (PartComment(*about, text),) if text is not None else ()
            writer.put_table(replace(table, part_comments=(*kept, *added)))
        case Role():
            writer.put_role(replace(subject, comment=text))
        case _:
            writer.put_securable(replace(subject, comment=text), context.catalog)


def _securable_node(kind: str, item: Any) -> tuple[str, Any] | None:
    """Return the kind of an object that has an owner, and its name as GRANT has it."""
    if kind in ("OBJECT_DOMAIN", "OBJECT_TYPE"):
        return kind, pg.Node(list=pg.List(items=item.type_name.names))
    if kind == "OBJECT_DOMCONSTRAINT":
        names = item.list.items[0].type_name.names
        return "OBJECT_DOMAIN", pg.Node(list=pg.List(items=names))
    return (kind, item) if kind in KINDS else None


def _called(owned: Any, node: Any, context: UtilityContext) -> str:
    """Return what an object is called by who lacks the right: a function as it was written."""
    if isinstance(owned, Domain):
        return domain_name(owned, context.catalog, context.search_path)
    if isinstance(owned, UserType):
        return user_type_name(owned, context.catalog, context.search_path)
    if node.WhichOneof("node") == "object_with_args":
        return ".".join(nodes.strings(node.object_with_args.objname))
    name: str = owned.name
    return name


def _statistics(item: Any, context: UtilityContext) -> StatisticsFound:
    return statistics.require(context, nodes.strings(item.list.items))


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


def _column(found: Found, names: list[str]) -> Address | None:
    """Return the address of a column. Raises SqlError 42703, 42809 for one of an index or a sequence."""
    kind = "i" if isinstance(found, tuple) else found.kind
    if kind in "iS":
        raise SqlError(
            "42809",
            f'cannot set comment on relation "{names[-2]}"',
            detail=f"This operation is not supported for {_PLURALS[kind]}.",
        )
    if not isinstance(found, Table):
        return None
    columns = {c.name: c.number for c in (*found.system_columns, *found.live_columns)}
    if names[-1] not in columns:
        raise no_column(".".join(names[:-1]), names[-1])
    return Address(PG_CLASS, found.oid, columns[names[-1]])


_PLURALS = {"i": "indexes", "S": f"{KIND_NAMES['S']}s"}


def _constraint(found: Found, names: list[str]) -> Address | None:
    """Return the address of a constraint. Raises SqlError 42704."""
    if not isinstance(found, Table):
        return None
    constraints = {check.name: check.oid for check in found.checks}
    constraints |= {key.name: key.oid for key in found.foreign_keys}
    constraints |= {i.constraint: i.constraint_oid for i in found.indexes if i.constraint}
    if names[-1] not in constraints:
        message = f'constraint "{names[-1]}" for table "{found.name}" does not exist'
        raise SqlError("42704", message)
    return Address(PG_CONSTRAINT, constraints[names[-1]])


_PARTS: dict[str, Callable[[Found, list[str]], Address | None]] = {
    "OBJECT_COLUMN": _column,
    "OBJECT_TABCONSTRAINT": _constraint,
}


def _role(name: str, context: UtilityContext) -> Iterator[Requirement]:
    role = require_role(context.catalog, name)
    administered = context.user.createrole and context.authority.administers(role.oid)
    if not administered:
        detail = f'The current user must have the ADMIN option on role "{name}".'
        yield Refusal(SqlError("42501", "permission denied", detail=detail))
