"""Who could run statements that this server cannot: PostgreSQL refuses who may not before anything else.

What only superusers may, nobody may here. Each check raises the error that PostgreSQL would, after those of
the names that it would miss earlier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from dsql.access.authorize import check
from dsql.access.privileges import Kind, Privilege, must_own
from dsql.access.requirements import Ownership, owner_of_index, privilege_on
from dsql.catalog.schema import Database, Index, Table
from dsql.catalog.virtual import VirtualTable
from dsql.ddl import nodes
from dsql.ddl.lacking_names import type_of
from dsql.ddl.naming import (
    Found,
    find_any,
    missing_relation,
    ownership,
    require_table,
    system_catalog,
)
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError
from dsql.types import registry

Check = Callable[[Any, UtilityContext], None]


def found_relation(relation: Any, context: UtilityContext) -> Found:
    """Return what a RangeVar names. Raises SqlError 42P01, 3F000, 42501."""
    found = find_any(context, relation)
    if found is None:
        raise missing_relation(relation)
    return found


def owned_relation(relation: Any, context: UtilityContext) -> Found:
    """Return the user's own relation. Raises SqlError 42P01, 3F000, 42501."""
    found = found_relation(relation, context)
    check(ownership(found), context.authority)
    return found


def denied(message: str, hint: str = "") -> Check:
    """Refuse a statement (42501) that only superusers may run, or members of roles that have none."""

    def checked(node: Any, context: UtilityContext) -> NoReturn:
        del context
        raise SqlError("42501", message.format(node), hint=hint)

    return checked


def of_superusers(verb: str, article: str, word: str, field: str) -> Check:
    """Refuse to make or change what only superusers do, with PostgreSQL's words and hint."""
    hint = f"Must be superuser to {verb} {article} {word}."
    return denied(f'permission denied to {verb} {word} "{{0.{field}}}"', hint)


def ruled(node: Any, context: UtilityContext) -> None:
    """Check who makes a rule: the relation's owner."""
    require_table(context, node.relation)
    owned_relation(node.relation, context)


def triggered(node: Any, context: UtilityContext) -> None:
    """Check who makes a trigger: who holds TRIGGER on the table."""
    found = found_relation(node.relation, context)
    if isinstance(found, VirtualTable):
        raise system_catalog(found)
    if isinstance(found, Table):
        check(privilege_on(found, Privilege.TRIGGER), context.authority)


# ---------------------------------------------------------------- databases and tablespaces


def owner_of_database(database: Database) -> Ownership:
    """Return the requirement of owning the database."""
    return Ownership(Kind.DATABASE, database.name, database.owner_oid)


def database(node: Any, context: UtilityContext) -> None:
    """Check who changes or drops a database. Raises SqlError 3D000, 42501, 55006."""
    own, dropped = context.catalog.database, hasattr(node, "missing_ok")
    if node.dbname == own.name:
        check(owner_of_database(own), context.authority)
        if dropped:
            raise SqlError("55006", "cannot drop the currently open database")
    elif not dropped or not node.missing_ok:
        raise SqlError("3D000", f'database "{node.dbname}" does not exist')


def new_database(node: Any, context: UtilityContext) -> None:
    """Check who makes a database: a role with CREATEDB."""
    if not context.user.createdb:
        raise SqlError("42501", "permission denied to create database")
    if node.dbname == context.catalog.database.name:
        raise SqlError("42P04", f'database "{node.dbname}" already exists')


def tablespace(node: Any, context: UtilityContext) -> None:
    """Check who changes or drops a tablespace: the only one is the system's."""
    del context
    if node.tablespacename == "pg_default":
        raise must_own(Kind.TABLESPACE, node.tablespacename)
    if not getattr(node, "missing_ok", False):
        raise SqlError("42704", f'tablespace "{node.tablespacename}" does not exist')


def system_setting(node: Any, context: UtilityContext) -> None:
    """Refuse ALTER SYSTEM, which is a superuser's."""
    del context
    if nodes.enum_name(node.setstmt, "kind") == "VAR_RESET_ALL":
        raise SqlError("42501", "permission denied to perform ALTER SYSTEM RESET ALL")
    raise SqlError("42501", f'permission denied to set parameter "{node.setstmt.name}"')


# ---------------------------------------------------------------- types and what is made of them


def cast(node: Any, context: UtilityContext) -> None:
    """Check who makes a cast: the owner of one of its types, and those there are belong to the system."""
    del context
    source, target = (registry.get(type_of(each)) for each in (node.sourcetype, node.targettype))
    message = f"must be owner of type {source.sql_name} or type {target.sql_name}"
    raise SqlError("42501", message)


def transform(node: Any, context: UtilityContext) -> None:
    """Check who makes a transform: its type's owner."""
    del context
    raise must_own(Kind.TYPE, registry.get(type_of(node.type_name)).sql_name)


def library(node: Any, context: UtilityContext) -> None:
    """Refuse LOAD of a library from anywhere."""
    del context
    raise SqlError("42501", f'access to library "{node.filename}" is not allowed')


def depending(node: Any, context: UtilityContext) -> None:
    """Check who makes an index depend on an extension, of which there is none."""
    found = find_any(context, node.relation) if node.relation.relname else None
    if isinstance(found, tuple):
        table, index = found
        assert isinstance(index, Index)
        check(owner_of_index(table, index), context.authority)
    raise SqlError("42704", f'extension "{node.extname.sval}" does not exist')
