"""What depends on roles: owners and grants, as pg_shdepend lists them and DROP ROLE asks for them.

admin is left out, as PostgreSQL leaves out what it cannot do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dsql.catalog.catalog import POSTGRES, Catalog
from dsql.catalog.dependencies import PG_STATISTIC_EXT
from dsql.catalog.principals import membership_oid
from dsql.catalog.schema import (
    ADMIN_OID,
    BOOTSTRAP_OID,
    PUBLIC,
    Acl,
    Column,
    CompositeType,
    Database,
    DefaultAcl,
    Domain,
    EnumType,
    Membership,
    RangeType,
    Role,
    Schema,
    SqlFunction,
    Statistics,
    Table,
    UserType,
)
from dsql.catalog.virtual import provides

Dependent = (
    Table
    | tuple[Table, Column]
    | tuple[Table, Statistics]
    | Schema
    | SqlFunction
    | Domain
    | UserType
    | Database
    | DefaultAcl
    | tuple[Role, Membership]
)

# The OIDs of the catalogs that dependents are rows of.
_PG_CLASS, _PG_NAMESPACE, _PG_DATABASE, _PG_DEFAULT_ACL = 1259, 2615, 1262, 826
_PG_AUTH_MEMBERS, _PG_AUTHID, _PG_PROC, _PG_TYPE = 1261, 1260, 1255, 1247


@dataclass(frozen=True, slots=True)
class RoleDependency:
    """`dependent` needs `role`: o, its owner, or a, one that its ACL names. `oid` orders dependents."""

    dependent: Dependent
    oid: int
    role: int
    kind: str


def role_dependencies(catalog: Catalog) -> Iterator[RoleDependency]:
    """Yield every dependency on a role, an object's owner before those it granted something."""
    for table in catalog.tables.values():
        yield from _of(table, table.oid, table.owner_oid, table.acl)
        for column in (*table.live_columns, *table.system_columns):  # as unsigned numbers
            yield from _granted((table, column), table.oid, table.owner_oid, column.acl)
        for statistics in table.statistics:
            yield from _of((table, statistics), statistics.oid, statistics.owner_oid, None)
    for schema in catalog.schemas.values():
        yield from _of(schema, schema.oid, schema.owner_oid, schema.acl)
    for function in catalog.functions.values():
        yield from _of(function, function.oid, function.owner_oid, function.acl)
    for domain in catalog.domains.values():
        yield from _of(domain, domain.oid, domain.owner_oid, domain.acl)
    for enum in catalog.user_types.values():
        yield from _of(enum, enum.oid, enum.owner_oid, enum.acl)
    database = catalog.database
    yield from _of(database, database.oid, database.owner_oid, database.acl)
    for default in catalog.default_acls.values():
        yield from _of(default, default.oid, default.role, default.acl)
    for member in catalog.roles.values():
        for step in member.memberships:
            if step.grantor not in (BOOTSTRAP_OID, ADMIN_OID):
                yield RoleDependency((member, step), member.oid, step.grantor, "a")


def _of(dependent: Dependent, oid: int, owner: int, acl: Acl | None) -> Iterator[RoleDependency]:
    if owner != ADMIN_OID:
        yield RoleDependency(dependent, oid, owner, "o")
    yield from _granted(dependent, oid, owner, acl)


def _granted(
    dependent: Dependent, oid: int, owner: int, acl: Iterable[Any] | None
) -> Iterator[RoleDependency]:
    named = {role for item in acl or () for role in (item.grantee, item.grantor)}
    for role in sorted(named - {owner, PUBLIC, ADMIN_OID}):
        yield RoleDependency(dependent, oid, role, "a")


@provides("pg_catalog", "pg_shdepend")
def _pg_shdepend(context: Any) -> Iterator[Mapping[str, Any]]:
    for found in role_dependencies(context.catalog):
        class_oid, oid, sub_id = _address(found.dependent)
        yield {
            "dbid": 0 if class_oid in (_PG_DATABASE, _PG_AUTH_MEMBERS) else POSTGRES.oid,
            "classid": class_oid,
            "objid": oid,
            "objsubid": sub_id,
            "refclassid": _PG_AUTHID,
            "refobjid": found.role,
            "deptype": found.kind,
        }


def _address(dependent: Dependent) -> tuple[int, int, int]:
    match dependent:
        case Table():
            return _PG_CLASS, dependent.oid, 0
        case (Table() as table, Column() as column):
            return _PG_CLASS, table.oid, column.number
        case (Table(), Statistics() as statistics):
            return PG_STATISTIC_EXT, statistics.oid, 0
        case Schema():
            return _PG_NAMESPACE, dependent.oid, 0
        case SqlFunction():
            return _PG_PROC, dependent.oid, 0
        case Domain() | EnumType() | CompositeType() | RangeType():
            return _PG_TYPE, dependent.oid, 0
        case Database():
            return _PG_DATABASE, dependent.oid, 0
        case DefaultAcl():
            return _PG_DEFAULT_ACL, dependent.oid, 0
        case (Role() as member, Membership() as step):
            return _PG_AUTH_MEMBERS, membership_oid(member, step), 0
