"""The functions of enums. How their values compare is that of the places which they are (dsql.types)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.errors import SqlError
from dsql.functions.aggregates import larger_of, smaller_of
from dsql.functions.definition import define, define_aggregate
from dsql.types import registry


def _labels(oid: int) -> list[float]:
    """Return the values of an enum in order."""
    return list(registry.get(oid).values)


def _end(last: bool) -> Callable[[int], Callable[[Any], float]]:
    def of_type(oid: int) -> Callable[[Any], float]:
        def end(_value: Any) -> float:
            labels = _labels(oid)
            if not labels:
                message = f"enum {registry.get(oid).sql_name} contains no values"
                raise SqlError("55000", message)
            return labels[-1 if last else 0]

        return end

    return of_type


def _range(oid: int, _high: int = 0) -> Callable[..., list[float]]:
    def between(low: float | None, high: float | None = None) -> list[float]:
        return [
            label
            for label in _labels(oid)
            if (low is None or label >= low) and (high is None or label <= high)
        ]

    return between


define("enum_first", typed=_end(last=False))
define("enum_last", typed=_end(last=True))
define("enum_range(anyenum)", typed=lambda oid: lambda _value: _range(oid)(None))
define("enum_range(anyenum,anyenum)", typed=_range)
define("enum_cmp", template="(({0} > {1}) - ({0} < {1}))")
define("enum_larger", template="max({0}, {1})")
define("enum_smaller", template="min({0}, {1})")
define_aggregate("max(anyenum)", lambda: None, larger_of, any_order=True)
define_aggregate("min(anyenum)", lambda: None, smaller_of, any_order=True)
