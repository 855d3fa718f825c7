"""The WITH (...) options of tables: taken, checked and shown as PostgreSQL does. They change nothing."""

from __future__ import annotations

from typing import Any

from dsql.ddl import nodes
from dsql.errors import SqlError, unsupported

_BOOLEANS = frozenset(("true", "false", "on", "off", "yes", "no", "1", "0", "t", "f", "y", "n"))
_FLAGS = frozenset(("autovacuum_enabled", "user_catalog_table", "vacuum_truncate"))
_BILLION = 2_000_000_000
# Bounds of whole numbers (PostgreSQL's reloptions.c).
_NUMBERS = {
    "fillfactor": (10, 100),
    "toast_tuple_target": (128, 8160),
    "parallel_workers": (0, 1024),
    "autovacuum_vacuum_threshold": (0, 2_147_483_647),
    "autovacuum_vacuum_insert_threshold": (-1, 2_147_483_647),
    "autovacuum_analyze_threshold": (0, 2_147_483_647),
    "autovacuum_vacuum_cost_limit": (1, 10_000),
    "autovacuum_freeze_min_age": (0, 1_000_000_000),
    "autovacuum_freeze_max_age": (100_000, _BILLION),
    "autovacuum_freeze_table_age": (0, _BILLION),
    "log_autovacuum_min_duration": (-1, 2_147_483_647),
}
_FRACTIONS = frozenset(
    (
        "autovacuum_vacuum_scale_factor",
        "autovacuum_vacuum_insert_scale_factor",
        "autovacuum_analyze_scale_factor",
        "autovacuum_vacuum_cost_delay",
    )
)


def read_storage_option(name: str, element: Any) -> str:
    """Return the text of a table's option. Raises SqlError 22023."""
    value = nodes.option_value(element)
    text = (
        "true" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
    if element.defnamespace not in ("", "toast"):
        message = f'unrecognized parameter namespace "{element.defnamespace}"'
        raise SqlError("22023", message)
    if name in ("oids", "tableoids"):
        raise unsupported("tables declared WITH OIDS are not supported")
    if name in _FLAGS:
        _require(text.lower() in _BOOLEANS, "boolean", name, text)
    elif name in _NUMBERS:
        low, high = _NUMBERS[name]
        _require(text.lstrip("-").isdigit(), "integer", name, text)
        if not low <= int(text) <= high:
            raise SqlError(
                "22023",
                f'value {text} out of bounds for option "{name}"',
                detail=f'Valid values are between "{low}" and "{high}".',
            )
    elif name in _FRACTIONS:
        _require(text.replace(".", "", 1).isdigit(), "floating point", name, text)
    elif name != "vacuum_index_cleanup":
        raise SqlError("22023", f'unrecognized parameter "{name}"')
    return text


def _require(is_valid: bool, kind: str, name: str, text: str) -> None:
    if not is_valid:
        raise SqlError("22023", f'invalid value for {kind} option "{name}": {text}')
