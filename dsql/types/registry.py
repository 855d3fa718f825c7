"""All types by OID and by name. Types enter here when their module is imported.

Those that users have made are a catalog's, which lies above this package. Each session installs its
`UserTypes` in the context that runs it: which types there are, and how they are called, is what its own
catalog and search path make of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from dsql.errors import SqlError
from dsql.types.oids import RECORD
from dsql.types.type import Type


class UserTypes(Protocol):
    """The types that users have made, as a session sees them."""

    def by_oid(self, oid: int) -> Type | None:
        """Return the type with an OID, None if there is none."""
        ...

    def by_name(self, schema: str, name: str) -> Type | None:
        """Return the type of a name, None if there is none. `schema` "": the search path finds it.

        Raises SqlError 42501 for a schema that is closed to the session's user.
        """
        ...


_installed: ContextVar[UserTypes | None] = ContextVar("user types", default=None)
_by_oid: dict[int, Type] = {}
_by_name: dict[str, Type] = {}


def register(new: Type) -> Type:
    """Add a type; each OID and each name may be taken once."""
    assert new.oid not in _by_oid, new.oid
    assert new.name not in _by_name, new.name
    _by_oid[new.oid] = new
    _by_name[new.name] = new
    return new


def find_by_oid(oid: int) -> Type | None:
    """Return the type with this OID, None if there is none."""
    found = _by_oid.get(oid)
    if found is None:
        users = _installed.get()
        found = users.by_oid(oid) if users is not None else None
    return found


def get(oid: int) -> Type:
    """Return the type with this OID. Raises SqlError 42704 for an unknown one."""
    found = find_by_oid(oid)
    if found is None:
        raise SqlError("42704", f"type with OID {oid} does not exist")
    return found


def is_composite(oid: int) -> bool:
    """Return whether values of a type have fields: records, and those of composite types."""
    found = None if oid == RECORD else find_by_oid(oid)
    return oid == RECORD or (found is not None and found.kind == "c")


def install(users: UserTypes | None) -> None:
    """Use these types of users in the running session, a context of its own, from now on."""
    _installed.set(users)


@contextmanager
def installed(users: UserTypes) -> Iterator[None]:
    """Use these types of users for what runs inside."""
    token = _installed.set(users)
    try:
        yield
    finally:
        _installed.reset(token)


def find_user_type(schema: str, name: str) -> Type | None:
    """Return the type of a user's by its name. See `UserTypes.by_name`."""
    users = _installed.get()
    return users.by_name(schema, name) if users is not None else None


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
