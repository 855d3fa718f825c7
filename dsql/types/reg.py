"""The reg* types: OIDs that are written and read as names of catalog objects.

Text in and out needs a catalog, which lies above this package. Each session installs its `NameResolver` in
the thread that runs it: names mean what its own search path and rights make of them. Without one, OIDs show
as numbers.
"""

from __future__ import annotations

import struct
from contextvars import ContextVar
from typing import Protocol

from dsql.errors import SqlError
from dsql.types import registry
from dsql.types.integer import fixed_decoder
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8

_OID_MAX = 2**32 - 1
OID_DIGITS_MAX = 10
NAMES = (
    "regproc", "regprocedure", "regoper", "regoperator", "regclass", "regtype", "regrole",
    "regnamespace", "regcollation",
)  # fmt: skip


class NameResolver(Protocol):
    """What text in and out of reg* types needs. `kind` is the type's name ("regclass")."""

    def name_of(self, kind: str, oid: int) -> str | None:
        """Return the object's name, qualified and quoted where needed; None if there is none."""
        ...

    def oid_of(self, kind: str, name: str) -> int:
        """Return the object's OID. Raises SqlError 42P01, 42883, 42704, 3F000, ..."""
        ...


_installed: ContextVar[NameResolver | None] = ContextVar("resolver", default=None)


def install(resolver: NameResolver | None) -> None:
    """Use `resolver` in the running session, a context of its own, from now on; None for none."""
    _installed.set(resolver)


def name_of(kind: str, oid: int) -> str:
    """Return the text of a reg* value."""
    if oid == 0:
        return "-"
    resolver = _installed.get()
    name = resolver.name_of(kind, oid) if resolver else None
    if name is None and kind == "regtype":
        name = next((t.sql_name for t in registry.all_types() if t.oid == oid), None)
    return str(oid) if name is None else name


def oid_of(kind: str, text: str, resolver: NameResolver | None = None) -> int:
    """Return the OID that a reg* text means, to `resolver` or else the installed one. Raises SqlError."""
    resolver = resolver or _installed.get()
    word = text.strip()
    if word == "-":
        return 0
    if word.isdigit() and word.isascii():
        if len(word) > OID_DIGITS_MAX or int(word) > _OID_MAX:
            raise SqlError("22003", f'value "{word}" is out of range for type oid')
        return int(word)
    if resolver is not None:
        return resolver.oid_of(kind, word)
    found = registry.find_sql_name(word) if kind == "regtype" else None
    if found is None:
        raise SqlError("42704", f'{kind.removeprefix("reg")} "{text}" does not exist')
    return found.oid


def _define(kind: str) -> None:
    define(
        kind,
        encode=lambda value: name_of(kind, value).encode(),
        decode=lambda data: oid_of(kind, decode_utf8(data)),
        binary_encode=struct.Struct("!I").pack,
        binary_decode=fixed_decoder("!I"),
    )


for _name in NAMES:
    _define(_name)
