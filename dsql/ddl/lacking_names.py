"""Looks for objects of kinds that this server does not have, in order to miss them as PostgreSQL does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dsql.catalog.schema import Table
from dsql.ddl import nodes
from dsql.ddl.naming import (
    KIND_NAMES,
    find_any,
    find_relation,
    missing_relation,
    schemas_to_search,
    wrong_kind,
)
from dsql.ddl.result import UtilityContext
from dsql.ddl.securables import KINDS, find_securables
from dsql.errors import SqlError
from dsql.functions.registry import cast, operators
from dsql.sql.type_names import type_oid_and_typmod
from dsql.types import registry

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
RELATIONS = {
    "OBJECT_FOREIGN_TABLE": ("foreign table", "42704"),
    "OBJECT_MATVIEW": ("materialized view", "42P01"),
    "OBJECT_SEQUENCE": ("sequence", "42P01"),
    "OBJECT_VIEW": ("view", "42P01"),
}
OF_TABLES = {"OBJECT_POLICY": "policy", "OBJECT_RULE": "rule", "OBJECT_TRIGGER": "trigger"}
CALLED = frozenset(("OBJECT_AGGREGATE", "OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE"))


def missing(kind: str, item: Any, context: UtilityContext) -> SqlError | None:
    """Return the error of a name of a kind, None if it is one of the system's objects."""
    try:
        if kind in RELATIONS:
            return _missing_of_relations(kind, nodes.strings(nodes.inner(item).items), context)
        if kind in OF_TABLES:
            return missing_of_table(kind, nodes.strings(nodes.inner(item).items), context)
        if kind in _NAMED:
            return _missing_by_name(kind, item, context)
        if kind in _CONNECTING:
            return _CONNECTING[kind](nodes.inner(item))
        if kind in _OF_METHODS:
            return _missing_of_method(kind, nodes.strings(nodes.inner(item).items), context)
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
    word, sqlstate = RELATIONS[kind]
    found = find_any(context, Name(names))
    if found is None:
        return SqlError(sqlstate, f'{word} "{names[-1]}" does not exist')
    letter = found.kind if isinstance(found, Table) else "i" if isinstance(found, tuple) else "r"
    return wrong_kind(names[-1], word, KIND_NAMES[letter])


def missing_of_table(kind: str, names: list[str], context: UtilityContext) -> SqlError:
    """Return the error of a trigger, rule or policy, or of the table in its qualified name."""
    relation = Name(names[:-1])
    found = find_relation(context, relation)
    if found is None:
        return missing_relation(relation)
    of = "relation" if kind == "OBJECT_RULE" else "table"
    message = f'{OF_TABLES[kind]} "{names[-1]}" for {of} "{found.name}" does not exist'
    return SqlError("42704", message)


class Name:
    """A relation's name as a RangeVar has it."""

    def __init__(self, names: list[str]) -> None:
        self.relname = names[-1]
        self.schemaname = names[-2] if len(names) > 1 else ""


def type_of(type_name: Any) -> int:
    """Return the OID of a TypeName node. Raises SqlError 42704, 0A000."""
    names = nodes.strings(type_name.names)
    return type_oid_and_typmod(names, [], len(type_name.array_bounds))[0]


def _missing_operator(item: Any) -> SqlError | None:
    """Look an operator up by its name and its operands' types; a prefix one lacks the first."""
    left, right = (
        type_of(operand.type_name) if operand.HasField("type_name") else 0
        for operand in item.objargs
    )
    names = nodes.strings(item.objname)
    for known in operators(names[-1]):
        if (known.left_type, known.right_type) == (left, right) and names[:-1] in _SYSTEM:
            return None
    operands = [registry.get(oid).sql_name if oid else "" for oid in (left, right)]
    shown = f"{operands[0]} {'.'.join(names)} {operands[1]}".strip()
    return SqlError("42883", f"operator does not exist: {shown}")


def _missing_cast(item: Any) -> SqlError | None:
    source, target = (type_of(each.type_name) for each in item.items)
    if cast(source, target) is not None:
        return None
    shown = f"from type {registry.get(source).sql_name} to type {registry.get(target).sql_name}"
    return SqlError("42704", f"cast {shown} does not exist")


def _missing_transform(item: Any) -> SqlError:
    type_name, language = item.items
    oid = type_of(type_name.type_name)
    check_language(language.string.sval)
    shown = f'type {registry.get(oid).sql_name} language "{language.string.sval}"'
    return SqlError("42704", f"transform for {shown} does not exist")


def check_language(name: str) -> None:
    """Raise SqlError 42704 for a language that PostgreSQL has not got either."""
    if name.lower() not in _LANGUAGES:
        raise SqlError("42704", f'language "{name}" does not exist')


def check_access_method(name: str) -> None:
    """Raise SqlError 42704 for an access method that PostgreSQL has not got either."""
    if name not in _ACCESS_METHODS:
        raise SqlError("42704", f'access method "{name}" does not exist')


def _missing_of_method(kind: str, names: list[str], context: UtilityContext) -> SqlError | None:
    """Look an operator class or family up: the access method comes before its name."""
    method, *name = names
    check_access_method(method)
    if len(name) > 1:
        schemas_to_search(context, name[-2])
    if name[:-1] in _SYSTEM and name[-1].endswith("_ops"):
        return None
    shown = f'{_OF_METHODS[kind]} "{".".join(name)}"'
    return SqlError("42704", f'{shown} does not exist for access method "{method}"')


_SYSTEM: Iterable[list[str]] = ([], ["pg_catalog"])  # how what the system has is qualified
_LANGUAGES = frozenset(("c", "internal", "plpgsql", "sql"))
_ACCESS_METHODS = frozenset(("brin", "btree", "gin", "gist", "hash", "heap", "spgist"))
_OF_METHODS = {"OBJECT_OPCLASS": "operator class", "OBJECT_OPFAMILY": "operator family"}
_CONNECTING: dict[str, Callable[[Any], SqlError | None]] = {
    "OBJECT_CAST": _missing_cast,
    "OBJECT_OPERATOR": _missing_operator,
    "OBJECT_TRANSFORM": _missing_transform,
}
