"""The bodies of functions as text: as the catalog keeps those that no string holds, and as they are shown.

Kept, they name everything with its schema and arguments as $n, so that they mean the same whoever reads
them. What changes data has no such text: it is kept and shown as it was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.context_functions import define
from dsql.catalog.function_text import body_text, function_definition
from dsql.catalog.schema import SqlFunction
from dsql.errors import SqlError
from dsql.functions.function import Aggregate, Function
from dsql.functions.registry import by_oid
from dsql.sql.bound_query import Query
from dsql.sql.function_bodies import arguments_of, bind_body
from dsql.sql.query_names import TextStyle
from dsql.sql.query_text import query_text, statement_text, value_text
from dsql.sql.sql_functions import callee_of
from dsql.types import oids
from dsql.types.type import FormatSettings


def kept_body(function: SqlFunction, catalog: Catalog, names: Catalog) -> str:
    """Return the body of a function of `catalog` as it is kept, with the names of `names`."""
    queries = _queries(function, catalog)
    if queries is None:
        return function.body
    style = TextStyle()
    if function.form == "r":
        return f"SELECT {value_text(queries[0], names, style)}"
    return "\n ".join(f"{query_text(query, names, style).strip()};" for query in queries)


def _queries(function: SqlFunction, catalog: Catalog) -> Sequence[Query] | None:
    """Return a body's queries as they were written, None if one is no query or has no meaning any more."""
    implementation: Any = callee_of(function, catalog).implementation
    try:
        statements = bind_body(
            implementation,
            catalog,
            (),
            FormatSettings(),
            authority=None,
            profile="postgres",
            folding=False,
        )
    except SqlError:
        return None
    queries = [bound.statement for _, bound in statements]
    found = [query for query in queries if isinstance(query, Query)]
    return found if len(found) == len(queries) and found else None


def shown_body(function: SqlFunction, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return the body as CREATE FUNCTION has it, with the names that a reader needs."""
    queries = None if function.form == "s" else _queries(function, catalog)
    if queries is None:
        return body_text(function)
    style = TextStyle(tuple(search_path), arguments=arguments_of(function))
    if function.form == "r":
        return f"RETURN {value_text(queries[0], catalog, style)}"
    lines = [f"{statement_text(query, catalog, style)};" for query in queries]
    return "\n".join(("BEGIN ATOMIC", *lines, "END"))


@define("pg_get_functiondef", (oids.OID,), oids.TEXT)
def _pg_get_functiondef(context: Any, oid: int) -> str | None:
    function = context.catalog.functions.get(oid)
    if function is not None:
        body = shown_body(function, context.catalog, context.search_path)
        return function_definition(function, body, context.catalog, context.search_path)
    callee = by_oid(oid)
    if isinstance(callee, Aggregate) or (callee is not None and not isinstance(callee, Function)):
        raise SqlError("42809", f'"{callee.name}" is an aggregate function')
    return None


@define("pg_get_function_sqlbody", (oids.OID,), oids.TEXT)
def _pg_get_function_sqlbody(context: Any, oid: int) -> str | None:
    function = context.catalog.functions.get(oid)
    if function is None or function.form == "s":
        return None
    return shown_body(function, context.catalog, context.search_path)
