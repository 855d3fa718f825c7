"""What every SQL type answers: its identity in pg_type, its formats, and how its values behave.

Runtime values, by type (SQL NULL is None everywhere):

    bool                      bool
    int2, int4, int8, oid, reg*   int
    float4, float8            float (float4 already rounded to single precision)
    numeric                   decimal.Decimal, NaN and infinities included
    text, varchar, name, "char", unknown, json   str
    bpchar                    str, blank-padded to its length as PostgreSQL stores it
    jsonb                     str: PostgreSQL's own jsonb output text, so equal values are equal strings
    jsonpath                  str: PostgreSQL's own jsonpath output text
    bytea                     bytes
    uuid                      bytes, 16 of them
    date                      int, days since 2000-01-01; the int32 extremes are -infinity and infinity
    time                      int, microseconds of the day
    timetz                    (microseconds, seconds west of UTC)
    timestamp, timestamptz    int, microseconds since 2000-01-01 (UTC); int64 extremes are infinities
    interval                  (months, days, microseconds)
    arrays                    list (lower bound 1), nested for more dimensions, None for NULL elements
    bit, varbit               str of "0" and "1"
    inet, cidr                str: an inet's output text
    macaddr, macaddr8         bytes
    money                     int, cents
    tid                       (block, offset)
    enums                     float: the place of the label, as pg_enum.enumsortorder
    ranges, multiranges       (lower, upper, flags), and a tuple of them (dsql.types.range)
    record, composites        tuple; a `dsql.types.record.Record` where its fields are known
    aclitem                   dsql.catalog.schema.AclItem
    void                      "" (an empty string)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsql.types.range import Bounds


@dataclass(frozen=True, slots=True)
class FormatSettings:
    """The session settings that text formats depend on (SHOW's own spelling)."""

    date_style: str = "ISO, MDY"
    interval_style: str = "postgres"
    time_zone: str = "UTC"
    extra_float_digits: int = 1
    bytea_output: str = "hex"
    client_encoding: str = ""  # "" is UTF-8, or none at all: nothing to convert


Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Type:
    """One row of pg_type with its behaviour.

    `text_encoder(settings)` and `text_decoder(settings)` return functions for many values: UTF-8 bytes
    of the text format out and in. Decoders raise SqlError (22P02, 22003, 22007, 22008, ...) without a
    position. `binary_encode` and `binary_decode` are the binary format (int4send and so on).

    `text_template` is a Python expression of `{0}` that yields the text bytes where they do not depend
    on settings (int4: "b'%d' % {0}"), for generated code; "" where there is none.
    `store_template` and `load_template` turn a runtime value into what a row value holds and back
    (numeric: "str({0})" and "Decimal({0})"); "" where the value is stored as it is. Row values may hold
    None, bool, int, float, str, bytes and lists of them. Generated code evaluates templates with
    `dsql.types.templates.NAMES` as globals, and never for NULL.
    `sort_key` maps a value to one that Python orders as SQL does, `hash_key` to one that is equal and
    hashable exactly when SQL's = is true; None where the value itself does.
    """

    oid: int
    name: str  # pg_type.typname
    sql_name: str  # format_type(oid, NULL)
    size: int  # pg_type.typlen: -1 variable, -2 C string
    category: str  # pg_type.typcategory
    preferred: bool
    by_value: bool
    align: str
    delimiter: str
    text_encoder: Callable[[FormatSettings], Encode]
    text_decoder: Callable[[FormatSettings], Decode]
    binary_encode: Encode
    binary_decode: Decode
    text_template: str = ""
    store_template: str = ""
    load_template: str = ""
    sort_key: Callable[[Any], Any] | None = None
    hash_key: Callable[[Any], Any] | None = None
    element_oid: int = 0  # of an array: its elements' type
    array_oid: int = 0
    kind: str = "b"  # pg_type.typtype
    column_allowed: bool = True  # may be the type of a table column in the dsql profile
    column_of_postgres: bool = (
        False  # may be that in the postgres profile, though not in the dsql one
    )
    key_allowed: bool = True  # may be part of a key or index
    schema: str = "pg_catalog"
    values: tuple[Any, ...] = ()  # of an enum: all, in order
    subtype_oid: int = 0  # of a range: its bounds' type; of a multirange: its ranges'
    multirange_oid: int = 0  # of a range
    fields: tuple[tuple[str, int, int], ...] = ()  # of a composite: names, types' OIDs, typmods
    relation_oid: int = 0  # of a composite: its relation in pg_class
    attribute_numbers: tuple[int, ...] = ()  # of its fields in that relation
    bounds: Bounds | None = None  # of a range or multirange: how they compare and combine

    @property
    def storage(self) -> str:
        """pg_type.typstorage: p in place, m in the row as long as it fits, x anywhere."""
        if self.size != -1 or self.name in ("int2vector", "oidvector"):
            return "p"
        return "m" if self.name in ("numeric", "inet", "cidr") else "x"
