"""Array operators and functions. Arrays are nested lists, vectors are tuples."""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.types import registry
from dsql.types.array import (
    DIMENSIONS_MAX,
    check_bounds,
    dimensions,
    leaves,
    like,
    lower_bound,
    lower_bounds,
    shifted,
)
from dsql.types.size import array_too_large, check_elements, join

_same: Callable[[Any], Any] = lambda value: value  # noqa: E731


def _element_key(array_oid: int) -> Callable[[Any], Any]:
    """Return the hash key of an array type's elements."""
    return registry.get(registry.get(array_oid).element_oid).hash_key or _same


def append(array: list[Any] | None, item: Any) -> list[Any]:
    """Return the one-dimensional array with an element at its end."""
    _check_one_dimension(array)
    check_elements(len(array or ()) + 1)
    return like([] if array is None else array, [*(array or []), item])


def prepend(item: Any, array: list[Any] | None) -> list[Any]:
    """Return the one-dimensional array with an element at its start."""
    _check_one_dimension(array)
    check_elements(len(array or ()) + 1)
    return like([] if array is None else array, [item, *(array or [])])


def _check_one_dimension(array: list[Any] | None) -> None:
    if array and isinstance(array[0], list):
        raise SqlError("22000", "argument must be empty or one-dimensional array")


def cat(left: list[Any] | None, right: list[Any] | None) -> list[Any] | None:
    """Join arrays of equal dimensions, or an array of arrays with one more of them."""
    if left is None or right is None:
        return right if left is None else left
    first, second = dimensions(left), dimensions(right)
    if not first or not second:
        return left or right
    check_elements(math.prod(first) + math.prod(second))
    mine = list(zip(first, lower_bounds(left), strict=True))
    other = list(zip(second, lower_bounds(right), strict=True))
    if len(first) == len(second) and mine[1:] == other[1:]:
        return like(left, [*left, *right])
    if mine[1:] == other:
        return like(left, [*left, list(right)])
    if other[1:] == mine:
        return like(right, [list(left), *right])
    detail = "Arrays with differing dimensions are not compatible for concatenation."
    if len(first) == len(second):
        detail = detail.replace("dimensions", "element dimensions")
    if abs(len(first) - len(second)) > 1:
        sizes = f"{len(first)} and {len(second)}"
        detail = f"Arrays of {sizes} dimensions are not compatible for concatenation."
    raise SqlError("2202E", "cannot concatenate incompatible arrays", detail=detail)


def _contains(array_oid: int, _other: int) -> Callable[..., bool]:
    key = _element_key(array_oid)

    def contains(left: list[Any], right: list[Any]) -> bool:
        wanted = leaves(right)
        if any(item is None for item in wanted):
            return False
        held = {key(item) for item in leaves(left) if item is not None}
        return all(key(item) in held for item in wanted)

    return contains


def _contained(array_oid: int, other: int) -> Callable[..., bool]:
    contains = _contains(array_oid, other)
    return lambda left, right: contains(right, left)


def _overlap(array_oid: int, _other: int) -> Callable[..., bool]:
    key = _element_key(array_oid)

    def overlap(left: list[Any], right: list[Any]) -> bool:
        held = {key(item) for item in leaves(left) if item is not None}
        return any(item is not None and key(item) in held for item in leaves(right))

    return overlap


def _positions(array_oid: int, *_others: int) -> Callable[..., Iterator[int]]:
    """Return the search for an element's subscripts in a one-dimensional array."""
    key = _element_key(array_oid)

    def find(array: list[Any], item: Any, start: int = 0) -> Iterator[int]:
        if array and isinstance(array[0], list):
            raise SqlError(
                "0A000", "searching for elements in multidimensional arrays is not supported"
            )
        wanted = None if item is None else key(item)
        lower = lower_bound(array)
        for at in range(max(start - lower, 0), len(array)):
            held = array[at]
            if (held is None) == (item is None) and (item is None or key(held) == wanted):
                yield at + lower

    return find


def _position(*argument_oids: int) -> Callable[..., int | None]:
    find = _positions(*argument_oids)

    def position(array: list[Any] | None, item: Any, start: int | None = 0) -> int | None:
        if start is None:
            raise SqlError("22004", "initial position must not be null")
        return None if array is None else next(find(array, item, start), None)

    return position


def _all_positions(*argument_oids: int) -> Callable[..., list[int] | None]:
    find = _positions(*argument_oids)
    return lambda array, item: None if array is None else list(find(array, item))


def _remove(array_oid: int, _item: int) -> Callable[..., Any]:
    key = _element_key(array_oid)

    def remove(array: list[Any] | None, item: Any) -> list[Any] | None:
        if array is None:
            return None
        if array and isinstance(array[0], list):
            raise SqlError(
                "0A000", "removing elements from multidimensional arrays is not supported"
            )
        if item is None:
            return like(array, [held for held in array if held is not None])
        return like(array, [held for held in array if held is None or key(held) != key(item)])

    return remove


def _replace(array_oid: int, *_items: int) -> Callable[..., Any]:
    key = _element_key(array_oid)

    def replace(array: list[Any] | None, old: Any, new: Any) -> list[Any] | None:
        if array is None:
            return None
        wanted = None if old is None else key(old)

        def changed(held: Any) -> Any:
            if isinstance(held, list):
                return [changed(item) for item in held]
            if held is None or old is None:
                return new if held is old else held
            return new if key(held) == wanted else held

        return like(array, [changed(held) for held in array])

    return replace


