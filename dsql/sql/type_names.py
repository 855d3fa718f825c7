"""Type names as written to OIDs and typmods."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.limits import NUMERIC_PRECISION_MAX
from dsql.sql.tree import position_of
from dsql.types import oids, registry

_VARHDRSZ = 4  # PostgreSQL counts a length word into the typmods of its strings and numerics
_CHARACTERS_MAX = 10_485_760  # MaxAttrSize
_BITS_MAX = 8 * _CHARACTERS_MAX
_INTERVAL_FULL_RANGE = 0x7FFF
_INTERVAL_FULL_PRECISION = 0xFFFF
_TIMES = frozenset({oids.TIME, oids.TIMETZ, oids.TIMESTAMP, oids.TIMESTAMPTZ})
_TIME_NAMES = {
    oids.TIME: "TIME",
    oids.TIMETZ: "TIME",
    oids.TIMESTAMP: "TIMESTAMP",
    oids.TIMESTAMPTZ: "TIMESTAMP",
}
# PostgreSQL's types that do not exist here at all, with the spelling PostgreSQL echoes.
_LACKING_NAMES = """
box circle line lseg path point polygon tsquery tsvector xml
"""
_LACKING = {name: name for name in _LACKING_NAMES.split()}
_PSEUDO = {"record": oids.RECORD, "void": oids.VOID, "any": oids.ANY, "unknown": oids.UNKNOWN}


def resolve_type(tree: exp.Expression) -> tuple[int, int]:
    """Return (type OID, typmod) of a DataType tree. Raises SqlError 42704, 0A000, 22023, 42601."""
    return type_oid_and_typmod(
        tree.args["names"],
        [_typmod_argument(item) for item in tree.expressions],
        tree.args["dimensions"],
        position_of(tree),
    )


def _typmod_argument(tree: exp.Expression) -> Any:
    if isinstance(tree, exp.Literal):
        return int(tree.this) if tree.is_int else tree.this
    if isinstance(tree, exp.Column):
        return tree.name
    raise SqlError(
        "42601",
        "type modifiers must be simple constants or identifiers",
        position=position_of(tree),
    )


def type_oid_and_typmod(
    names: list[str], arguments: list[Any], dimensions: int = 0, position: int = 0
) -> tuple[int, int]:
    """Return (type OID, typmod) of a type's name parts, its (arguments) and its array dimensions.

    Raises SqlError 42704 for an unknown type, 0A000 for one that only PostgreSQL has.
    """
    name = names[-1]
    schema = names[-2] if len(names) > 1 else ""
    found = registry.find(name) if schema in ("", "pg_catalog") else None
    if found is None and name not in _PSEUDO and schema != "pg_catalog":
        found = registry.find_user_type(schema, name)
    if found is None and name in _PSEUDO and schema in ("", "pg_catalog"):
        oid = _PSEUDO[name]
    elif found is None:
        shown = ".".join(names)
        if name in _LACKING and schema in ("", "pg_catalog"):
            spelled = _LACKING[name] + "[]" * bool(dimensions)
            raise unsupported(f"datatype {spelled} not supported", position=position)
        raise SqlError("42704", f'type "{shown}" does not exist', position=position)
    else:
        oid = found.oid
    typmod = make_typmod(oid, arguments, position)
    if dimensions:
        array = registry.get(oid).array_oid
        if not array:
            raise SqlError(
                "42704",
                f"could not find array type for data type {registry.get(oid).sql_name}",
                position=position,
            )
        return array, typmod
    return oid, typmod


def _typmod_number(argument: Any) -> int:
    try:
        return int(argument)
    except ValueError:
        message = f'invalid input syntax for type integer: "{argument}"'
        raise SqlError("22P02", message) from None


def make_typmod(oid: int, arguments: list[Any], position: int) -> int:
    """Return the typmod of a type's arguments, -1 without any. Raises SqlError 22023, 42601."""
    if not arguments:
        return -1
    arguments = [_typmod_number(argument) for argument in arguments]
    if oid in (oids.VARCHAR, oids.BPCHAR):
        return _string_typmod("varchar" if oid == oids.VARCHAR else "char", arguments)
    if oid in (oids.BIT, oids.VARBIT):
        return _bit_typmod("bit" if oid == oids.BIT else "varbit", arguments)
    if oid == oids.NUMERIC:
        return _numeric_typmod(arguments)
    if oid in _TIMES:
        return _time_typmod(oid, arguments)
    if oid == oids.INTERVAL:
        return _interval_typmod(arguments)
    name = registry.get(oid).sql_name
    raise SqlError("42601", f'type modifier is not allowed for type "{name}"', position=position)


def _string_typmod(name: str, arguments: list[int]) -> int:
    if len(arguments) != 1:
        raise SqlError("22023", "invalid type modifier")
    if arguments[0] < 1:
        raise SqlError("22023", f"length for type {name} must be at least 1")
    if arguments[0] > _CHARACTERS_MAX:
        raise SqlError("22023", f"length for type {name} cannot exceed {_CHARACTERS_MAX}")
    return arguments[0] + _VARHDRSZ


def _bit_typmod(name: str, arguments: list[int]) -> int:
    if len(arguments) != 1:
        raise SqlError("22023", "invalid type modifier")
    if arguments[0] < 1:
        raise SqlError("22023", f"length for type {name} must be at least 1")
    if arguments[0] > _BITS_MAX:
        raise SqlError("22023", f"length for type {name} cannot exceed {_BITS_MAX}")
    return arguments[0]


def _numeric_typmod(arguments: list[int]) -> int:
    if len(arguments) > 2:
        raise SqlError("22023", "invalid NUMERIC type modifier")
    precision = arguments[0]
    scale = arguments[1] if len(arguments) == 2 else 0
    if not 1 <= precision <= NUMERIC_PRECISION_MAX:
        raise SqlError(
            "22023", f"NUMERIC precision {precision} must be between 1 and {NUMERIC_PRECISION_MAX}"
        )
    if not -1_000 <= scale <= 1_000:
        raise SqlError("22023", f"NUMERIC scale {scale} must be between -1000 and 1000")
    return ((precision << 16) | (scale & 0x7FF)) + _VARHDRSZ


def _time_typmod(oid: int, arguments: list[int]) -> int:
    precision = arguments[0]
    if precision < 0:
        with_zone = " WITH TIME ZONE" if oid in (oids.TIMETZ, oids.TIMESTAMPTZ) else ""
        raise SqlError(
            "22023", f"{_TIME_NAMES[oid]}({precision}){with_zone} precision must not be negative"
        )
    return min(precision, 6)


def _interval_typmod(arguments: list[int]) -> int:
    fields = arguments[0]
    precision = arguments[1] if len(arguments) > 1 else _INTERVAL_FULL_PRECISION
    if len(arguments) == 1 and fields == _INTERVAL_FULL_RANGE:
        return -1
    if precision != _INTERVAL_FULL_PRECISION:
        if precision < 0:
            raise SqlError("22023", f"INTERVAL({precision}) precision must not be negative")
        precision = min(precision, 6)
    return ((fields & 0x7FFF) << 16) | (precision & 0xFFFF)
