"""Functions and views that tools read beside the catalogs: keywords, options, time zones, spread arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from dsql.catalog.context_functions import Columns, define
from dsql.catalog.domain_text import type_name
from dsql.catalog.virtual import provides
from dsql.errors import SqlError
from dsql.types import array, oids, registry
from dsql.types.timezone import find_abbreviation, find_zone, zone_names
from dsql.types.zone_abbreviations import DAYLIGHT, OFFSETS, ZONES

_CATEGORIES = {
    "U": "unreserved",
    "C": "unreserved (cannot be function or type name)",
    "T": "reserved (can be function or type name)",
    "R": "reserved",
}
_KEYWORD_COLUMNS = (
    ("word", oids.TEXT),
    ("catcode", oids.CHAR),
    ("barelabel", oids.BOOL),
    ("catdesc", oids.TEXT),
    ("baredesc", oids.TEXT),
)
_OPTION_COLUMNS = (("option_name", oids.TEXT), ("option_value", oids.TEXT))


def _expanded_columns(array_oid: int) -> Columns:
    return (("x", registry.get(array_oid).element_oid), ("n", oids.INT4))


@define(
    "_pg_expandarray",
    (oids.ANYARRAY,),
    oids.RECORD,
    volatility="i",
    schema="information_schema",
    columns_for=_expanded_columns,
)
def _pg_expandarray(context: Any, values: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Yield an array's elements, numbered from 1; of one with more dimensions, what x[n] is: NULL."""
    del context
    for number, value in enumerate(values, 1):
        yield None if isinstance(value, list) else value, number


@cache
def _keywords() -> list[tuple[str, str, bool, str, str]]:
    text = resources.files("dsql.catalog").joinpath("keywords.tsv").read_text("utf-8")
    lines = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return [
        (
            word,
            category,
            bare == "t",
            _CATEGORIES[category],
            "can be bare label" if bare == "t" else "requires AS",
        )
        for word, category, bare in lines
    ]


@define("pg_get_keywords", (), oids.RECORD, columns=_KEYWORD_COLUMNS)
def _pg_get_keywords(context: Any) -> list[tuple[str, str, bool, str, str]]:
    del context
    return _keywords()


@define("pg_options_to_table", (oids.TEXT_ARRAY,), oids.RECORD, columns=_OPTION_COLUMNS)
def _pg_options_to_table(context: Any, options: list[str]) -> Iterator[tuple[str, str | None]]:
    """Yield what "name=value" texts say. Raises SqlError 22004 for a NULL."""
    del context
    for option in array.leaves(options):
        if option is None:
            raise SqlError("22004", "null array element not allowed in this context")
        name, sign, value = option.partition("=")
        yield name, value if sign else None


@provides("pg_catalog", "pg_timezone_names")
def _pg_timezone_names(context: Any) -> Iterator[Mapping[str, Any]]:
    now = context.transaction_timestamp
    for name in zone_names():
        zone = find_zone(name)
        assert zone is not None, name
        yield {
            "name": name,
            "abbrev": zone.abbreviation_at(now),
            "utc_offset": (0, 0, zone.offset_at(now) * 1_000_000),
            "is_dst": zone.is_daylight_at(now),
        }


@provides("pg_catalog", "pg_timezone_abbrevs")
def _pg_timezone_abbrevs(context: Any) -> Iterator[Mapping[str, Any]]:
    now = context.transaction_timestamp
    for name in sorted((*OFFSETS, *ZONES)):
        zone = find_abbreviation(name)
        assert zone is not None, name
        yield {
            "abbrev": name,
            "utc_offset": (0, 0, zone.offset_at(now) * 1_000_000),
            "is_dst": name in DAYLIGHT,
        }


@define("oidvectortypes", (oids.OIDVECTOR,), oids.TEXT)
def _oidvectortypes(context: Any, types: Iterable[int]) -> str:
    """Return the names of an argument list's types, as pgAdmin shows it."""
    catalog, path = context.catalog, context.search_path
    return ", ".join(type_name(oid, -1, catalog, path) for oid in types)
