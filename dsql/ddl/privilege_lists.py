"""The privileges of a GRANT or REVOKE as written: read off the node and held against the kind of object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dsql.access.privileges import Kind, invalid_privilege, privilege_named
from dsql.ddl import nodes
from dsql.errors import SqlError

Columns = tuple[int | None, tuple[str, ...]]  # (a privilege, None for ALL; the columns' names)


@dataclass(frozen=True, slots=True)
class PrivilegeList:
    """`mask` is about whole objects; `every` means ALL PRIVILEGES, whatever the kind has."""

    every: bool
    mask: int
    columns: tuple[Columns, ...] = ()


def read_privileges(statement: Any, kind: Kind, *, defaults: bool = False) -> PrivilegeList:
    """Read the privileges of a GrantStmt; `defaults`: inside ALTER DEFAULT PRIVILEGES.

    Raises SqlError 42601 for an unknown one, 0LP01 for one that objects of the kind do not have.
    """
    if not statement.privileges:
        return PrivilegeList(every=True, mask=0)
    known = kind.every
    if kind is Kind.TABLE and not defaults:  # it may be about a sequence, which shows only later
        known |= Kind.SEQUENCE.every
    word = "relation" if kind is Kind.TABLE else kind.word
    mask, columns = 0, []
    for wrapped in statement.privileges:
        privilege = nodes.inner(wrapped)
        if privilege.cols:
            if defaults:
                raise SqlError("0LP01", "default privileges cannot be set for columns")
            if kind is not Kind.TABLE:
                raise SqlError("0LP01", "column privileges are only valid for relations")
            columns.append(_of_columns(privilege))
            continue
        bit = privilege_named(privilege.priv_name)
        if bit & ~known:
            raise invalid_privilege(bit, word)
        mask |= bit
    return PrivilegeList(every=False, mask=mask, columns=tuple(columns))


def _of_columns(privilege: Any) -> Columns:
    bit = privilege_named(privilege.priv_name) if privilege.priv_name else None
    return bit, tuple(nodes.strings(privilege.cols))
