"""How this package's SQL functions are registered.

They take the Context first and look at `context.catalog`, the catalog of the running snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from dsql.functions.function import Function
from dsql.functions.registry import register_function

Columns = tuple[tuple[str, int], ...]  # names and type OIDs

_oids = count(9_400)  # a private range: these have PostgreSQL's names, not its OIDs


def define(
    name: str,
    argument_types: tuple[int, ...],
    return_type: int,
    *,
    strict: bool = True,
    volatility: str = "s",
    schema: str = "pg_catalog",
    columns: Columns = (),
    columns_for: Callable[[int], Columns] | None = None,
    returns_set: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function (context, *arguments) under a name and signature.

    One with `columns` returns a set of rows, one that `returns_set` without them of values. `columns_for`
    returns them for the actual type of the only argument, which is polymorphic.
    """

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        function = Function(
            next(_oids),
            name,
            argument_types,
            return_type,
            implementation,
            strict=strict,
            volatility=volatility,
            needs_context=True,
            schema=schema,
            returns_set=returns_set or bool(columns or columns_for),
            columns=columns,
        )
        specializer = None
        if columns_for is not None:
            specializer = lambda actual: replace(function, columns=columns_for(*actual))  # noqa: E731
        register_function(function, specializer)
        return implementation

    return register
