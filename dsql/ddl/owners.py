"""ALTER ... OWNER TO for what is no relation (a relation's owner is changed by ALTER TABLE's road)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsql.access.privileges import Kind, must_own
from dsql.access.requirements import (
    Ownership,
    Refusal,
    Requirement,
    RoleMembership,
    creation_in,
    schema_creation,
)
from dsql.catalog.schema import Domain, SqlFunction, UserType
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.domain_names import own_domain
from dsql.ddl.lacking import check_owned
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import role_of
from dsql.ddl.securables import (
    BUILT_IN,
    KINDS,
    Securable,
    SystemObject,
    find_securables,
    kind_of,
    with_owner,
)
from dsql.ddl.statistics import STATISTICS, give_statistics, give_statistics_requires
from dsql.ddl.user_types import own_type
from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement


def alter_owner_requires(parsed: ParsedStatement, context: UtilityContext) -> Iterator[Requirement]:
    """Yield what an AlterOwnerStmt needs: the object, to be its owner-to-be, and the right to make one."""
    if nodes.enum_name(parsed.node, "object_type") == STATISTICS:
        yield from give_statistics_requires(parsed.node, context)
        return
    securable = _securable(parsed.node, context)
    role = role_of(parsed.node.newowner, context)
    if role.oid == securable.owner_oid:
        return
    kind = kind_of(securable)
    if isinstance(securable, Domain):
        yield own_domain(context, securable)
    elif isinstance(securable, UserType):
        yield own_type(context, securable)
    else:
        yield Ownership(kind, securable.name, securable.owner_oid)
    yield RoleMembership(role)
    if isinstance(securable, SqlFunction | Domain | UserType):
        yield creation_in(context.catalog.schemas[securable.schema], role.oid)
    elif kind is Kind.SCHEMA:
        yield schema_creation(context.catalog.database)
    elif not context.user.createdb:
        yield Refusal(SqlError("42501", "permission denied to change owner of database"))


def _securable(statement: Any, context: UtilityContext) -> Securable | SystemObject:
    kind = KINDS.get(nodes.enum_name(statement, "object_type"))
    if kind is None:
        check_owned(statement, context)
        raise unsupported("unsupported statement: AlterOwner")
    name = nodes.inner(statement.object).sval if kind in (Kind.LANGUAGE, Kind.TABLESPACE) else ""
    if (kind, name) in BUILT_IN:
        raise must_own(kind, name)
    return find_securables(kind, [statement.object], context)[0]


def alter_owner(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run an AlterOwnerStmt."""
    if nodes.enum_name(statement, "object_type") == STATISTICS:
        return give_statistics(statement, context)
    securable = _securable(statement, context)
    role = role_of(statement.newowner, context)
    assert not isinstance(securable, SystemObject), "nobody owns what is the system's"
    changed = with_owner(securable, role.oid)
    CatalogWriter(context.transaction).put_securable(changed, context.catalog)
    word = nodes.enum_name(statement, "object_type").removeprefix("OBJECT_")
    return UtilityResult(f"ALTER {word.replace('_', ' ')}")
