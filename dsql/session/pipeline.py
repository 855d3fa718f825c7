"""From SQL text to something that can be executed: gate, binder, planner, compiler, and the caches between.

A script's parse is cached by its text. Only what the role may run is compiled. A compiled query is cached
by its text and everything that its meaning depends on: parameter types, catalog version, search path, role,
profile and text settings; not by its place in a script, which only errors of binding tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsql.access.authority import Authority
from dsql.access.authorize import Authorized, authorize
from dsql.catalog.catalog import Catalog
from dsql.errors import SqlError
from dsql.planner.needs import remaining_needs
from dsql.session.compiled import CompiledQuery, DescribedQuery, describe_denied
from dsql.session.identity import Standpoint
from dsql.session.plan_cache import PlanCache
from dsql.session.settings import Settings
from dsql.sql.arguments import bind_arguments
from dsql.sql.binder import bind
from dsql.sql.bound_query import BoundStatement
from dsql.sql.function_bodies import bind_body
from dsql.sql.gate import ParsedStatement, parse_statement
from dsql.sql.refusals import check_statement
from dsql.sql.script import Script, read_script
from dsql.sql.sql_functions import SqlCall
from dsql.types.type import FormatSettings

QUERIES = frozenset(("Select", "Insert", "Update", "Delete", "Merge"))
# Type OIDs of $1, $2, ..., 0 where the client leaves one open (there may be more than it declares).
# None: the statement cannot have any.
ParameterTypes = tuple[int, ...] | None

_REVIEWED_MAX = 100  # of plans
_CACHED_TEXT_CHARACTERS_MAX = 10_000  # longer texts are rarely sent twice


def parsed_before(text: str, plans: PlanCache) -> Script | None:
    """Return the statements of a script that was parsed lately, else None."""
    found: Script | None = plans.get(text)
    return found


def parse(text: str, plans: PlanCache) -> Script:
    """Return the statements of a script. Raises SqlError 42601."""
    if len(text) > _CACHED_TEXT_CHARACTERS_MAX:
        return read_script(text)
    found = parsed_before(text, plans)
    if found is None:
        found = read_script(text)
        plans.keep(text, found, text)
    return found


def compile_query(
    parsed: ParsedStatement,
    parameter_types: ParameterTypes,
    standpoint: Standpoint,
    settings: Settings,
    plans: PlanCache,
) -> CompiledQuery:
    """Return the compiled form of a SELECT, VALUES, INSERT, UPDATE or DELETE.

    Raises SqlError 42501 if the role may not run it. A cached query was compiled for the same role under
    the same catalog, and for tables of about the size that they have.
    """
    version = standpoint.catalog.version
    key = (parsed.text, parameter_types, version, settings.plan_key)
    found: CompiledQuery | None = plans.get(key)
    review(plans)
    if found is not None and not found.is_outdated:
        return found
    bound = _bind(parsed, parameter_types, standpoint, settings)
    authorized = _authorized(bound, standpoint.authority)
    compiled = CompiledQuery(
        authorized, settings.formats, parsed.text, parameter_types, plans.row_counts
    )
    if len(parsed.text) <= _CACHED_TEXT_CHARACTERS_MAX:
        plans.keep(key, compiled, parsed.text)
    return compiled


def review(plans: PlanCache) -> None:
    """Look whether the queries that were used last were planned for other numbers of rows, now and then."""
    if not plans.is_review_due():
        return
    for query in plans.latest(_REVIEWED_MAX):
        if isinstance(query, CompiledQuery) and not query.is_outdated:
            query.is_outdated = plans.row_counts.have_moved(query.program.plan.rows)


def compile_arguments(
    parsed: ParsedStatement,
    nodes: Sequence[Any],
    types: Sequence[int],
    standpoint: Standpoint,
    settings: Settings,
) -> CompiledQuery:
    """Return the query whose only row are the arguments of an EXECUTE, each of its type.

    `nodes` are their expressions in `parsed`. Raises SqlError 42501, and what `bind_arguments` raises.
    """
    bound = bind_arguments(
        parsed,
        nodes,
        types,
        standpoint.catalog,
        standpoint.search_path,
        settings.formats,
        authority=standpoint.authority,
        profile=settings.profile,
    )
    authorized = _authorized(bound, standpoint.authority)
    return CompiledQuery(authorized, settings.formats, parsed.text, None)


def compile_body(
    call: SqlCall, standpoint: Standpoint, settings: Settings, plans: PlanCache
) -> tuple[CompiledQuery, ...]:
    """Return the compiled statements of a function's body for the types of a call.

    Raises what is wrong with the body, and SqlError 42501 if the role may not run it.
    """
    version, function = standpoint.catalog.version, call.function
    # The body as well: ALTER DOMAIN tries checks that the catalog does not have.
    key = (
        function.oid,
        function.body,
        call.argument_types,
        call.columns,
        call.typmods,
        version,
        settings.plan_key,
    )
    found: tuple[CompiledQuery, ...] | None = plans.get(key)
    if found is not None:
        return found
    statements = bind_body(
        call,
        standpoint.catalog,
        standpoint.search_path,
        settings.formats,
        authority=standpoint.authority,
        profile=settings.profile,
    )
    compiled = []
    for parsed, bound in statements:
        check_statement(parsed, settings.profile)
        authorized = _authorized(bound, standpoint.authority)
        compiled.append(
            CompiledQuery(
                authorized, settings.formats, parsed.text, call.argument_types, plans.row_counts
            )
        )
    body = tuple(compiled)
    plans.keep(key, body, function.body)
    return body


def compile_filling(
    parsed: ParsedStatement, standpoint: Standpoint, settings: Settings
) -> CompiledQuery:
    """Return the INSERT that fills a table which its statement has just made.

    Its names were looked up when its query was compiled; the table may be in a schema that the role may
    make something in and not use. Raises SqlError 42501.
    """
    bound = bind(
        parsed,
        standpoint.catalog,
        standpoint.search_path,
        settings.formats,
        None,
        profile=settings.profile,
    )
    authorized = _authorized(bound, standpoint.authority)
    return CompiledQuery(authorized, settings.formats, parsed.text, None)


def compile_for_owner(
    text: str, types: tuple[int, ...], catalog: Catalog, owner: int, plans: PlanCache
) -> CompiledQuery:
    """Return a statement of the server's own, compiled for the owner of what it is about.

    It names everything in full and has no literals, so neither search path nor settings matter.
    Raises SqlError 42501 if the owner has lost the rights that it takes.
    """
    key = (text, types, catalog.version, owner)
    found: CompiledQuery | None = plans.get(key)
    if found is None:
        authority, settings = Authority(catalog, owner), FormatSettings()
        bound = bind(
            parse_statement(text),
            catalog,
            (),
            settings,
            types,
            authority=authority,
            profile="postgres",
        )
        authorized = _authorized(bound, authority)
        found = CompiledQuery(authorized, settings, text, types, plans.row_counts)
        plans.keep(key, found, text)
    return found


def _authorized(bound: BoundStatement, authority: Authority) -> Authorized[BoundStatement]:
    """Return a query as one that may run. What of it never runs needs nothing.

    Raises SqlError 42501 for a view, then that of a constant that cannot be computed, then 42501.
    """
    try:
        return authorize(bound, bound.required, authority)
    except SqlError as error:
        if error.sqlstate != "42501":
            raise
    needs, fault = remaining_needs(bound)
    try:
        return authorize(bound, needs, authority)
    except SqlError as error:
        if fault is not None and not error.is_at_start:
            raise fault from None
        raise


def describe_query(
    parsed: ParsedStatement,
    parameter_types: ParameterTypes,
    standpoint: Standpoint,
    settings: Settings,
) -> DescribedQuery:
    """Return what a client may know of a query that the role may not run.

    Raises SqlError 42501 if the role may not even look up what the query names.
    """
    bound = _bind(parsed, parameter_types, standpoint, settings)
    return describe_denied(bound, settings.formats)


def _bind(
    parsed: ParsedStatement,
    parameter_types: ParameterTypes,
    standpoint: Standpoint,
    settings: Settings,
) -> BoundStatement:
    check_statement(parsed, settings.profile)
    return bind(
        parsed,
        standpoint.catalog,
        standpoint.search_path,
        settings.formats,
        parameter_types,
        authority=standpoint.authority,
        profile=settings.profile,
    )
