"""Which equalities a hash table can answer, and which of their sides is whose."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from dsql.planner.access_path import same_form
from dsql.planner.expressions import is_volatile, slots_of
from dsql.sql import bound
from dsql.sql.bound import Expression

Sides = tuple[Expression, Expression]

_FLOATS = frozenset({700, 701})


def join_sides(
    condition: Expression, left: AbstractSet[int], right: AbstractSet[int]
) -> Sides | None:
    """Split an equality into what reads `left` and what reads `right`; None if it is none to be hashed."""
    for one, other in _ways(condition):
        read, other_read = slots_of(one), slots_of(other)
        apart = not read & right and not other_read & left
        if apart and read & left and other_read & right:
            return one, other
    return None


def lookup_sides(condition: Expression, made: AbstractSet[int]) -> Sides | None:
    """Split an equality into what reads `made` alone and what reads nothing of it; None as above."""
    for key, value in _ways(condition):
        read = slots_of(key)
        if read and read <= made and not slots_of(value) & made:
            return key, value
    return None


def _ways(condition: Expression) -> tuple[Sides, ...]:
    """Return both orders of an equality's sides; none if equal values need not hash alike."""
    if not (isinstance(condition, bound.Call) and condition.strategy == "="):
        return ()
    first, second = condition.arguments
    forms = {first.type_oid, second.type_oid}
    hashed = same_form(first.type_oid, second.type_oid) or forms <= _FLOATS
    if not hashed or is_volatile(condition):
        return ()
    return (first, second), (second, first)
