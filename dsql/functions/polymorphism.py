"""Polymorphic signatures: whether actual types fit anyelement, anyarray, anycompatible, and what they make.

The rules are those of PostgreSQL's check_generic_type_consistency and enforce_generic_type_consistency:
all anyelement-family arguments share one element type; the anycompatible family finds a common type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsql.errors import SqlError
from dsql.types import oids, registry
from dsql.types.vector import VECTORS

ELEMENT_FAMILY = frozenset(
    (
        oids.ANYELEMENT,
        oids.ANYARRAY,
        oids.ANYNONARRAY,
        oids.ANYENUM,
        oids.ANYRANGE,
        oids.ANYMULTIRANGE,
    )
)
COMPATIBLE_FAMILY = frozenset(
    (
        oids.ANYCOMPATIBLE,
        oids.ANYCOMPATIBLEARRAY,
        oids.ANYCOMPATIBLENONARRAY,
        oids.ANYCOMPATIBLERANGE,
        oids.ANYCOMPATIBLEMULTIRANGE,
    )
)
POLYMORPHIC = ELEMENT_FAMILY | COMPATIBLE_FAMILY
_ARRAYS = frozenset((oids.ANYARRAY, oids.ANYCOMPATIBLEARRAY))
_RANGES = frozenset((oids.ANYRANGE, oids.ANYCOMPATIBLERANGE))
_MULTIRANGES = frozenset((oids.ANYMULTIRANGE, oids.ANYCOMPATIBLEMULTIRANGE))
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
    exact, compatible = _Family(), _Family()
    for want, have in zip(declared, actual, strict=True):
        if want not in POLYMORPHIC or have == oids.UNKNOWN:
            continue
        family = compatible if want in COMPATIBLE_FAMILY else exact
        if not family.take(want, have):
            return None
    if not exact.settle_exactly() or not compatible.settle(common):
        return None
    if compatible.element is None and any(want in COMPATIBLE_FAMILY for want in declared):
        compatible.element = oids.TEXT
    filled = tuple(
        (compatible if want in COMPATIBLE_FAMILY else exact).fill(want)
        for want in (*declared, return_type)
    )
    return filled[:-1], filled[-1]


class _Family:
    """What the arguments of one family of polymorphic types say: element type, array and range type."""

    def __init__(self) -> None:
        self.element: int | None = None
        self._array: int | None = None
        self._range: int | None = None
        self._elements: list[int] = []

    def take(self, want: int, have: int) -> bool:
        """Note an argument's type; return whether it is of the kind that is wanted."""
        kind = registry.get(have)
        if want in _ARRAYS:
            if not is_array(have) or (want == oids.ANYARRAY and self._array not in (None, have)):
                return False
            self._array = have
            have = kind.element_oid
        elif want in _RANGES or want in _MULTIRANGES:
            if kind.kind != ("r" if want in _RANGES else "m"):
                return False
            of_range = have if want in _RANGES else kind.subtype_oid
            if self._range not in (None, of_range):
                return False
            self._range = of_range
            have = registry.get(of_range).subtype_oid
        elif (want in _NOT_ARRAYS and is_array(have)) or (
            want == oids.ANYENUM and kind.kind != "e"
        ):
            return False
        self._elements.append(have)
        return True

    def settle_exactly(self) -> bool:
        """Settle on the one element type that there is; return whether there is no other one."""
        self.element = self._elements[0] if self._elements else None
        return len(set(self._elements)) <= 1

    def settle(self, common: CommonType) -> bool:
        """Settle on the common type of the elements, which is a range's if there is one."""
        self._array = None
        if self._elements:
            self.element = common(self._elements)
            if self.element is None:
                return False
        return self._range is None or registry.get(self._range).subtype_oid == self.element

    def fill(self, declared: int) -> int:
        """Return what stands for a declared type: itself where nothing is known."""
        if declared not in POLYMORPHIC:
            return declared
        if declared in _RANGES or declared in _MULTIRANGES:
            if self._range is None:
                return declared
            is_range = declared in _RANGES
            return self._range if is_range else registry.get(self._range).multirange_oid
        if self.element is None:
            return declared
        if declared in _ARRAYS:
            return self._array or registry.get(self.element).array_oid
        return self.element


def mismatch(declared: Sequence[int], actual: Sequence[int]) -> SqlError:
    """Return the error (42804) of arguments of which `solve` makes nothing, a NULL of anyrange for one."""
    for family, kind in ((_MULTIRANGES, "a multirange type"), (_RANGES, "a range type")):
        for want, have in zip(declared, actual, strict=True):
            if have != oids.UNKNOWN and want in family and not _Family().take(want, have):
                names = registry.get(want).sql_name, registry.get(have).sql_name
                return SqlError(
                    "42804", f"argument declared {names[0]} is not {kind} but type {names[1]}"
                )
    return SqlError("42804", "arguments of polymorphic types do not go together")


def check_determined(filled: tuple[int, ...], return_type: int) -> None:
    """Raise SqlError 42804 if only unknown literals stood for a polymorphic argument."""
    if any(oid in ELEMENT_FAMILY for oid in (*filled, return_type)):
        raise SqlError(
            "42804", "could not determine polymorphic type because input has type unknown"
        )
