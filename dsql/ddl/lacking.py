"""Kinds of objects that this server does not have: none of a name exists, and PostgreSQL says so first.

A statement about such a kind is refused (0A000) only once its names have passed: `DROP TYPE nosuch` is
42704, and with IF EXISTS it does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dsql.catalog.schema import Table
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import nodes
from dsql.ddl.naming import (
    KIND_NAMES,
    find_any,
    find_relation,
    missing_relation,
    schemas_to_search,
    wrong_kind,
)
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.securables import KINDS, find_securables
from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement
from dsql.sql.type_names import type_oid_and_typmod

_NAMED = {
    "OBJECT_ACCESS_METHOD": "access method",
    "OBJECT_COLLATION": "collation",
    "OBJECT_CONVERSION": "conversion",
    "OBJECT_EVENT_TRIGGER": "event trigger",
    "OBJECT_EXTENSION": "extension",
    "OBJECT_FDW": "foreign-data wrapper",
    "OBJECT_FOREIGN_SERVER": "server",
    "OBJECT_PUBLICATION": "publication",
    "OBJECT_STATISTIC_EXT": "statistics object",
    "OBJECT_SUBSCRIPTION": "subscription",
    "OBJECT_TSCONFIGURATION": "text search configuration",
    "OBJECT_TSDICTIONARY": "text search dictionary",
    "OBJECT_TSPARSER": "text search parser",
    "OBJECT_TSTEMPLATE": "text search template",
}
_RELATIONS = {
    "OBJECT_FOREIGN_TABLE": ("foreign table", "42704"),
    "OBJECT_MATVIEW": ("materialized view", "42P01"),
    "OBJECT_SEQUENCE": ("sequence", "42P01"),
    "OBJECT_VIEW": ("view", "42P01"),
}
_OF_TABLES = {"OBJECT_POLICY": "policy", "OBJECT_RULE": "rule", "OBJECT_TRIGGER": "trigger"}
_CALLED = frozenset(("OBJECT_AGGREGATE", "OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE"))
_TAGS = {
    "OBJECT_FDW": "FOREIGN DATA WRAPPER",
    "OBJECT_FOREIGN_SERVER": "SERVER",
    "OBJECT_MATVIEW": "MATERIALIZED VIEW",
    "OBJECT_STATISTIC_EXT": "STATISTICS",
    "OBJECT_TSCONFIGURATION": "TEXT SEARCH CONFIGURATION",
    "OBJECT_TSDICTIONARY": "TEXT SEARCH DICTIONARY",
    "OBJECT_TSPARSER": "TEXT SEARCH PARSER",
    "OBJECT_TSTEMPLATE": "TEXT SEARCH TEMPLATE",
}


def drop_of_nothing(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a DropStmt of a kind that is lacking: it can only be IF EXISTS.

    Raises the error of a name that does not exist, and SqlError 0A000 for what is the system's.
    """
    kind = nodes.enum_name(statement, "remove_type")
    word = kind.removeprefix("OBJECT_")
    result = UtilityResult(f"DROP {_TAGS.get(kind, word.replace('_', ' '))}")
    with result.told():
        for item in statement.objects:
            error = _missing(kind, item, context)
            if error is None:
                raise unsupported(f"unsupported object in DROP statement: {word}")
            if not statement.missing_ok or error.sqlstate == "42809":
                raise error
            result.notice("00000", f"{_without_argument_names(kind, item, error)}, skipping")
    return result


def _without_argument_names(kind: str, item: Any, error: SqlError) -> str:
    """Return an error's message as a notice has it: with types by their names in the catalog."""
    if kind in _OF_TABLES:
        return error.message.replace(" for table ", " for relation ")
    if kind == "OBJECT_COLLATION":
        return error.message.replace(' for encoding "UTF8"', "")
    if kind not in _CALLED or error.sqlstate != "42883":
        return error.message
    call = nodes.inner(item)
    types = ",".join(_written(each.type_name) for each in call.objargs)
    word = kind.removeprefix("OBJECT_").lower()
    return f"{word} {'.'.join(nodes.strings(call.objname))}({types}) does not exist"


def _written(type_name: Any) -> str:
    return ".".join(nodes.strings(type_name.names)) + "[]" * len(type_name.array_bounds)


def _missing(kind: str, item: Any, context: UtilityContext) -> SqlError | None:
    """Return the error of a name of a kind, None if it is one of the system's objects."""
    try:
        if kind in _RELATIONS:
            return _missing_of_relations(kind, nodes.strings(nodes.inner(item).items), context)
        if kind in _OF_TABLES:
            return _missing_of_table(kind, nodes.strings(nodes.inner(item).items), context)
        if kind in _NAMED:
            return _missing_by_name(kind, item, context)
        if kind in ("OBJECT_DOMAIN", "OBJECT_TYPE"):
            return _missing_type(_type_names(item), context)
        securable = "OBJECT_FUNCTION" if kind == "OBJECT_AGGREGATE" else kind
        if securable in KINDS:
            find_securables(KINDS[securable], [item], context)
    except SqlError as error:
        if kind == "OBJECT_AGGREGATE":
            error.message = error.message.replace("function", "aggregate", 1)
        return error
    return None


