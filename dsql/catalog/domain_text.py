"""Domains as text: names, types and constraints."""

from __future__ import annotations

from collections.abc import Sequence

from dsql.catalog.catalog import Catalog
from dsql.catalog.pretty import pretty
from dsql.catalog.schema import Domain, DomainCheck
from dsql.types.identifier import quote_identifier
from dsql.types.typmod import format_type


def domain_name(domain: Domain, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return the name, with the schema where the search path does not find it."""
    name = quote_identifier(domain.name)
    if catalog.find_domain(None, domain.name, search_path) is domain:
        return name
    return f"{quote_identifier(domain.schema)}.{name}"


def type_name(type_oid: int, typmod: int, catalog: Catalog, search_path: Sequence[str]) -> str:
    """Return a type as format_type prints it; a domain's array type with brackets."""
    domain = catalog.domain_of(type_oid)
    if domain is None:
        return format_type(type_oid, typmod)
    suffix = "[]" if type_oid == domain.array_oid else ""
    return domain_name(domain, catalog, search_path) + suffix


def domain_check_definition(check: DomainCheck, *, is_pretty: bool = False) -> str:
    """Return a CHECK constraint as ALTER DOMAIN ... ADD takes it."""
    text = pretty(check.expression) if is_pretty else check.expression
    return f"CHECK ({text})" + ("" if check.validated else " NOT VALID")
