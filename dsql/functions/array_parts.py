"""Parts of arrays: elements, slices, arrays of arrays, and what assigns to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from dsql.errors import SqlError
from dsql.functions.function import Function
from dsql.types.array import (
    DIMENSIONS_MAX,
    check_bounds,
    dimensions,
    fold,
    from_zero,
    leaves,
    like,
    lower_bounds,
    shifted,
    too_many_dimensions,
)
from dsql.types.size import check_elements

HANDLER = 6179  # array_subscript_handler


class _Absent:
    """A slice bound that was not written."""


ABSENT: Final = _Absent()
Bound = Any  # an integer, ABSENT or None (NULL)


def stack_arrays(items: list[Any]) -> list[Any]:
    """Return the array of arrays. Raises SqlError 2202E unless they agree in their dimensions, 54000."""
    present = [item for item in items if item is not None]
    if len(present) < len(items) and present:
        raise _mismatch()
    if len({(*dimensions(item), *lower_bounds(item)) for item in present}) > 1:
        raise _mismatch()
    if present and len(dimensions(present[0])) >= DIMENSIONS_MAX:
        raise too_many_dimensions(len(dimensions(present[0])) + 1)
    if all(not item for item in present):
        return []
    return shifted([list(item) for item in present], (1, *lower_bounds(present[0])))


def _mismatch() -> SqlError:
    return SqlError(
        "2202E",
        "multidimensional arrays must have array expressions with matching dimensions",
    )


def array_element(array: Any, indexes: Sequence[Any]) -> Any:
    """Return array[i, ...]: NULL outside the bounds or for fewer subscripts than dimensions.

    A vector is a tuple; in an array of vectors its numbers are no dimension. A name has characters.
    """
    if isinstance(array, (tuple, str)):
        array = from_zero(array)
    lower = () if type(array) is list or array is None else lower_bounds(array)
    for at, index in enumerate(indexes):
        if index is None or not isinstance(array, list):
            return None
        place = index - (lower[at] if at < len(lower) else 1)
        if not 0 <= place < len(array):
            return None
        array = array[place]
    return None if isinstance(array, list) else array


def array_slice(array: Any, lower: Sequence[Bound], upper: Sequence[Bound]) -> Any:
    """Return array[low:high, ...], whose subscripts begin at 1; an absent bound is the array's own."""
    if array is None or None in lower or None in upper:
        return None
    lengths, first = dimensions(array), lower_bounds(array)
    if len(lower) > len(lengths):
        return []
    places = []
    for length, least, low, high in zip(lengths, first, lower, upper, strict=False):
        start = 0 if low is ABSENT else max(low - least, 0)
        end = length if high is ABSENT else min(high - least + 1, length)
        if start >= end:
            return []
        places.append(slice(start, end))
    return _cut(list(array), places)


def _cut(array: list[Any], places: Sequence[slice]) -> list[Any]:
    part = array[places[0]]
    return [_cut(item, places[1:]) for item in part] if len(places) > 1 else part


def set_element(array: list[Any] | None, value: Any, indexes: Sequence[int | None]) -> list[Any]:
    """Return an array with an element assigned; one of one dimension grows as far as that needs.

    Raises SqlError 2202E, 22004, 54000.
    """
    where = [_given(index) for index in indexes]
    if not array:
        for index in where:
            check_bounds(index, 1)
        return shifted(fold([value], [1] * len(where)), where)
    lower = lower_bounds(array)
    if len(where) != len(lower):
        raise _wrong_number()
    if len(where) == 1:
        return _set_items(array, where[0], where[0], [value])
    places = [index - least for index, least in zip(where, lower, strict=True)]
    if any(not 0 <= at < length for at, length in zip(places, dimensions(array), strict=True)):
        raise SqlError("2202E", "array subscript out of range")
    return like(array, _with(list(array), [slice(at, at + 1) for at in places], iter([value])))


