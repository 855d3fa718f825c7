"""The names that functions' templates use, as globals for generated code.

Family modules `export` what their templates call; generated code copies NAMES once all are imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dsql.types import templates as type_templates

NAMES: dict[str, Any] = dict(type_templates.NAMES)

AnyCallable = TypeVar("AnyCallable", bound=Callable[..., Any])


def export(function: AnyCallable) -> AnyCallable:
    """Make a function callable from templates under its own name."""
    name = function.__name__
    assert NAMES.setdefault(name, function) is function, name
    return function
