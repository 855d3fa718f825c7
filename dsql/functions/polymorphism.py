"""Polymorphic signatures: whether actual types fit anyelement, anyarray, anycompatible, and what they make.

The rules are those of PostgreSQL's check_generic_type_consistency and enforce_generic_type_consistency:
all anyelement-family arguments share one element type; the anycompatible family finds a common type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsql.errors import SqlError
from dsql.types import oids, registry
from dsql.types.vector import VECTORS

ELEMENT_FAMILY = frozenset((oids.ANYELEMENT, oids.ANYARRAY, oids.ANYNONARRAY, oids.ANYENUM))
COMPATIBLE_FAMILY = frozenset(
    (oids.ANYCOMPATIBLE, oids.ANYCOMPATIBLEARRAY, oids.ANYCOMPATIBLENONARRAY)
)
POLYMORPHIC = ELEMENT_FAMILY | COMPATIBLE_FAMILY
_ARRAYS = frozenset((oids.ANYARRAY, oids.ANYCOMPATIBLEARRAY))
_NOT_ARRAYS = frozenset((oids.ANYNONARRAY, oids.ANYCOMPATIBLENONARRAY))

CommonType = Callable[[Sequence[int]], int | None]


def is_array(oid: int) -> bool:
    """Return whether the type is an array type proper."""
    known = registry.get(oid)
    return bool(known.element_oid) and (known.name.startswith("_") or oid in VECTORS)


def solve(
    declared: Sequence[int], actual: Sequence[int], return_type: int, common: CommonType
) -> tuple[tuple[int, ...], int] | None:
    """Return (argument types, return type) with polymorphic ones filled in; None if they cannot be.

    Unknown actual types take what the others decide. `common` finds the common type of several or
    returns None. Arguments that are not polymorphic keep their declared types.
    """
    element: int | None = None
    array: int | None = None
    members: list[int] = []
    for want, have in zip(declared, actual, strict=True):
        if want not in POLYMORPHIC or have == oids.UNKNOWN:
            continue
        if want in _ARRAYS and not is_array(have):
            return None
        if want in _NOT_ARRAYS and is_array(have):
            return None
        if want == oids.ANYENUM and registry.get(have).kind != "e":
            return None
        item = registry.get(have).element_oid if want in _ARRAYS else have
        if want == oids.ANYARRAY:
            if array not in (None, have):
                return None
            array = have
        if want in COMPATIBLE_FAMILY:
            members.append(item)
        elif element not in (None, item):
            return None
        else:
            element = item
    compatible = common(members) if members else None
    if members and compatible is None:
        return None
    if compatible is None and any(want in COMPATIBLE_FAMILY for want in declared):
        compatible = oids.TEXT
    filled = tuple(
        array if want == oids.ANYARRAY and array is not None else _fill(want, element, compatible)
        for want in (*declared, return_type)
    )
    return filled[:-1], filled[-1]


def _fill(declared: int, element: int | None, compatible: int | None) -> int:
    if declared not in POLYMORPHIC:
        return declared
    chosen = element if declared in ELEMENT_FAMILY else compatible
    if chosen is None:
        return declared
    return registry.get(chosen).array_oid if declared in _ARRAYS else chosen


def check_determined(filled: tuple[int, ...], return_type: int) -> None:
    """Raise SqlError 42804 if only unknown literals stood for a polymorphic argument."""
    if any(oid in ELEMENT_FAMILY for oid in (*filled, return_type)):
        raise SqlError(
            "42804", "could not determine polymorphic type because input has type unknown"
        )
