"""VARIADIC before an array, for functions of VARIADIC "any": concat(VARIADIC a)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from dsql.errors import SqlError
from dsql.functions import registry
from dsql.functions.function import Function
from dsql.types import registry as types
from dsql.types.array import leaves


def spread(callee: Function, arguments: tuple[int, ...]) -> Function:
    """Return the function of an array in the place of its last arguments. Raises SqlError 42804."""
    element = types.get(arguments[-1]).element_oid
    if not element:
        raise SqlError("42804", "VARIADIC argument must be an array")
    fixed = arguments[:-1]

    @lru_cache(16)
    def implementation(count: int) -> Callable[..., Any]:
        specialize = registry.specializer(callee.oid)
        if specialize is None:
            return callee.implementation
        made = specialize((*fixed, *(element,) * count))
        assert isinstance(made, Function)
        return made.implementation

    def call(*given: Any) -> Any:
        *before, array = given
        if array is None and callee.name != "format":
            return None
        items = [] if array is None else list(leaves(array))
        return implementation(len(items))(*before, *items)

    def write(texts: Sequence[str], _order: str) -> str:
        *first, last = texts
        return f"{callee.name}({', '.join([*first, f'VARIADIC {last}'])})"

    return replace(
        callee,
        argument_types=arguments,
        implementation=call,
        template="",
        variadic=False,
        written=write,
    )
