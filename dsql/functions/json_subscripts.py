"""Subscripts of jsonb: j['a'][0], and their assignment, which makes what is missing on the way."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from dsql.errors import SqlError
from dsql.functions.function import Function
from dsql.types import oids
from dsql.types.json import dump, load
from dsql.types.size import check_elements

HANDLER = 6098  # jsonb_subscript_handler


def _assign(
    text: str | None, value: str | None, integers: tuple[bool, ...], *steps: str | None
) -> str:
    """Return the container with a value (NULL: a JSON null) where the steps lead.

    `integers`: which of them were written as integers, which says what a NULL container becomes.
    """
    if None in steps:
        raise SqlError("22004", "jsonb subscript in assignment must not be null")
    path = [step for step in steps if step is not None]
    empty = "[]" if integers[0] else "{}"
    new = None if value is None else load(value)
    return dump(_with(load(empty if text is None else text), path, new, 1))


def _with(container: Any, path: list[str], new: Any, number: int) -> Any:
    """Return a container with `new` where the path leads. Raises SqlError 22023, 22P02."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(container, dict):
        if step in container:
            return container | {step: _with(container[step], rest, new, number + 1)}
        return container | {step: _chain(rest, new)}
    if not isinstance(container, list):
        raise SqlError(
            "22023",
            "cannot replace existing key",
            detail="The path assumes key is a composite object, but it is a scalar value.",
        )
    return _with_element(container, step, rest, new, number)


def _with_element(array: list[Any], step: str, rest: list[str], new: Any, number: int) -> list[Any]:
    index = _integer(step)
    if index is None:
        what = f'path element at position {number} is not an integer: "{step}"'
        raise SqlError("22P02", what)
    if index < -len(array):
        raise SqlError("22023", f"path element at position {number} is out of range: {index}")
    index += len(array) if index < 0 else 0
    if index < len(array):
        inner = _with(array[index], rest, new, number + 1)
        return [*array[:index], inner, *array[index + 1 :]]
    return [*array, *_gap(index - len(array)), _chain(rest, new)]


def _chain(path: list[str], new: Any) -> Any:
    """Return the containers that a path needs where there is nothing yet, around `new`."""
    for step in reversed(path):
        index = _integer(step)
        new = {step: new} if index is None else [*_gap(index), new]
    return new


def _gap(count: int) -> list[None]:
    check_elements(max(count, 0))
    return [None] * count


def _integer(step: str) -> int | None:
    """Return a step as an index, None for a key."""
    digits = step.removeprefix("-")
    is_integer = digits.isascii() and digits.isdigit() and len(digits) <= 10
    value = int(step) if is_integer else None
    return value if value is not None and -(2**31) <= value < 2**31 else None


@lru_cache(256)
def assignment(integers: tuple[bool, ...]) -> Function:
    """Return the function of a container, what is assigned, and the subscripts as texts."""

    def call(text: str | None, value: str | None, *steps: str | None) -> str:
        return _assign(text, value, integers, *steps)

    return Function(
        oid=HANDLER,
        name="jsonb_subscript_handler",
        argument_types=(oids.JSONB, oids.JSONB, *(oids.TEXT for _ in integers)),
        return_type=oids.JSONB,
        implementation=call,
        strict=False,
    )
