"""What the system's tables and functions tell about views: their texts, and whether rows can be changed.

They are here and not in `dsql.catalog` because a view's query has to be bound for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.context_functions import define
from dsql.catalog.dependencies import rule_address
from dsql.catalog.descriptions import shown_name
from dsql.catalog.information_schema import Sight, changes
from dsql.catalog.names import CatalogNames, view_of
from dsql.catalog.schema import Column, Table
from dsql.catalog.virtual import provides
from dsql.sql.bound_query import Query
from dsql.sql.query_names import TextStyle, relation_of, visible
from dsql.sql.updatable import why_not_assignable, why_not_updatable
from dsql.sql.views import stored_query, view_text
from dsql.types import oids
from dsql.types.identifier import quote_identifier

Row = Mapping[str, Any]

_INSERT, _UPDATE, _DELETE = 8, 4, 16  # bits of CmdType
_EVERY_EVENT = _INSERT | _UPDATE | _DELETE
_SPECIAL = re.compile(r"[ \n\t(){}\\]")
_LIKE_A_NUMBER = re.compile(r'[<"0-9]|[+-][0-9.]')


def definition(context: Any, view: Table, *, is_pretty: bool = False) -> str:
    """Return the text of a view's query as pg_get_viewdef shows it."""
    style = TextStyle(tuple(context.search_path), is_pretty)
    return f"{view_text(view.oid, context.catalog, style)};"


@define("pg_get_viewdef", (oids.OID,), oids.TEXT)
def _pg_get_viewdef(context: Any, oid: int) -> str | None:
    return _text(context, oid, is_pretty=False)


@define("pg_get_viewdef", (oids.OID, oids.BOOL), oids.TEXT)
def _pg_get_viewdef_pretty(context: Any, oid: int, is_pretty: bool) -> str | None:
    return _text(context, oid, is_pretty=is_pretty)


def _text(context: Any, oid: int, *, is_pretty: bool) -> str | None:
    view = context.catalog.tables_by_oid.get(oid)
    if view is None or view.kind not in "vm":
        return None
    return definition(context, view, is_pretty=is_pretty)


@define("pg_get_viewdef", (oids.OID, oids.INT4), oids.TEXT)
def _pg_get_viewdef_wrapped(context: Any, oid: int, width: int) -> str | None:
    del width  # each column has a line of its own
    return _text(context, oid, is_pretty=True)


@define("pg_get_viewdef", (oids.TEXT,), oids.TEXT)
def _pg_get_viewdef_named(context: Any, name: str) -> str | None:
    return _text(context, _oid(context, name), is_pretty=False)


@define("pg_get_viewdef", (oids.TEXT, oids.BOOL), oids.TEXT)
def _pg_get_viewdef_named_pretty(context: Any, name: str, is_pretty: bool) -> str | None:
    return _text(context, _oid(context, name), is_pretty=is_pretty)


def _oid(context: Any, name: str) -> int:
    return CatalogNames(lambda: view_of(context)).oid_of("regclass", name)


@define("pg_get_ruledef", (oids.OID,), oids.TEXT)
def _pg_get_ruledef(context: Any, oid: int) -> str | None:
    return _rule_text(context, oid, is_pretty=False)


@define("pg_get_ruledef", (oids.OID, oids.BOOL), oids.TEXT)
def _pg_get_ruledef_pretty(context: Any, oid: int, is_pretty: bool) -> str | None:
    return _rule_text(context, oid, is_pretty=is_pretty)


def _rule_text(context: Any, oid: int, *, is_pretty: bool) -> str | None:
    """Return the rule that a view is: there are no others."""
    for view in _views(context):
        if rule_address(view).oid == oid:
            name = ".".join(map(quote_identifier, (view.schema, view.name)))
            if is_pretty:
                found = (view.schema, view.name)
                name = shown_name(found, context.catalog, context.search_path)
            text = definition(context, view, is_pretty=is_pretty)
            return f'CREATE RULE "_RETURN" AS\n    ON SELECT TO {name} DO INSTEAD {text}'
    return None


# ---------------------------------------------------------------- what can be changed


def _events(context: Any, view: Table) -> int:
    """Return which of INSERT, UPDATE and DELETE a view takes, as bits."""
    query = stored_query(view, context.catalog)
    if why_not_updatable(query):
        return 0
    below = _below(context, view)
    allowed = _EVERY_EVENT if below is None or below.kind == "r" else _events(context, below)
    return allowed if _assignable(context, view) else allowed & _DELETE


def _below(context: Any, view: Table) -> Table | None:
    """Return the relation that an updatable view is over, None for one of the system's."""
    (entry,) = stored_query(view, context.catalog).range_table[:1]
    return relation_of(entry)


@changes("v")
def _assignable(context: Any, view: Table) -> set[int]:
    query = stored_query(view, context.catalog)
    if why_not_updatable(query):
        return set()
    below = _below(context, view)
    allowed = _assignable(context, below) if below is not None and below.kind == "v" else None
    return {
        column.number
        for column, target in zip(view.live_columns, visible(query), strict=True)
        if not why_not_assignable(target) and (allowed is None or target.number in allowed)
    }


