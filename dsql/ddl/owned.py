"""REASSIGN OWNED and DROP OWNED: all that belongs to some roles, or was granted to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsql.access.acl import without_role
from dsql.access.default_acls import LETTERS
from dsql.access.privileges import Kind
from dsql.catalog.dependencies import (
    PG_CLASS,
    PG_NAMESPACE,
    PG_PROC,
    PG_STATISTIC_EXT,
    PG_TYPE,
    Address,
)
from dsql.catalog.extended_statistics import all_statistics
from dsql.catalog.role_dependencies import Dependent, role_dependencies
from dsql.catalog.schema import (
    ADMIN_OID,
    Column,
    CompositeType,
    Database,
    Domain,
    EnumType,
    RangeType,
    Role,
    Schema,
    SqlFunction,
    Table,
)
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.cascade import all_dropped
from dsql.ddl.default_privileges import write_default
from dsql.ddl.grant import GivenGrant, Granting
from dsql.ddl.memberships import MembershipChanges
from dsql.ddl.privilege_lists import PrivilegeList
from dsql.ddl.removal import remove
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.role_specs import role_of, roles_of
from dsql.ddl.securables import Securable, kind_of, with_owner
from dsql.ddl.statistics import reassigned
from dsql.errors import SqlError

_EVERYTHING = PrivilegeList(every=True, mask=0)
_KINDS = {letter: kind for kind, letter in reversed(LETTERS.items())}


def reassign_owned(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a ReassignOwnedStmt."""
    before = roles_of(statement.roles, context)
    _require_privileges(before, context, "reassign objects", "reassign objects owned by it")
    after = role_of(statement.newrole, context)
    _require_privileges([after], context, "reassign objects", "reassign objects to it")
    _refuse_admin(before, "reassign ownership of")
    owners = {role.oid for role in before}
    writer = CatalogWriter(context.transaction)
    for securable in _securables(context):
        if securable.owner_oid in owners:
            writer.put_securable(with_owner(securable, after.oid), context.catalog)
    for table in context.catalog.tables.values():
        changed = reassigned(table, owners, after.oid)
        if changed is not table:
            if table.owner_oid in owners:
                changed = with_owner(changed, after.oid)
            writer.put_table(changed)
    return UtilityResult("REASSIGN OWNED")


def drop_owned(statement: Any, context: UtilityContext) -> UtilityResult:
    """Run a DropOwnedStmt: drop what the roles own, and revoke what they were granted.

    The latter is a REVOKE ALL ... CASCADE by the user, who may lack the grant option: then a warning tells
    that nothing was revoked (PostgreSQL's pg_shdepend.c, shdepDropOwned).
    """
    roles = roles_of(statement.roles, context)
    _require_privileges(roles, context, "drop objects", "drop objects owned by it")
    _refuse_admin(roles, "drop")
    result = UtilityResult("DROP OWNED")
    cascade = nodes.enum_name(statement, "behavior") == "DROP_CASCADE"
    owners = {role.oid for role in roles}
    writer = CatalogWriter(context.transaction)
    with result.told():
        revoked = _revoked(roles, context, result)
        dropped = _drop_objects(owners, cascade, context, writer, result)
    for oid, securable in revoked.items():
        if oid not in dropped:
            writer.put_securable(securable, context.catalog)
    _drop_defaults(owners, dropped, context, writer)
    changes = MembershipChanges(context, result)
    for role in roles:
        changes.forget_granted_by(role.oid)
    changes.write()
    return result


def _revoked(
    roles: list[Role], context: UtilityContext, result: UtilityResult
) -> dict[int, Securable]:
    """Return the objects whose ACLs name a role, by OID, without what could be revoked from it."""
    found: dict[int, Securable] = {}
    dependencies = sorted(role_dependencies(context.catalog), key=lambda each: each.oid)
    for role in roles:
        given = GivenGrant(grants=False, option=False, cascade=True, grantees=(role.oid,))
        granting = Granting(context, given, result)
        for dependency in dependencies:
            securable = _securable(dependency.dependent)
            if securable and dependency.role == role.oid and dependency.kind == "a":
                before = found.get(securable.oid, securable)
                found[securable.oid] = granting.on(before, kind_of(before), _EVERYTHING)
    return found


def _securable(dependent: Dependent) -> Securable | None:
    """Return the object with an ACL: of a column its table, once for each, as PostgreSQL has it."""
    match dependent:
        case (Table() as table, Column()):
            return table
        case (
            Table()
            | Schema()
            | Database()
            | SqlFunction()
            | Domain()
            | EnumType()
            | CompositeType()
            | RangeType()
        ):
            return dependent
        case _:
            return None


def _require_privileges(
    roles: list[Role], context: UtilityContext, action: str, purpose: str
) -> None:
    authority = context.authority
    for role in roles:
        if not authority.owns(role.oid):
            raise SqlError(
                "42501",
                f"permission denied to {action}",
                detail=f'Only roles with privileges of role "{role.name}" may {purpose}.',
            )


def _refuse_admin(roles: list[Role], action: str) -> None:
    for role in roles:
        if role.oid == ADMIN_OID:
            raise SqlError(
                "2BP01",
                f"cannot {action} objects owned by role {role.name} "
                "because they are required by the database system",
            )


def _securables(context: UtilityContext) -> Iterator[Securable]:
    yield from context.catalog.tables.values()
    yield from context.catalog.schemas.values()
    yield from context.catalog.functions.values()
    yield from context.catalog.domains.values()
    yield from context.catalog.user_types.values()
    yield context.catalog.database


def _drop_objects(
    owners: set[int],
    cascade: bool,
    context: UtilityContext,
    writer: CatalogWriter,
    result: UtilityResult,
) -> set[int]:
    """Drop what the roles own, and with CASCADE what lies in their schemas; return the OIDs."""
    catalog = context.catalog
    owned = [
        (schema.oid, PG_NAMESPACE)
        for schema in catalog.schemas.values()
        if schema.owner_oid in owners
    ]
    owned += [
        (table.oid, PG_CLASS) for table in catalog.tables.values() if table.owner_oid in owners
    ]
    owned += [
        (function.oid, PG_PROC)
        for function in catalog.functions.values()
        if function.owner_oid in owners
    ]
    owned += [
        (domain.oid, PG_TYPE) for domain in catalog.domains.values() if domain.owner_oid in owners
    ]
    owned += [
        (statistics.oid, PG_STATISTIC_EXT)
        for _, statistics in all_statistics(catalog)
        if statistics.owner_oid in owners
    ]
    owned += [
        (enum.oid, PG_TYPE) for enum in catalog.user_types.values() if enum.owner_oid in owners
    ]
    targets = [Address(class_oid, oid) for oid, class_oid in sorted(owned, reverse=True)]
    gone = all_dropped(targets, catalog, context, result, cascade=cascade)
    remove(gone, catalog, context, writer)
    return {address.oid for address in gone if not address.column}


def _drop_defaults(
    roles: set[int], dropped: set[int], context: UtilityContext, writer: CatalogWriter
) -> None:
    catalog = context.catalog
    for default in list(catalog.default_acls.values()):
        if default.role in roles or default.schema_oid in dropped:
            writer.drop_default_acl(default)
            continue
        acl = default.acl
        for role in sorted(roles):
            acl = without_role(acl, role, default.role, catalog.memberships.inherited)
        if acl != default.acl:
            key = (default.role, default.schema_oid, default.letter)
            kind: Kind = _KINDS[default.letter]
            usual = () if default.schema_oid else kind.default_acl(default.role)
            write_default(writer, catalog, key, acl, usual)
