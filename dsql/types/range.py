"""Ranges as values: how they are made, compared and combined, whatever their bounds' type is.

A range is (lower, upper, flags), with PostgreSQL's flags and None for a bound that is infinite; `EMPTY` is
the empty one. A multirange is a tuple of ranges, none of them empty, in order, no two of which overlap or
adjoin. So equal ranges of a discrete type have one form, "[a,b)", and those of others compare by places.

A bound's *place* is (0,), (1, key, step) or (2,): infinitely low, a value, infinitely high. `step` is 0 for
one that is part of the range, 1 for a lower bound that is not (the range begins just above it) and -1 for
an upper one. Places compare as PostgreSQL's range_cmp_bounds has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dsql.errors import SqlError

Range = tuple[Any, Any, int]
Multirange = tuple[Range, ...]
Place = tuple[Any, ...]

IS_EMPTY = 0x01
LOWER_INCLUSIVE = 0x02
UPPER_INCLUSIVE = 0x04
LOWER_INFINITE = 0x08
UPPER_INFINITE = 0x10
EMPTY: Range = (None, None, IS_EMPTY)
_LOWER = LOWER_INCLUSIVE | LOWER_INFINITE
_UPPER = UPPER_INCLUSIVE | UPPER_INFINITE
_LOWEST: Place = (0,)
_HIGHEST: Place = (2,)


def of_range(value: Range) -> Multirange:
    """Return the multirange of one range: of the empty one that without any."""
    return () if value[2] & IS_EMPTY else (value,)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How the bounds of a range type's values behave.

    `key` makes of a value what Python compares and hashes, None where that is the value itself. `next_of`,
    of a discrete type, returns the value that follows; it raises SqlError 22003 or 22008.
    """

    key: Callable[[Any], Any] | None = None
    next_of: Callable[[Any], Any] | None = None

    def make(self, lower: Any, upper: Any, flags: int) -> Range:
        """Return a range in its one form. Raises SqlError 22000, and what `next_of` does."""
        if flags & IS_EMPTY:
            return EMPTY
        if flags & LOWER_INFINITE:
            flags &= ~LOWER_INCLUSIVE
        if flags & UPPER_INFINITE:
            flags &= ~UPPER_INCLUSIVE
        made = self._checked(lower, upper, flags)
        return made if self.next_of is None else self._canonical(made)

    def of(self, lower: Any, upper: Any, inclusive: int = LOWER_INCLUSIVE) -> Range:
        """Return the range between two values, None for infinity."""
        flags = inclusive
        flags |= LOWER_INFINITE if lower is None else 0
        flags |= UPPER_INFINITE if upper is None else 0
        return self.make(lower, upper, flags)

    def _checked(self, lower: Any, upper: Any, flags: int) -> Range:
        if not flags & (LOWER_INFINITE | UPPER_INFINITE):
            low, high = self.value(lower), self.value(upper)
            if low > high:
                message = "range lower bound must be less than or equal to range upper bound"
                raise SqlError("22000", message)
            both = LOWER_INCLUSIVE | UPPER_INCLUSIVE
            if low == high and flags & both != both:
                return EMPTY
        return lower, upper, flags

    def _canonical(self, made: Range) -> Range:
        """Return a discrete range as "[a,b)"."""
        lower, upper, flags = made
        assert self.next_of is not None
        if not flags & (IS_EMPTY | _LOWER):
            lower = self.next_of(lower)
            flags |= LOWER_INCLUSIVE if lower != made[0] else 0
        if flags & UPPER_INCLUSIVE:
            upper = self.next_of(upper)
            flags &= ~UPPER_INCLUSIVE if upper != made[1] else ~0
        return made if (lower, upper) == made[:2] else self._checked(lower, upper, flags)

    def value(self, value: Any) -> Any:
        """Return what a bound's value is compared by."""
        return value if self.key is None else self.key(value)

    def lower(self, held: Range) -> Place:
        """Return the place of the lower bound of a range that is not empty."""
        value, _, flags = held
        if flags & LOWER_INFINITE:
            return _LOWEST
        return 1, self.value(value), 0 if flags & LOWER_INCLUSIVE else 1

    def upper(self, held: Range) -> Place:
        """Return the place of the upper bound of a range that is not empty."""
        _, value, flags = held
        if flags & UPPER_INFINITE:
            return _HIGHEST
        return 1, self.value(value), 0 if flags & UPPER_INCLUSIVE else -1

    def places(self, held: Range) -> tuple[Place, ...]:
        """Return the key by which ranges order and are equal: the empty one first."""
        return () if held[2] & IS_EMPTY else (self.lower(held), self.upper(held))

    def multirange_key(self, held: Multirange) -> tuple[Any, ...]:
        """Return the key by which multiranges order and are equal."""
        return tuple(map(self.places, held))

    # ------------------------------------------------------------ relations of two ranges

    def contains(self, held: Range, other: Range) -> bool:
        """Return whether all of a range lies within another one."""
        if other[2] & IS_EMPTY:
            return True
        if held[2] & IS_EMPTY:
            return False
        return self.lower(held) <= self.lower(other) and self.upper(held) >= self.upper(other)

    def contains_value(self, held: Range, value: Any) -> bool:
        """Return whether a value lies within a range."""
        place = (1, self.value(value), 0)
        return not held[2] & IS_EMPTY and self.lower(held) <= place <= self.upper(held)

    def overlap(self, left: Range, right: Range) -> bool:
        """Return whether two ranges have anything in common."""
        if (left[2] | right[2]) & IS_EMPTY:
            return False
        return self.lower(left) <= self.upper(right) and self.lower(right) <= self.upper(left)

    def before(self, left: Range, right: Range) -> bool:
        """Return whether all of one range lies below another one."""
        return not (left[2] | right[2]) & IS_EMPTY and self.upper(left) < self.lower(right)

    def ends_within(self, left: Range, right: Range) -> bool:
        """Return whether a range does not go on above another one (&<)."""
        return not (left[2] | right[2]) & IS_EMPTY and self.upper(left) <= self.upper(right)

    def begins_within(self, left: Range, right: Range) -> bool:
        """Return whether a range does not begin below another one (&>)."""
        return not (left[2] | right[2]) & IS_EMPTY and self.lower(left) >= self.lower(right)

    def adjacent(self, left: Range, right: Range) -> bool:
        """Return whether nothing lies between two ranges, which have nothing in common."""
        if (left[2] | right[2]) & IS_EMPTY:
            return False
        return self.meet(left, right) or self.meet(right, left)

    def meet(self, left: Range, right: Range) -> bool:
        """Return whether a range begins where another one ends, neither of them empty."""
        end, start = self.upper(left), self.lower(right)
        if end == _HIGHEST or start == _LOWEST or end[1] > start[1]:
            return False
        if end[1] == start[1]:
            return bool(end[2]) != bool(start[2])
        if self.next_of is None:
            return False
        # Discrete: is there anything between the two bounds, which have changed their sides?
        between = LOWER_INCLUSIVE if end[2] else 0
        between |= UPPER_INCLUSIVE if start[2] else 0
        return self.make(left[1], right[0], between)[2] == IS_EMPTY

    # ------------------------------------------------------------ ranges made of ranges

    def merge(self, left: Range, right: Range) -> Range:
        """Return the smallest range with all of both in it."""
        if left[2] & IS_EMPTY:
            return right
        if right[2] & IS_EMPTY:
            return left
        first = left if self.lower(left) <= self.lower(right) else right
        last = left if self.upper(left) >= self.upper(right) else right
        return first[0], last[1], first[2] & _LOWER | last[2] & _UPPER

    def union(self, left: Range, right: Range) -> Range:
        """Return what lies in one of two ranges. Raises SqlError 22000 if that is no range."""
        if not (left[2] | right[2]) & IS_EMPTY and not (
            self.overlap(left, right) or self.adjacent(left, right)
        ):
            raise SqlError("22000", "result of range union would not be contiguous")
        return self.merge(left, right)

    def intersect(self, left: Range, right: Range) -> Range:
        """Return what lies in both of two ranges."""
        if not self.overlap(left, right):
            return EMPTY
        first = left if self.lower(left) >= self.lower(right) else right
        last = left if self.upper(left) <= self.upper(right) else right
        return self.make(first[0], last[1], first[2] & _LOWER | last[2] & _UPPER)

    def minus(self, left: Range, right: Range) -> Range:
        """Return what lies in the first range only. Raises SqlError 22000 if that is no range."""
        parts = self.without(left, right)
        if len(parts) > 1:
            raise SqlError("22000", "result of range difference would not be contiguous")
        return parts[0] if parts else EMPTY

    def without(self, left: Range, right: Range) -> list[Range]:
        """Return the parts of a range that are not in another one: two, one or none."""
        if left[2] & IS_EMPTY:
            return []
        if not self.overlap(left, right):
            return [left]
        parts = []
        if self.lower(left) < self.lower(right):
            end = 0 if right[2] & LOWER_INCLUSIVE else UPPER_INCLUSIVE
            parts.append(self.make(left[0], right[0], left[2] & _LOWER | end))
        if self.upper(left) > self.upper(right):
            start = 0 if right[2] & UPPER_INCLUSIVE else LOWER_INCLUSIVE
            parts.append(self.make(right[1], left[1], start | left[2] & _UPPER))
        return [part for part in parts if not part[2] & IS_EMPTY]

    # ------------------------------------------------------------ multiranges

    def joined(self, ranges: Iterable[Range]) -> Multirange:
        """Return the multirange of ranges in any order."""
        whole: list[Range] = []
        for each in sorted((r for r in ranges if not r[2] & IS_EMPTY), key=self.places):
            if whole and (self.overlap(whole[-1], each) or self.meet(whole[-1], each)):
                whole[-1] = self.merge(whole[-1], each)
            else:
                whole.append(each)
        return tuple(whole)

    def span(self, held: Multirange) -> Range:
        """Return the smallest range with all of a multirange in it."""
        if not held:
            return EMPTY
        return held[0][0], held[-1][1], held[0][2] & _LOWER | held[-1][2] & _UPPER

    def common(self, left: Multirange, right: Multirange) -> Multirange:
        """Return what lies in both of two multiranges."""
        parts: list[Range] = []
        at = other = 0
        while at < len(left) and other < len(right):
            part = self.intersect(left[at], right[other])
            if not part[2] & IS_EMPTY:
                parts.append(part)
            if self.upper(left[at]) < self.upper(right[other]):
                at += 1
            else:
                other += 1
        return tuple(parts)

    def difference(self, left: Multirange, right: Multirange) -> Multirange:
        """Return what lies in the first multirange only."""
        parts: list[Range] = []
        start = 0
        for held in left:
            while start < len(right) and self.before(right[start], held):
                start += 1
            rest, at = [held], start
            while rest and at < len(right) and not self.before(held, right[at]):
                last = rest.pop()
                rest += self.without(last, right[at])
                at += 1
            parts += rest
        return tuple(parts)

    def all_within(self, held: Multirange, others: Multirange) -> bool:
        """Return whether each of some ranges lies within one of a multirange."""
        at = 0
        for other in others:
            while at < len(held) and self.before(held[at], other):
                at += 1
            if at == len(held) or not self.contains(held[at], other):
                return False
        return True

    def any_overlap(self, left: Multirange, right: Multirange) -> bool:
        """Return whether two multiranges have anything in common."""
        at = other = 0
        while at < len(left) and other < len(right):
            if self.overlap(left[at], right[other]):
                return True
            if self.upper(left[at]) < self.upper(right[other]):
                at += 1
            else:
                other += 1
        return False