@define("pg_relation_is_updatable", (oids.REGCLASS, oids.BOOL), oids.INT4)
def _pg_relation_is_updatable(context: Any, oid: int, include_triggers: bool) -> int:
    del include_triggers  # there are none
    relation = context.catalog.tables_by_oid.get(oid)
    if relation is None:
        return 0
    if relation.kind == "v":
        return _events(context, relation)
    return _EVERY_EVENT if relation.kind == "r" else 0


@define("pg_column_is_updatable", (oids.REGCLASS, oids.INT2, oids.BOOL), oids.BOOL)
def _pg_column_is_updatable(context: Any, oid: int, number: int, include_triggers: bool) -> bool:
    relation = context.catalog.tables_by_oid.get(oid)
    if relation is None or number <= 0:
        return False
    if relation.kind == "v":
        return number in _assignable(context, relation)
    return bool(_pg_relation_is_updatable(context, oid, include_triggers))


# ---------------------------------------------------------------- tables


def _views(context: Any, kinds: str = "v") -> Iterator[Table]:
    return (table for table in context.catalog.tables.values() if table.kind in kinds)


@provides("pg_catalog", "pg_views")
def _pg_views(context: Any) -> Iterator[Row]:
    owners = {role.oid: role.name for role in context.catalog.roles.values()}
    for view in _views(context):
        yield {
            "schemaname": view.schema,
            "viewname": view.name,
            "viewowner": owners.get(view.owner_oid),
            "definition": definition(context, view),
        }


@provides("pg_catalog", "pg_matviews")
def _pg_matviews(context: Any) -> Iterator[Row]:
    owners = {role.oid: role.name for role in context.catalog.roles.values()}
    for view in _views(context, "m"):
        yield {
            "schemaname": view.schema,
            "matviewname": view.name,
            "matviewowner": owners.get(view.owner_oid),
            "hasindexes": bool(view.indexes),
            "ispopulated": view.populated,
            "definition": definition(context, view),
        }


@provides("pg_catalog", "pg_rewrite")
def _pg_rewrite(context: Any) -> Iterator[Row]:
    for view in _views(context, "vm"):
        yield {
            "oid": rule_address(view).oid,
            "rulename": "_RETURN",
            "ev_class": view.oid,
            "ev_type": "1",
            "ev_enabled": "O",
            "is_instead": True,
            "ev_qual": "<>",
            "ev_action": _action(stored_query(view, context.catalog)),
        }


def _action(query: Query) -> str:
    """Return a view's query as a tree of PostgreSQL's nodes, of which only the output columns are told.

    PostgREST finds by them what a view's columns are called in its tables (resorigtbl, resorigcol).
    """
    entries = " ".join(
        f"{{TARGETENTRY :expr <> :resno {number} :resname {_token(target.name)} :ressortgroupref 0"
        f" :resorigtbl {target.table_oid} :resorigcol {target.number} :resjunk false}}"
        for number, target in enumerate(visible(query), 1)
    )
    return f"({{QUERY :commandType 1 :querySource 0 :targetList ({entries}) :jointree <>}})"


def _token(name: str) -> str:
    """Return a name as PostgreSQL's nodes have it (outToken): nothing of it is read as a node's end."""
    escaped = _SPECIAL.sub(r"\\\g<0>", name)
    return "\\" + escaped if _LIKE_A_NUMBER.match(name) else escaped


@provides("information_schema", "views")
def _information_views(context: Any) -> Iterator[Row]:
    sight = Sight(context)
    for view in _views(context):
        if sight.table(view):
            events = _events(context, view)
            yield {
                "table_catalog": context.catalog.database.name,
                "table_schema": view.schema,
                "table_name": view.name,
                "view_definition": definition(context, view) if sight.owned(view) else None,
                "check_option": dict(view.options).get("check_option", "none").upper(),
                "is_updatable": "YES" if events & _UPDATE and events & _DELETE else "NO",
                "is_insertable_into": "YES" if events & _INSERT else "NO",
                "is_trigger_updatable": "NO",
                "is_trigger_deletable": "NO",
                "is_trigger_insertable_into": "NO",
            }


def _reads(context: Any) -> Iterator[tuple[Table, Table, Column | None]]:
    """Yield (view, relation, column) for what views read of the user's relations; None: just the rows."""
    sight = Sight(context)
    for view in _views(context):
        for use in view.uses:
            relation = context.catalog.tables_by_oid.get(use.oid)
            if relation is not None and sight.owned(relation):
                column = relation.columns[use.column - 1] if use.column else None
                yield view, relation, column


def _pair(context: Any, view: Table, relation: Table) -> dict[str, Any]:
    database = context.catalog.database.name
    return {
        "view_catalog": database,
        "view_schema": view.schema,
        "view_name": view.name,
        "table_catalog": database,
        "table_schema": relation.schema,
        "table_name": relation.name,
    }


@provides("information_schema", "view_table_usage")
def _view_table_usage(context: Any) -> Iterator[Row]:
    pairs = {(view.oid, relation.oid): (view, relation) for view, relation, _ in _reads(context)}
    for view, relation in pairs.values():
        yield _pair(context, view, relation)


@provides("information_schema", "view_column_usage")
def _view_column_usage(context: Any) -> Iterator[Row]:
    for view, relation, column in _reads(context):
        if column is not None:
            yield _pair(context, view, relation) | {"column_name": column.name}
