"""All types by OID and by name. Types enter here when their module is imported."""

from __future__ import annotations

from collections.abc import Iterator

from dsql.errors import SqlError
from dsql.types.type import Type

_by_oid: dict[int, Type] = {}
_by_name: dict[str, Type] = {}


def register(new: Type) -> Type:
    """Add a type; each OID and each name may be taken once."""
    assert new.oid not in _by_oid, new.oid
    assert new.name not in _by_name, new.name
    _by_oid[new.oid] = new
    _by_name[new.name] = new
    return new


def get(oid: int) -> Type:
    """Return the type with this OID. Raises SqlError 42704 for an unknown one."""
    try:
        return _by_oid[oid]
    except KeyError:
        raise SqlError("42704", f"type with OID {oid} does not exist") from None


def find(name: str) -> Type | None:
    """Return the type with this pg_type.typname ("int4", "_text"), None if there is none."""
    return _by_name.get(name)


def all_types() -> Iterator[Type]:
    """Yield every type in OID order."""
    for oid in sorted(_by_oid):
        yield _by_oid[oid]


def find_sql_name(name: str) -> Type | None:
    """Return the type of an SQL spelling ("integer", "character varying", "int4", "text[]")."""
    words = " ".join(name.lower().split())
    element = words.removesuffix("[]").strip()
    if element != words:
        scalar = find_sql_name(element)
        return _by_oid.get(scalar.array_oid) if scalar else None
    words = _SPELLINGS.get(words, words)
    found = _by_name.get(words)
    if found is not None:
        return found
    return next((known for known in _by_oid.values() if known.sql_name == words), None)


# Spellings of the grammar that are neither a typname nor what format_type prints.
_SPELLINGS = {
    "int": "int4",
    "decimal": "numeric",
    "dec": "numeric",
    "float": "float8",
    "char": "bpchar",
    "character": "bpchar",
    '"char"': "char",
    "char varying": "varchar",
    "national character": "bpchar",
    "nchar": "bpchar",
    "timestamp": "timestamp",
}
