"""Arrays as values: nested lists, with lower bounds of 1 unless they are `Shifted`.

All inner lists of one level have the same length, so the shape is that of the first elements. What a row
holds of one is a list as well where that says all; else a map of lengths, lower bounds and
elements, which is also how arrays are held whose elements are held as lists (ranges, intervals).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dsql.errors import SqlError
from dsql.types.size import array_too_large

DIMENSIONS_MAX = 6
_INT4_END = 1 << 31
_LENGTHS, _LOWER, _ITEMS = "d", "l", "i"  # the keys of what a row holds of others than plain ones


class Shifted(list[Any]):
    """An array with a lower bound that is not 1; `lower` has those of all dimensions."""

    __slots__ = ("lower",)

    def __init__(self, items: Iterable[Any] = (), lower: tuple[int, ...] = (0,)) -> None:
        super().__init__(items)
        self.lower = lower

    def __reduce__(self) -> Any:
        return Shifted, (list(self), self.lower)


def from_zero(items: Iterable[Any]) -> Shifted:
    """Return the array of one dimension that a vector is: its subscripts begin at 0."""
    return Shifted(items, (0,))


def shifted(items: list[Any], lower: Sequence[int]) -> list[Any]:
    """Return an array with these lower bounds. An empty one has none."""
    if not items or all(bound == 1 for bound in lower):
        return items
    return Shifted(items, tuple(lower))


def lower_bounds(value: Sequence[Any]) -> tuple[int, ...]:
    """Return the first subscript of each dimension of an array, or of a vector (a tuple)."""
    if isinstance(value, tuple):
        return (0,)
    if isinstance(value, Shifted):
        return value.lower if value else ()
    return (1,) * len(dimensions(value))


def lower_bound(value: Sequence[Any]) -> int:
    """Return the first subscript of an array's outermost dimension, or of a vector."""
    if isinstance(value, Shifted):
        return value.lower[0]
    return 0 if isinstance(value, tuple) else 1


def like(value: Sequence[Any], items: list[Any]) -> list[Any]:
    """Return an array of the same number of dimensions whose subscripts begin as those of `value`."""
    return items if type(value) is list else shifted(items, lower_bounds(value))


def dimensions(value: Sequence[Any]) -> list[int]:
    """Return the length of each dimension: [] for an empty array, [0] for an empty vector."""
    if isinstance(value, tuple):
        return [len(value)]
    lengths: list[int] = []
    level: Any = value
    while isinstance(level, list):
        if not level:
            return []
        lengths.append(len(level))
        level = level[0]
    return lengths


def too_many_dimensions(count: int) -> SqlError:
    """Return the error (54000) of an array that would have so many."""
    message = f"number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"
    return SqlError("54000", message)


def check_bounds(lower: int, length: int) -> None:
    """Raise SqlError 54000 if a dimension's subscripts would leave the range of int4."""
    if not -_INT4_END <= lower < _INT4_END or length >= _INT4_END:
        raise array_too_large()
    if lower + length >= _INT4_END:
        raise SqlError("54000", f"array lower bound is too large: {lower}")


def map_leaves(function: Callable[[Any], Any], value: list[Any]) -> list[Any]:
    """Return a copy of the nested list with `function` applied to every element but None."""
    mapped = [
        None
        if item is None
        else map_leaves(function, item)
        if isinstance(item, list)
        else function(item)
        for item in value
    ]
    return like(value, mapped)


def leaves(value: Sequence[Any]) -> Sequence[Any]:
    """Return all elements in storage order."""
    if value and isinstance(value[0], list):
        return [leaf for item in value for leaf in leaves(item)]
    return value


def fold(elements: list[Any], lengths: Sequence[int]) -> list[Any]:
    """Nest a flat list into the given dimensions."""
    for length in reversed(lengths[1:]):
        elements = [elements[at : at + length] for at in range(0, len(elements), length)]
    return elements


def store(value: list[Any]) -> Any:
    """Return what a row holds of an array whose elements it holds as they are."""
    return value if type(value) is list else _parts(value, list(leaves(value)))


def load(held: Any) -> list[Any]:
    """Return the array of what a row holds of it."""
    return held if type(held) is list else _whole(held, held[_ITEMS])


def store_each(value: list[Any], convert: Callable[[Any], Any]) -> Any:
    """Return what a row holds of an array, `convert` being what it holds of an element."""
    items = [None if item is None else convert(item) for item in leaves(value)]
    if type(value) is list and not any(isinstance(item, list | tuple) for item in items):
        return fold(items, dimensions(value))
    return _parts(value, items)


def load_each(held: Any, convert: Callable[[Any], Any]) -> list[Any]:
    """Return the array of what a row holds of it, `convert` making an element."""
    if type(held) is list:
        return map_leaves(convert, held)
    return _whole(held, [None if item is None else convert(item) for item in held[_ITEMS]])


def _parts(value: list[Any], items: list[Any]) -> dict[str, Any]:
    return {_LENGTHS: dimensions(value), _LOWER: list(lower_bounds(value)), _ITEMS: items}


def _whole(held: dict[str, Any], items: list[Any]) -> list[Any]:
    return shifted(fold(items, held[_LENGTHS]), held[_LOWER])


def sort_key(element: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """Return the key by which arrays order: elements first (NULL last), then the shape."""
    key = element or (lambda item: item)

    def array_key(value: Sequence[Any]) -> Any:
        items = [(1, 0) if item is None else (0, key(item)) for item in leaves(value)]
        lengths = dimensions(value)
        return items, len(lengths), lengths, lower_bounds(value)

    return array_key


def hash_key(element: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """Return the hashable key of arrays; equal arrays have equal keys."""
    key = element or (lambda item: item)

    def array_key(value: Sequence[Any]) -> Any:
        return (
            tuple(None if item is None else key(item) for item in leaves(value)),
            tuple(dimensions(value)),
            lower_bounds(value),
        )

    return array_key
