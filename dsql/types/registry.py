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
