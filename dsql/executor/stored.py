"""From runtime values to what row values hold and back, one at a time; generated code does it by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from dsql.types import registry
from dsql.types import templates as type_templates


def load(type_oid: int, stored: Any) -> Any:
    """Return the runtime value of what a row value holds."""
    return None if stored is None else _converter(registry.get(type_oid).load_template)(stored)


def store(type_oid: int, value: Any) -> Any:
    """Return what a row value holds for a runtime value."""
    return None if value is None else _converter(registry.get(type_oid).store_template)(value)


@cache
def _converter(template: str) -> Callable[[Any], Any]:
    text = f"lambda value: {(template or '{0}').format('value')}"
    converter: Callable[[Any], Any] = eval(text, dict(type_templates.NAMES))
    return converter
