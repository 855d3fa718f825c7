"""How this package's SQL functions are registered.

They take the Context first and look at `context.catalog`, the catalog of the running snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from dsql.functions.function import Function
from dsql.functions.registry import register_function

_oids = count(9_400)  # a private range: these have PostgreSQL's names, not its OIDs


def define(
    name: str,
    argument_types: tuple[int, ...],
    return_type: int,
    *,
    strict: bool = True,
    volatility: str = "s",
    schema: str = "pg_catalog",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function (context, *arguments) under a name and signature."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        register_function(
            Function(
                next(_oids),
                name,
                argument_types,
                return_type,
                implementation,
                strict=strict,
                volatility=volatility,
                needs_context=True,
                schema=schema,
            )
        )
        return implementation

    return register