def _to_string(array_oid: int, *_texts: int) -> Callable[..., str | None]:
    element = registry.get(registry.get(array_oid).element_oid)

    def to_string(
        context: Context, array: list[Any] | None, separator: str | None, null: str | None = None
    ) -> str | None:
        if array is None or separator is None:
            return None
        encode = element.text_encoder(context.settings)
        texts = (null if item is None else encode(item).decode() for item in leaves(array))
        return join(separator, (text for text in texts if text is not None))

    return to_string


def length(array: Sequence[Any], dimension: int) -> int | None:
    """Return the length of a dimension (from 1), None if there is none."""
    lengths = dimensions(array)
    return lengths[dimension - 1] if 1 <= dimension <= len(lengths) else None


def _lower(array: Sequence[Any], dimension: int) -> int | None:
    return None if length(array, dimension) is None else lower_bounds(array)[dimension - 1]


def _upper(array: Sequence[Any], dimension: int) -> int | None:
    size = length(array, dimension)
    return None if size is None else size + lower_bounds(array)[dimension - 1] - 1


def _subscripts(array: Sequence[Any], dimension: int, backwards: bool = False) -> range:
    """Return generate_subscripts."""
    low = _lower(array, dimension) or 0
    places = range(low, low + (length(array, dimension) or 0))
    return places[::-1] if backwards else places


def _dims(array: Sequence[Any]) -> str | None:
    pairs = zip(lower_bounds(array), dimensions(array), strict=True)
    return "".join(f"[{low}:{low + size - 1}]" for low, size in pairs) or None


def fill(
    item: Any, sizes: list[int] | None, lower: list[int] | None = None, *, given: bool = False
) -> list[Any]:
    """Return an array of the given dimensions and lower bounds with one value everywhere."""
    if sizes is None or (given and lower is None):
        raise SqlError("22004", "dimension array or low bound array cannot be null")
    if any(isinstance(row, list) for row in (*(sizes or ()), *(lower or ()))):
        raise SqlError(
            "2202E",
            "wrong number of array subscripts",
            detail="Dimension array must be one dimensional.",
        )
    if any(size is None for size in sizes):
        raise SqlError("22004", "dimension values cannot be null")
    if lower is not None and any(bound is None for bound in lower):
        raise SqlError("22004", "dimension values cannot be null")
    if lower is not None and len(lower) != len(sizes):
        raise SqlError(
            "2202E",
            "wrong number of array subscripts",
            detail="Low bound array has different size than dimensions array.",
        )
    if len(sizes) > DIMENSIONS_MAX:
        raise SqlError(
            "54000", f"number of array dimensions ({len(sizes)}) exceeds the maximum allowed (6)"
        )
    if any(size < 0 for size in sizes):
        raise array_too_large()
    check_elements(math.prod(sizes), item)
    filled: Any = item
    for size in reversed(sizes):
        filled = [filled] * size
    if not isinstance(filled, list) or not leaves(filled):
        return []
    for size, bound in zip(sizes, lower or (), strict=False):
        check_bounds(bound, size)
    return shifted(filled, lower or ())


def trim_array(array: list[Any], count: int) -> list[Any]:
    """Return the array without its last elements. Raises SqlError 2202E."""
    if not 0 <= count <= len(array):
        raise SqlError("2202E", f"number of elements to trim must be between 0 and {len(array)}")
    return list(array[: len(array) - count])


def _width_bucket(operand_oid: int, _array: int) -> Callable[..., int]:
    key = registry.get(operand_oid).sort_key or _same

    def width_bucket(operand: Any, thresholds: list[Any]) -> int:
        if thresholds and isinstance(thresholds[0], list):
            raise SqlError("2202E", "thresholds must be one-dimensional array")
        if any(item is None for item in thresholds):
            raise SqlError("22004", "thresholds array must not contain NULLs")
        return bisect.bisect_right([key(item) for item in thresholds], key(operand))

    return width_bucket


def _sample(array: list[Any], count: int) -> list[Any]:
    if not 0 <= count <= len(array):
        raise SqlError("22023", f"sample size must be between 0 and {len(array)}")
    return random.sample(array, count)


define("array_append", append)
define("array_prepend", prepend)
define("array_cat", cat)
define("arraycontains", typed=_contains)
define("arraycontained", typed=_contained)
define("arrayoverlap", typed=_overlap)
define("array_position(anycompatiblearray,anycompatible)", typed=_position)
define("array_position(anycompatiblearray,anycompatible,int4)", typed=_position)
define("array_positions", typed=_all_positions)
define("array_remove", typed=_remove)
define("array_replace", typed=_replace)
define("array_to_string(anyarray,text)", typed=_to_string, needs_context=True)
define("array_to_string(anyarray,text,text)", typed=_to_string, needs_context=True)
define("array_length", length)
define("array_lower", _lower)
define("array_upper", _upper)
define("array_ndims", lambda array: len(dimensions(array)) or None)
define("array_dims", _dims)
define("cardinality", lambda array: len(leaves(array)) if dimensions(array) else 0)
define("unnest(anyarray)", leaves)
define("generate_subscripts(anyarray,int4) generate_subscripts(anyarray,int4,bool)", _subscripts)
define("array_fill(anyelement,_int4)", fill)
define("array_fill(anyelement,_int4,_int4)", partial(fill, given=True))
define("trim_array", trim_array)
define("width_bucket(anycompatible,anycompatiblearray)", typed=_width_bucket)
define("array_shuffle", lambda array: random.sample(array, len(array)))
define("array_sample", _sample)
