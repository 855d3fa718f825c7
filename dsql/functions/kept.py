"""Answers about types that are kept: of the system's only, because those of users come and go.

An OID that a rolled back transaction gave out names another type later, and a type of a user's can change.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

from dsql.catalog.schema import FIRST_USER_OID
from dsql.functions import registry

Answer = TypeVar("Answer", bound=Callable[..., Any])


def kept(size: int) -> Callable[[Answer], Answer]:
    """Return the decorator that keeps so many answers of a function of type OIDs, alone or in tuples.

    They are forgotten when a function, operator or cast is registered.
    """

    def decorate(function: Answer) -> Answer:
        keeping = lru_cache(size)(function)
        registry.on_change(keeping.cache_clear)

        @wraps(function)
        def answer(*arguments: Any, **named: Any) -> Any:
            asked = (*arguments, *named.values())
            return (function if any(map(_is_of_user, asked)) else keeping)(*arguments, **named)

        return cast(Answer, answer)

    return decorate


def _is_of_user(argument: Any) -> bool:
    if isinstance(argument, tuple):
        return any(map(_is_of_user, argument))
    return isinstance(argument, int) and argument >= FIRST_USER_OID