def _type_names(item: Any) -> list[str]:
    """Return the parts of a type's name: DROP TYPE has a TypeName, ALTER TYPE a list."""
    found = nodes.inner(item)
    return nodes.strings(found.names if nodes.kind(item) == "type_name" else found.items)


def _missing_type(names: list[str], context: UtilityContext) -> SqlError | None:
    if len(names) > 1:
        schemas_to_search(context, names[-2])
    try:
        type_oid_and_typmod(names, [])
    except SqlError as error:
        return error if error.sqlstate == "42704" else None
    return None


def _missing_by_name(kind: str, item: Any, context: UtilityContext) -> SqlError:
    found = nodes.inner(item)
    names = nodes.strings(found.items) if nodes.kind(item) == "list" else [found.sval]
    if len(names) > 1:
        schemas_to_search(context, names[-2])
    encoding = ' for encoding "UTF8"' if kind == "OBJECT_COLLATION" else ""
    return SqlError("42704", f'{_NAMED[kind]} "{names[-1]}"{encoding} does not exist')


def _missing_of_relations(kind: str, names: list[str], context: UtilityContext) -> SqlError:
    word, sqlstate = _RELATIONS[kind]
    found = find_any(context, _Name(names))
    if found is None:
        return SqlError(sqlstate, f'{word} "{names[-1]}" does not exist')
    letter = found.kind if isinstance(found, Table) else "i" if isinstance(found, tuple) else "r"
    return wrong_kind(names[-1], word, KIND_NAMES[letter])


def _missing_of_table(kind: str, names: list[str], context: UtilityContext) -> SqlError:
    relation = _Name(names[:-1])
    found = find_relation(context, relation)
    if found is None:
        return missing_relation(relation)
    of = "relation" if kind == "OBJECT_RULE" else "table"
    message = f'{_OF_TABLES[kind]} "{names[-1]}" for {of} "{found.name}" does not exist'
    return SqlError("42704", message)


class _Name:
    """A relation's name as a RangeVar has it."""

    def __init__(self, names: list[str]) -> None:
        self.relname = names[-1]
        self.schemaname = names[-2] if len(names) > 1 else ""


def check_names(parsed: ParsedStatement, context: UtilityContext) -> None:
    """Raise PostgreSQL's error for what a statement names that does not exist.

    It is for statements that are refused whatever they name.
    """
    for field in _FIELDS.get(parsed.name, ()):
        value = getattr(parsed.node, field)
        for relation in _relations(value):
            if relation.relname and find_any(context, relation) is None:
                raise missing_relation(relation)
    named = _NAMES.get(parsed.name)
    if named is not None:
        sqlstate, word, name = named(parsed.node)
        raise SqlError(sqlstate, f'{word} "{name}" does not exist')


def _relations(value: Any) -> Iterator[Any]:
    if hasattr(value, "relname"):
        yield value
        return
    for item in value:
        if nodes.kind(item) == "range_var":
            yield item.range_var


# Fields of statements that name relations, and statements that name what cannot exist.
_FIELDS = {
    "AlterSeq": ("sequence",),
    "Cluster": ("relation",),
    "CreatePolicy": ("table",),
    "CreateStats": ("relations",),
    "CreateTrig": ("relation",),
    "RefreshMatView": ("relation",),
    "Reindex": ("relation",),
    "Rule": ("relation",),
}
_NAMES: dict[str, Callable[[Any], tuple[str, str, str]]] = {
    "AlterDomain": lambda node: ("42704", "type", nodes.strings(node.type_name)[-1]),
    "AlterEnum": lambda node: ("42704", "type", nodes.strings(node.type_name)[-1]),
    "AlterExtension": lambda node: ("42704", "extension", node.extname),
    "DropSubscription": lambda node: ("42704", "subscription", node.subname),
    "DropTableSpace": lambda node: ("42704", "tablespace", node.tablespacename),
    "DropUserMapping": lambda node: ("42704", "server", node.servername),
    "Execute": lambda node: ("26000", "prepared statement", node.name),
    "ImportForeignSchema": lambda node: ("42704", "server", node.server_name),
}


def check_renamed(statement: Any, context: UtilityContext) -> None:
    """Raise PostgreSQL's error for what a RenameStmt of a lacking kind names."""
    kind = nodes.enum_name(statement, "rename_type")
    if kind == "OBJECT_DATABASE" and statement.subname != context.catalog.database.name:
        raise SqlError("3D000", f'database "{statement.subname}" does not exist')
    if statement.HasField("relation") and statement.relation.relname:
        found = find_any(context, statement.relation)
        if found is None:
            raise missing_relation(statement.relation)
        if kind in _OF_TABLES and not isinstance(found, tuple):
            name = statement.subname
            raise _missing_of_table(kind, [*_names_of(found), name], context)
        if kind in _RELATIONS:
            raise SqlError(
                "42809", f'"{statement.relation.relname}" is not a {_RELATIONS[kind][0]}'
            )
    elif statement.HasField("object"):
        error = _missing(kind, statement.object, context)
        if error is not None:
            raise error


def _names_of(relation: Table | VirtualTable) -> list[str]:
    return [relation.schema, relation.name]


def check_owned(statement: Any, context: UtilityContext) -> None:
    """Raise PostgreSQL's error for what an AlterOwnerStmt of a lacking kind names."""
    error = _missing(nodes.enum_name(statement, "object_type"), statement.object, context)
    if error is not None:
        raise error
