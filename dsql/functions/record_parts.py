"""What assigns to a field of a composite value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsql.functions.function import Function
from dsql.types import registry
from dsql.types.record import Record, record_class

HANDLER = 9003  # no row of pg_proc: PostgreSQL has a kind of node for that


def field_assignment(type_oid: int, index: int) -> Function:
    """Return the function of a value of a composite type and the new value of one of its fields."""
    fields = registry.get(type_oid).fields
    make = record_class(tuple(name for name, _, _ in fields), tuple(oid for _, oid, _ in fields))

    def assign(value: Sequence[Any] | None, new: Any) -> Record:
        items = [None] * len(fields) if value is None else list(value)
        items[index] = new
        return make(items)

    return Function(
        oid=HANDLER,
        name="field_assignment",
        argument_types=(type_oid, fields[index][1]),
        return_type=type_oid,
        implementation=assign,
        strict=False,
    )
