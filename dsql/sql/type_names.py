"""Type names as written to OIDs and typmods."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.sql.tree import position_of
from dsql.types import oids, registry
from dsql.types.typmod import encode

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
    typmod = encode(oid, [_typmod_number(argument) for argument in arguments], position)
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
