"""The names that functions' templates use, as globals for generated code.

Family modules `export` what their templates call; generated code copies NAMES once all are imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from dsql.types import templates as type_templates

NAMES: dict[str, Any] = dict(type_templates.NAMES)

_CALLED = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(")
_BUILTINS = frozenset(("int", "float", "len", "abs", "str", "bool", "min", "max", "round"))
_MAY_BE_NONE = re.compile(r"\b(None|Any|Optional|object)\b|^[A-Z]$")  # in a function's annotation

AnyCallable = TypeVar("AnyCallable", bound=Callable[..., Any])


def export(function: AnyCallable) -> AnyCallable:
    """Make a function callable from templates under its own name."""
    name = function.__name__
    assert NAMES.setdefault(name, function) is function, name
    return function


@cache
def template_may_be_none(template: str) -> bool:
    """Return whether code of a template may have None as its value, though no argument is None."""
    called = {*_CALLED.findall(template)} - _BUILTINS
    return "None" in template or any(may_return_none(NAMES.get(name)) for name in called)


def may_return_none(function: Callable[..., Any] | None) -> bool:
    """Return whether a function may: unless its annotation, which mypy has checked, says otherwise."""
    returned = getattr(function, "__annotations__", {}).get("return")
    return not isinstance(returned, str) or _MAY_BE_NONE.search(returned) is not None