def set_slice(
    array: list[Any] | None, value: list[Any] | None, lower: Sequence[Bound], upper: Sequence[Bound]
) -> list[Any] | None:
    """Return an array with a slice assigned, from the elements of another one in their order.

    Raises SqlError 2202E, 22004, 54000.
    """
    if value is None:
        return array
    low = [_given(bound) for bound in lower]
    high = [_given(bound) for bound in upper]
    if not array:
        return _new_slice(value, low, high)
    lengths, first = dimensions(array), lower_bounds(array)
    if len(low) > len(lengths):
        raise _wrong_number()
    low = [least if at is ABSENT else at for at, least in zip(low, first, strict=False)]
    ends = [least + length - 1 for least, length in zip(first, lengths, strict=True)]
    high = [end if at is ABSENT else at for at, end in zip(high, ends, strict=False)]
    if any(start > end for start, end in zip(low, high, strict=True)):
        raise SqlError("2202E", "upper bound cannot be less than lower bound")
    if len(lengths) == 1:
        return _set_items(array, low[0], high[0], _enough(value, high[0] - low[0] + 1))
    limits = zip(low, high, first, ends, strict=False)
    if any(start < least or end > last for start, end, least, last in limits):
        raise SqlError("2202E", "array subscript out of range")
    places = [slice(a - c, b - c + 1) for a, b, c in zip(low, high, first, strict=False)]
    places += [slice(0, length) for length in lengths[len(places) :]]
    items = _enough(value, math.prod(each.stop - each.start for each in places))
    return like(array, _with(list(array), places, iter(items)))


def _given(bound: Bound) -> Any:
    if bound is None:
        raise SqlError("22004", "array subscript in assignment must not be null")
    return bound


def _wrong_number() -> SqlError:
    return SqlError("2202E", "wrong number of array subscripts")


def _new_slice(value: list[Any], low: list[Bound], high: list[Bound]) -> list[Any]:
    """Return the array that an assignment to a slice of an empty one makes."""
    if ABSENT in (*low, *high):
        raise SqlError(
            "2202E",
            "array slice subscript must provide both boundaries",
            detail="When assigning to a slice of an empty array value,"
            " slice boundaries must be fully specified.",
        )
    if any(start > end for start, end in zip(low, high, strict=True)):
        raise SqlError("2202E", "upper bound cannot be less than lower bound")
    lengths = [end - start + 1 for start, end in zip(low, high, strict=True)]
    for start, length in zip(low, lengths, strict=True):
        check_bounds(start, length)
    return shifted(fold(_enough(value, math.prod(lengths)), lengths), low)


def _enough(value: list[Any], count: int) -> list[Any]:
    items = list(leaves(value))
    if len(items) < count:
        raise SqlError("2202E", "source array too small")
    return items[:count]


def _set_items(array: list[Any], start: int, end: int, items: list[Any]) -> list[Any]:
    """Return a one-dimensional array with elements from subscript `start` to `end`; gaps are NULL."""
    least = lower_bounds(array)[0]
    first, last = min(start, least), max(end, least + len(array) - 1)
    check_elements(last - first + 1)
    check_bounds(first, last - first + 1)
    whole = [None] * (least - first) + list(array) + [None] * (last - least - len(array) + 1)
    whole[start - first : end - first + 1] = items
    return shifted(whole, (first,))


def _with(array: list[Any], places: Sequence[slice], items: Any) -> list[Any]:
    """Return a nested list with the elements at some places replaced, in their order."""
    changed = list(array)
    for at in range(places[0].start, places[0].stop):
        changed[at] = _with(array[at], places[1:], items) if len(places) > 1 else next(items)
    return changed


def assignment(
    array_oid: int, value_oid: int, index_oid: int, given: tuple[tuple[bool, bool], ...] | None
) -> Function:
    """Return the function of a container, what is assigned, and the subscripts.

    `given`: of a slice, for each dimension which of the bounds are written; None for an element.
    """
    count = sum(map(sum, given)) if given is not None else 0

    def element(array: list[Any] | None, value: Any, *indexes: int | None) -> list[Any]:
        return set_element(array, value, indexes)

    def part(array: list[Any] | None, value: list[Any] | None, *bounds: int | None) -> Any:
        lower, upper = _spread(given or (), bounds)
        return set_slice(array, value, lower, upper)

    function: Callable[..., Any] = element if given is None else part
    return Function(
        oid=HANDLER,
        name="array_subscript_handler",
        argument_types=(array_oid, value_oid, *(index_oid for _ in range(count))),
        return_type=array_oid,
        implementation=function,
        strict=False,
    )


def _spread(
    given: tuple[tuple[bool, bool], ...], bounds: Sequence[int | None]
) -> tuple[list[Bound], list[Bound]]:
    """Return lower and upper bounds, those that were not written being absent."""
    rest = iter(bounds)
    pairs = [tuple(next(rest) if is_given else ABSENT for is_given in pair) for pair in given]
    return [low for low, _ in pairs], [high for _, high in pairs]
