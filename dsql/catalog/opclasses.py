"""The operator classes of btree: by which order a type's values lie in an index (pg_opclass, pg_opfamily).

OIDs and names are PostgreSQL's. There are those that a type has by default, and for text those that an
index may name besides, which all mean the same order here: that of the C collation. A type without one of
its own goes by that of the type it is binary-coercible to, as varchar does by text's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import dsql.types.builtin  # noqa: F401  (every type must be known here)
from dsql.catalog.index_forms import access_method
from dsql.catalog.schema import ADMIN_OID
from dsql.catalog.virtual import provides
from dsql.errors import SqlError
from dsql.types import oids, reg, registry
from dsql.types.typmod import format_type

_PG_CATALOG_NAMESPACE = 11


class OperatorClass(NamedTuple):
    """A row of pg_opclass; `family` is the OID of its family, `type_oid` what it orders."""

    oid: int
    name: str
    type_oid: int
    family: int
    family_name: str


CLASSES = (
    OperatorClass(1978, "int4_ops", oids.INT4, 1976, "integer_ops"),
    OperatorClass(1979, "int2_ops", oids.INT2, 1976, "integer_ops"),
    OperatorClass(1981, "oid_ops", oids.OID, 1989, "oid_ops"),
    OperatorClass(3122, "date_ops", oids.DATE, 434, "datetime_ops"),
    OperatorClass(3123, "float8_ops", oids.FLOAT8, 1970, "float_ops"),
    OperatorClass(3124, "int8_ops", oids.INT8, 1976, "integer_ops"),
    OperatorClass(3125, "numeric_ops", oids.NUMERIC, 1988, "numeric_ops"),
    OperatorClass(3126, "text_ops", oids.TEXT, 1994, "text_ops"),
    OperatorClass(3127, "timestamptz_ops", oids.TIMESTAMPTZ, 434, "datetime_ops"),
    OperatorClass(3128, "timestamp_ops", oids.TIMESTAMP, 434, "datetime_ops"),
    OperatorClass(10_000, "array_ops", oids.ANYARRAY, 397, "array_ops"),
    OperatorClass(10_002, "bit_ops", oids.BIT, 423, "bit_ops"),
    OperatorClass(10_003, "bool_ops", oids.BOOL, 424, "bool_ops"),
    OperatorClass(10_004, "bpchar_ops", oids.BPCHAR, 426, "bpchar_ops"),
    OperatorClass(10_006, "bytea_ops", oids.BYTEA, 428, "bytea_ops"),
    OperatorClass(10_007, "char_ops", oids.CHAR, 429, "char_ops"),
    OperatorClass(10_012, "float4_ops", oids.FLOAT4, 1970, "float_ops"),
    OperatorClass(10_015, "inet_ops", oids.INET, 1974, "network_ops"),
    OperatorClass(10_022, "interval_ops", oids.INTERVAL, 1982, "interval_ops"),
    OperatorClass(10_024, "macaddr_ops", oids.MACADDR, 1984, "macaddr_ops"),
    OperatorClass(10_026, "macaddr8_ops", oids.MACADDR8, 3371, "macaddr8_ops"),
    OperatorClass(10_028, "name_ops", oids.NAME, 1994, "text_ops"),
    OperatorClass(10_032, "oidvector_ops", oids.OIDVECTOR, 1991, "oidvector_ops"),
    OperatorClass(10_034, "record_ops", oids.RECORD, 2994, "record_ops"),
    OperatorClass(10_038, "time_ops", oids.TIME, 1996, "time_ops"),
    OperatorClass(10_041, "timetz_ops", oids.TIMETZ, 2000, "timetz_ops"),
    OperatorClass(10_043, "varbit_ops", oids.VARBIT, 2002, "varbit_ops"),
    OperatorClass(10_047, "money_ops", oids.MONEY, 2099, "money_ops"),
    OperatorClass(10_050, "tid_ops", oids.TID, 2789, "tid_ops"),
    OperatorClass(10_053, "xid8_ops", oids.XID8, 5067, "xid8_ops"),
    OperatorClass(10_065, "uuid_ops", oids.UUID, 2968, "uuid_ops"),
    OperatorClass(10_067, "pg_lsn_ops", oids.PG_LSN, 3253, "pg_lsn_ops"),
    OperatorClass(10_069, "enum_ops", oids.ANYENUM, 3522, "enum_ops"),
    OperatorClass(10_076, "range_ops", oids.ANYRANGE, 3901, "range_ops"),
    OperatorClass(10_080, "multirange_ops", oids.ANYMULTIRANGE, 4199, "multirange_ops"),
    OperatorClass(10_088, "jsonb_ops", oids.JSONB, 4033, "jsonb_ops"),
)
OTHERS = (
    OperatorClass(4217, "text_pattern_ops", oids.TEXT, 2095, "text_pattern_ops"),
    OperatorClass(4218, "varchar_pattern_ops", oids.TEXT, 2095, "text_pattern_ops"),
    OperatorClass(4219, "bpchar_pattern_ops", oids.BPCHAR, 2097, "bpchar_pattern_ops"),
    OperatorClass(10_044, "varchar_ops", oids.TEXT, 1994, "text_ops"),
)
_ALL = (*CLASSES, *OTHERS)
_BY_NAME = {each.name: each for each in _ALL}
_BY_TYPE = {each.type_oid: each for each in CLASSES}
_GENERIC = {"c": oids.RECORD, "e": oids.ANYENUM, "r": oids.ANYRANGE, "m": oids.ANYMULTIRANGE}
_BY_TYPE[oids.VARCHAR] = _BY_TYPE[oids.TEXT]
_BY_TYPE[oids.CIDR] = _BY_TYPE[oids.INET]
_BY_TYPE |= dict.fromkeys(
    (known.oid for known in registry.all_types() if known.name in reg.NAMES), _BY_TYPE[oids.OID]
)


def class_oid(type_oid: int, name: str) -> int:
    """Return the OID of an operator class by its name, "" for a type's default one."""
    return _BY_NAME[name].oid if name else _default(type_oid).oid


