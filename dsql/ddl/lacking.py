"""Kinds of objects that this server does not have: none of a name exists, and PostgreSQL says so first.

A statement about such a kind is refused (0A000) only once its names have passed: `DROP TYPE nosuch` is
42704, and with IF EXISTS it does nothing.
"""

from __future__ import annotations

from typing import Any

from dsql.access.privileges import Kind
from dsql.catalog.schema import Table
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import nodes
from dsql.ddl.lacking_names import CALLED, OF_TABLES, RELATIONS, missing, missing_of_table
from dsql.ddl.naming import find_any, missing_relation
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.securables import find_securables
from dsql.errors import SqlError, unsupported
from dsql.sql.libpg_query import grammar as pg

_TAGS = {
    "OBJECT_FDW": "FOREIGN DATA WRAPPER",
    "OBJECT_FOREIGN_SERVER": "SERVER",
    "OBJECT_MATVIEW": "MATERIALIZED VIEW",
    "OBJECT_OPCLASS": "OPERATOR CLASS",
    "OBJECT_OPFAMILY": "OPERATOR FAMILY",
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
            error = missing(kind, item, context)
            if error is None:
                raise unsupported(f"unsupported object in DROP statement: {word}")
            if not statement.missing_ok or error.sqlstate == "42809":
                raise error
            result.notice("00000", f"{_without_argument_names(kind, item, error)}, skipping")
    return result


def _without_argument_names(kind: str, item: Any, error: SqlError) -> str:
    """Return an error's message as a notice has it: with types by their names in the catalog."""
    if kind in OF_TABLES:
        return error.message.replace(" for table ", " for relation ")
    if kind == "OBJECT_COLLATION":
        return error.message.replace(' for encoding "UTF8"', "")
    if kind not in CALLED or error.sqlstate != "42883":
        return error.message
    call = nodes.inner(item)
    types = ",".join(_written(each.type_name) for each in call.objargs)
    word = kind.removeprefix("OBJECT_").lower()
    return f"{word} {'.'.join(nodes.strings(call.objname))}({types}) does not exist"


def _written(type_name: Any) -> str:
    return ".".join(nodes.strings(type_name.names)) + "[]" * len(type_name.array_bounds)


def check_renamed(statement: Any, context: UtilityContext) -> None:
    """Raise PostgreSQL's error for what a RenameStmt of a lacking kind names."""
    kind = nodes.enum_name(statement, "rename_type")
    if kind == "OBJECT_DATABASE" and statement.subname != context.catalog.database.name:
        raise SqlError("3D000", f'database "{statement.subname}" does not exist')
    if kind == "OBJECT_TABLESPACE":
        find_securables(
            Kind.TABLESPACE, [pg.Node(string=pg.String(sval=statement.subname))], context
        )
    if statement.HasField("relation") and statement.relation.relname:
        found = find_any(context, statement.relation)
        if found is None:
            raise missing_relation(statement.relation)
        if kind in OF_TABLES and not isinstance(found, tuple):
            name = statement.subname
            raise missing_of_table(kind, [*_names_of(found), name], context)
        if kind in RELATIONS:
            raise SqlError("42809", f'"{statement.relation.relname}" is not a {RELATIONS[kind][0]}')
    elif statement.HasField("object"):
        error = missing(kind, statement.object, context)
        if error is not None:
            raise error


def _names_of(relation: Table | VirtualTable) -> list[str]:
    return [relation.schema, relation.name]


def check_owned(statement: Any, context: UtilityContext) -> None:
    """Raise PostgreSQL's error for what an ALTER ... OWNER TO or SET SCHEMA of a lacking kind names."""
    error = missing(nodes.enum_name(statement, "object_type"), statement.object, context)
    if error is not None:
        raise error
