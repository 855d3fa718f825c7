"""Session and system functions that need only the statement's Context."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from dsql.catalog.schema import is_temporary_schema
from dsql.errors import SqlError
from dsql.functions.arithmetic import check_int8, divide_int
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.numerics import trunc
from dsql.types import array, reg, registry
from dsql.types.numeric import EXACT, format_numeric, parse_numeric, rescale
from dsql.types.type import Type

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def _current_schema(context: Context) -> str | None:
    return next(iter(_current_schemas(context, False)), None)


def _current_schemas(context: Context, implicit: bool) -> list[str]:
    path = list(context.search_path)
    temporary = [name for name in path[:1] if is_temporary_schema(name)]
    named = path[len(temporary) :]
    if not implicit:
        return named
    return [*temporary, *named] if "pg_catalog" in path else [*temporary, "pg_catalog", *named]


def _current_setting(context: Context, name: str, missing_ok: bool = False) -> str | None:
    try:
        return context.setting(name)
    except SqlError as error:
        if missing_ok and error.sqlstate == "42704":
            return None
        raise


def _version(context: Context) -> str:
    """Return what version() says: Aurora DSQL names the major version only."""
    major, _, minor = context.setting("server_version").partition(".")
    return f"PostgreSQL {major}" if context.profile == "dsql" else f"PostgreSQL {major}.{minor}"


def _set_config(context: Context, name: str | None, value: str | None, local: bool | None) -> str:
    if name is None:
        raise SqlError("22004", "SET requires parameter name")
    return context.set_setting(name, value, local=bool(local))


def size_pretty(size: int) -> str:
    """Return a byte count as "12 kB", switching units at 10 times the next one."""
    if abs(size) < 10 * 1024:
        return f"{size} bytes"
    size = divide_int(size, 512)  # keep one extra bit for rounding
    for unit in _UNITS[1:]:
        if abs(size) < 20 * 1024 - 1 or unit == _UNITS[-1]:
            break
        size = divide_int(size, 1024)
    half_up = (abs(size) + 1) // 2
    # A Decimal shows as many digits as there are; an int refuses beyond some thousands.
    return f"{Decimal(half_up if size > 0 else -half_up):f} {unit}"


def _numeric_size_pretty(size: Decimal) -> str:
    if not size.is_finite():
        return f"{format_numeric(size)} PB"
    return size_pretty(int(trunc(size, 0)))


def size_bytes(text: str) -> int:
    """Return the bytes that "1 GB" means. Raises SqlError 22023 and 22003."""
    found = re.fullmatch(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*", text)
    if not found:
        raise SqlError("22023", f'invalid size: "{text}"')
    units = [unit.lower() for unit in _UNITS]
    name = found[2].lower() or "bytes"
    if name == "b":
        name = "bytes"
    if name not in units:
        raise SqlError(
            "22023",
            f'invalid size: "{text}"',
            detail=f'Invalid size unit: "{found[2]}".',
            hint='Valid units are "bytes", "B", "kB", "MB", "GB", "TB", and "PB".',
        )
    unit = Decimal(1024 ** units.index(name))
    return check_int8(int(rescale(EXACT.multiply(parse_numeric(found[1]), unit), 0)))


_ALIGNMENTS = {"c": 1, "s": 2, "i": 4, "d": 8}


def _column_size(oid: int) -> Callable[[Any], int]:
    known = registry.get(oid)
    if known.size > 0:
        return lambda _value: known.size
    if known.category == "A" and known.element_oid:
        element = registry.get(known.element_oid)
        if element.size > 0:
            return lambda value: _array_size(value, element)
    return lambda value: len(known.binary_encode(value)) + 4


def _array_size(value: list[Any], element: Type) -> int:
    """Return the bytes of an array whose elements are all of one size, as PostgreSQL lays it out."""
    lengths, items = array.dimensions(value), array.leaves(value)
    present = len(items) - items.count(None)
    bitmap = 0 if present == len(items) else -(-len(items) // 8)
    header = -(-(16 + 8 * len(lengths) + bitmap) // 8) * 8
    alignment = _ALIGNMENTS[element.align]
    stride = -(-element.size // alignment) * alignment
    return header + (stride * (present - 1) + element.size if present else 0)


def _count_nulls(*_oids: int) -> Callable[..., int]:
    return lambda *values: sum(value is None for value in values)


def _count_values(*_oids: int) -> Callable[..., int]:
    return lambda *values: sum(value is not None for value in values)


define("current_user", lambda context: context.user.name, needs_context=True)
define("session_user", lambda context: context.session_user.name, needs_context=True)
define("current_schema", _current_schema, needs_context=True)
define("current_schemas", _current_schemas, needs_context=True)
define("current_database", lambda: "postgres")
define("current_setting(text)", _current_setting, needs_context=True)
define("current_setting(text,bool)", _current_setting, needs_context=True)
define("set_config", _set_config, needs_context=True)
define("regclass", lambda text: reg.oid_of("regclass", text))
define("version", _version, needs_context=True)
define("pg_typeof", typed=lambda oid: lambda _value: oid)
define("pg_column_size", typed=_column_size)
define("num_nulls", typed=_count_nulls)
define("num_nonnulls", typed=_count_values)
define("pg_size_pretty(int8)", size_pretty)
define("pg_size_pretty(numeric)", _numeric_size_pretty)
define("pg_size_bytes", size_bytes)
define("pg_client_encoding", lambda context: context.setting("client_encoding"), needs_context=True)