def _default(type_oid: int) -> OperatorClass:
    found = _BY_TYPE.get(type_oid)
    return found or _BY_TYPE[_GENERIC.get(registry.get(type_oid).kind, oids.ANYARRAY)]


def has_default(type_oid: int) -> bool:
    """Return whether a type has an operator class for btree."""
    known = registry.get(type_oid)
    return type_oid in _BY_TYPE or bool(known.element_oid) or known.kind in _GENERIC


def written_class(name: str, type_oid: int) -> str:
    """Return what an index keeps of the class that its key names: "" for the default one.

    Raises SqlError 42704 if there is none, 42804 for one of another type.
    """
    found = _BY_NAME.get(name)
    if found is None:
        message = f'operator class "{name}" does not exist for access method "btree"'
        raise SqlError("42704", message)
    default = _default(type_oid)
    if found.type_oid != default.type_oid:
        shown = format_type(type_oid, -1)
        message = f'operator class "{name}" does not accept data type {shown}'
        raise SqlError("42804", message)
    return "" if found is default else name


@provides("pg_catalog", "pg_opclass")
def _pg_opclass(context: Any) -> Iterator[Mapping[str, Any]]:
    method, _ = access_method(context.profile)
    for each in _ALL:
        yield {
            "oid": each.oid,
            "opcmethod": method,
            "opcname": each.name,
            "opcnamespace": _PG_CATALOG_NAMESPACE,
            "opcowner": ADMIN_OID,
            "opcfamily": each.family,
            "opcintype": each.type_oid,
            "opcdefault": each in CLASSES,
        }


@provides("pg_catalog", "pg_opfamily")
def _pg_opfamily(context: Any) -> Iterator[Mapping[str, Any]]:
    method, _ = access_method(context.profile)
    for oid, name in dict.fromkeys((each.family, each.family_name) for each in _ALL):
        yield {
            "oid": oid,
            "opfmethod": method,
            "opfname": name,
            "opfnamespace": _PG_CATALOG_NAMESPACE,
            "opfowner": ADMIN_OID,
        }
