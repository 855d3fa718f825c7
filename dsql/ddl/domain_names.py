"""Looks domains up by the names of utility statements."""

from __future__ import annotations

from dsql.access.authorize import check
from dsql.access.privileges import Kind, Privilege
from dsql.access.requirements import Holding, Ownership
from dsql.catalog.domain_text import domain_name
from dsql.catalog.schema import Domain
from dsql.ddl.naming import schemas_to_search
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError
from dsql.sql.type_names import type_oid_and_typmod


def find_domain(context: UtilityContext, names: list[str]) -> Domain | None:
    """Return the domain of a name. Raises SqlError 42809 for another type, 3F000, 42501."""
    schema = names[-2] if len(names) > 1 else ""
    schemas_to_search(context, schema)
    found = context.catalog.find_domain(schema or None, names[-1], context.search_path)
    if found is not None:
        return found
    relation = context.catalog.find_relation(schema or None, names[-1], context.search_path)
    if relation is None:
        try:
            type_oid_and_typmod(names, [])
        except SqlError as error:
            if error.sqlstate == "42704":
                return None
            raise
    raise SqlError("42809", f'"{".".join(names)}" is not a domain')


def require_domain(context: UtilityContext, names: list[str]) -> Domain:
    """Return the domain of a name. Raises SqlError 42704 as well."""
    found = find_domain(context, names)
    if found is None:
        raise SqlError("42704", f'type "{".".join(names)}" does not exist')
    return found


def usable_domain(context: UtilityContext, names: list[str]) -> Domain | None:
    """Return the domain of a name, for who makes something of it. Raises SqlError 42501 without USAGE."""
    schema = names[-2] if len(names) > 1 else None
    domain = context.catalog.find_domain(schema, names[-1], context.search_path)
    if domain is not None:
        check(domain_usage(context, domain), context.authority)
    return domain


def domain_usage(context: UtilityContext, domain: Domain) -> Holding:
    """Return what making something of a domain takes: USAGE."""
    name = domain_name(domain, context.catalog, context.search_path)
    return Holding(Kind.TYPE, name, domain.owner_oid, domain.acl, Privilege.USAGE)


def check_type_usage(context: UtilityContext, type_oid: int) -> None:
    """Raise SqlError 42501 for who makes something of an enum, or of arrays of it, without USAGE."""
    enum = context.catalog.user_type_of(type_oid)
    if enum is not None:
        held = Holding(Kind.TYPE, enum.name, enum.owner_oid, enum.acl, Privilege.USAGE)
        check(held, context.authority)


def own_domain(context: UtilityContext, domain: Domain, *, or_schema: bool = False) -> Ownership:
    """Return what changing a domain takes, dropping it: to own it `or_schema`."""
    others = (context.catalog.schemas[domain.schema].owner_oid,) if or_schema else ()
    name = domain_name(domain, context.catalog, context.search_path)
    return Ownership(Kind.TYPE, name, domain.owner_oid, others)
