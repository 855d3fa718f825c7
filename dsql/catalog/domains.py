"""Domains in the catalogs: pg_type, pg_constraint, information_schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsql.access.authority import Authority
from dsql.access.privileges import Kind
from dsql.catalog.catalog import Catalog
from dsql.catalog.information_schema import DATABASE, type_facts
from dsql.catalog.schema import Domain
from dsql.catalog.virtual import provides
from dsql.types import registry
from dsql.types.typmod import format_type

Row = Mapping[str, Any]


def domain_rows(catalog: Catalog, namespaces: Mapping[str, int]) -> Iterator[Row]:
    """Yield the rows of pg_type: of each domain, and of its array type."""
    for domain in catalog.domains.values():
        base = registry.get(domain.type_oid)
        common = {
            "typnamespace": namespaces.get(domain.schema, 0),
            "typowner": domain.owner_oid,
            "typisdefined": True,
            "typdelim": ",",
            "typtypmod": -1,
        }
        yield {
            **common,
            "oid": domain.oid,
            "typname": domain.name,
            "typlen": base.size,
            "typbyval": base.by_value,
            "typtype": "d",
            "typcategory": base.category,
            "typarray": domain.array_oid,
            "typalign": base.align,
            "typstorage": base.storage,
            "typnotnull": domain.not_null,
            "typbasetype": domain.base or domain.type_oid,
            "typtypmod": domain.typmod,
            "typcollation": 0 if base.category != "S" else 100,
            "typdefault": domain.default,
            "typdefaultbin": domain.default,
            "typacl": None if domain.acl is None else list(domain.acl),
        }
        yield {
            **common,
            "oid": domain.array_oid,
            "typname": f"_{domain.name}",
            "typlen": -1,
            "typtype": "b",
            "typcategory": "A",
            "typelem": domain.oid,
            "typalign": base.align,
            "typstorage": "x",
            "typsubscript": 6179,
        }


def domain_constraint_rows(catalog: Catalog, namespaces: Mapping[str, int]) -> Iterator[Row]:
    """Yield the rows of pg_constraint."""
    for domain in catalog.domains.values():
        for check in domain.checks:
            yield {
                "oid": check.oid,
                "conname": check.name,
                "connamespace": namespaces.get(domain.schema, 0),
                "contype": "c",
                "contypid": domain.oid,
                "convalidated": check.validated,
                "conislocal": True,
                "confupdtype": " ",
                "confdeltype": " ",
                "confmatchtype": " ",
                "conbin": check.expression,
            }


# ---------------------------------------------------------------- information_schema


def _place(domain: Domain) -> Row:
    return {
        "domain_catalog": DATABASE,
        "domain_schema": domain.schema,
        "domain_name": domain.name,
    }


def _seen(context: Any) -> Iterator[Domain]:
    """Yield the domains that the user owns or may use."""
    authority = Authority(context.catalog, context.user.oid)
    for domain in context.catalog.domains.values():
        held, _ = authority.masks(Kind.DOMAIN, domain.owner_oid, domain.acl)
        if held or authority.owns(domain.owner_oid):
            yield domain


@provides("information_schema", "domains")
def _domains(context: Any) -> Iterator[Row]:
    for domain in _seen(context):
        yield {
            **_place(domain),
            **_base(domain, context.catalog),
            "domain_default": domain.default,
            "udt_catalog": DATABASE,
            "dtd_identifier": "1",
        }


def _base(domain: Domain, catalog: Catalog) -> Row:
    """Return the columns that tell what a domain is made over."""
    base = catalog.domains_by_oid.get(domain.base)
    if base is not None:
        return {"data_type": "USER-DEFINED", "udt_schema": base.schema, "udt_name": base.name}
    kind = registry.get(domain.type_oid)
    return {
        "data_type": "ARRAY" if kind.category == "A" else format_type(kind.oid, -1),
        "udt_schema": "pg_catalog",
        "udt_name": kind.name,
        **type_facts(domain.type_oid, domain.typmod),
    }


@provides("information_schema", "domain_constraints")
def _domain_constraints(context: Any) -> Iterator[Row]:
    for domain in _seen(context):
        for check in domain.checks:
            yield {
                **_place(domain),
                "constraint_catalog": DATABASE,
                "constraint_schema": domain.schema,
                "constraint_name": check.name,
                "is_deferrable": "NO",
                "initially_deferred": "NO",
            }
