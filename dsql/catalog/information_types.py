"""The functions by which information_schema tells of types, which tools call in queries of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.catalog.context_functions import define
from dsql.catalog.information_schema import type_facts
from dsql.catalog.virtual import virtual_tables
from dsql.errors import SqlError
from dsql.types import oids

_Row = tuple[Any, ...]


def _column(catalog_name: str, column: str) -> int:
    columns = virtual_tables()["pg_catalog", catalog_name].columns
    return [name for name, _ in columns].index(column)


def _of_attribute_or_domain(attribute_column: str, domain_column: str) -> Callable[..., Any]:
    """Return what answers for a row of pg_attribute beside its type's: a domain's answer is its base's."""
    of_attribute = _column("pg_attribute", attribute_column)
    of_domain, kind = _column("pg_type", domain_column), _column("pg_type", "typtype")

    def find(_context: Any, attribute: _Row, of_type: _Row) -> Any:
        if len(attribute) <= of_attribute or len(of_type) <= max(of_domain, kind):
            raise SqlError("42804", "argument is not a row of pg_attribute and one of pg_type")
        return of_type[of_domain] if of_type[kind] == "d" else attribute[of_attribute]

    return find


def _fact(name: str) -> Callable[..., Any]:
    return lambda _context, type_oid, typmod: type_facts(type_oid, typmod).get(name)


for _name, _return_type, _columns in (
    ("_pg_truetypid", oids.OID, ("atttypid", "typbasetype")),
    ("_pg_truetypmod", oids.INT4, ("atttypmod", "typtypmod")),
):
    define(
        _name, (oids.RECORD, oids.RECORD), _return_type, volatility="i", schema="information_schema"
    )(_of_attribute_or_domain(*_columns))
for _name, _fact_name in (
    ("_pg_char_max_length", "character_maximum_length"),
    ("_pg_char_octet_length", "character_octet_length"),
    ("_pg_numeric_precision", "numeric_precision"),
    ("_pg_numeric_precision_radix", "numeric_precision_radix"),
    ("_pg_numeric_scale", "numeric_scale"),
    ("_pg_datetime_precision", "datetime_precision"),
):
    define(_name, (oids.OID, oids.INT4), oids.INT4, volatility="i", schema="information_schema")(
        _fact(_fact_name)
    )
