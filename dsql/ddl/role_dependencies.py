"""What depends on a role, as DROP ROLE's DETAIL names it (PostgreSQL's pg_shdepend.c)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dsql.catalog.catalog import Catalog
from dsql.catalog.dependencies import PG_STATISTIC_EXT, Address
from dsql.catalog.descriptions import described, description
from dsql.catalog.domain_text import domain_name
from dsql.catalog.function_text import function_signature
from dsql.catalog.role_dependencies import Dependent, role_dependencies
from dsql.catalog.schema import (
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
)
from dsql.catalog.user_types import user_type_name
from dsql.ddl.role_specs import role_name
from dsql.types.identifier import quote_identifier

_PLURALS = {"r": "relations", "S": "sequences", "f": "functions", "T": "types", "n": "schemas"}


def dependency_lines(
    role: Role, catalog: Catalog, search_path: Sequence[str], dropped: Collection[int]
) -> list[str]:
    """Return a line for each object that needs the role. `dropped`: the roles that go together with it."""
    found = [
        dependency
        for dependency in role_dependencies(catalog)
        if dependency.role == role.oid and not _goes_along(dependency.dependent, dropped)
    ]
    found.sort(key=lambda dependency: dependency.oid)
    words = {"o": "owner of", "a": "privileges for"}
    return [
        f"{words[dependency.kind]} {_described(dependency.dependent, catalog, search_path)}"
        for dependency in found
    ]


def _goes_along(dependent: Dependent, dropped: Collection[int]) -> bool:
    """Return whether a membership ends anyway, because one of its roles is dropped."""
    match dependent:
        case (Role() as member, Membership() as step):
            return member.oid in dropped or step.role in dropped
        case _:
            return False


def _described(dependent: Dependent, catalog: Catalog, search_path: Sequence[str]) -> str:
    match dependent:
        case Table():
            return described(dependent, catalog, search_path)
        case (Table() as table, Column() as column):
            shown = described(table, catalog, search_path)
            return f"column {quote_identifier(column.name)} of {shown}"
        case (Table(), Statistics() as statistics):
            address = Address(PG_STATISTIC_EXT, statistics.oid)
            return description(address, catalog, search_path) or ""
        case Schema():
            return f"schema {dependent.name}"
        case SqlFunction():
            return f"function {function_signature(dependent, catalog, search_path)}"
        case EnumType() | CompositeType() | RangeType():
            return f"type {user_type_name(dependent, catalog, search_path)}"
        case Domain():
            return f"type {domain_name(dependent, catalog, search_path)}"
        case Database():
            return f"database {dependent.name}"
        case DefaultAcl():
            return _described_default(dependent, catalog)
        case (Role() as member, Membership() as step):
            return f"membership of role {member.name} in role {role_name(catalog, step.role)}"


def _described_default(default: DefaultAcl, catalog: Catalog) -> str:
    owner = role_name(catalog, default.role)
    text = f"default privileges on new {_PLURALS[default.letter]} belonging to role {owner}"
    schemas = {schema.oid: schema.name for schema in catalog.schemas.values()}
    return f"{text} in schema {schemas[default.schema_oid]}" if default.schema_oid else text
