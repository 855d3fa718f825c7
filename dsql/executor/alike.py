"""Long lists of expressions that differ in their constants and parameters only, to be written once.

`a = 1 OR a = 2 OR ...` of 100,000 terms is one function of a constant, mapped over a column of them: a
function's worth of source instead of megabytes, which Python takes seconds to compile and no interrupt
can cut.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dsql.planner.expressions import SHAPES, SubPlan, map_children
from dsql.sql.bound import Constant, Expression, Parameter

RUN_MIN = 32  # shorter ones are written one by one

_PLACES = frozenset(("position", "implicit"))  # what does not count
_fixed_fields: dict[type, tuple[str, ...]] = {}


@dataclass(slots=True, eq=False, kw_only=True)
class Given(Expression):
    """A constant or $n of the expression that a function is called for; `name` is its parameter."""

    name: str
    nullable: bool


@dataclass(slots=True, eq=False)
class Run:
    """Expressions that are alike: `template` with each row of `columns` for its parameters `names`.

    Columns are of values, or of `Parameter`s. A template without either has a parameter for which nothing
    is given but numbers.
    """

    template: tuple[Expression, ...]
    names: list[str]
    columns: list[Sequence[Any]]


Items = Sequence[tuple[Expression, ...]]
Item = Run | tuple[Expression, ...]


def runs(items: Items, fresh: Callable[[str], str]) -> Iterator[Item]:
    """Yield items, each of one or several expressions, in order; those that follow one another as `Run`."""
    start = 0
    while start < len(items):
        first = items[start]
        rows = _constants(items, start)
        if len(rows) >= RUN_MIN:
            width = len(rows[0])
            names = [fresh("given") for _ in range(width)] or [fresh("number")]
            given = iter(names)
            template = tuple(_opened(part, given) for part in first)
            columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
            if not width:
                columns = [range(len(rows))]
            yield Run(template, names, columns)
        else:
            yield from items[start : start + len(rows)]
        start += len(rows)


def _constants(items: Items, start: int) -> list[list[Any]]:
    """Return the constants, and the parameters, of an item and of all that are alike behind it."""
    first = items[start]
    rows: list[list[Any]] = []
    for number in range(start, len(items)):
        row: list[Any] = []
        if not all(_is_alike(a, b, row) for a, b in zip(first, items[number], strict=True)):
            break
        rows.append(row)
    return rows or [[]]  # an expression may not even be like itself


def _is_alike(first: Expression, other: Expression, constants: list[Any]) -> bool:
    """Return whether two expressions differ in constants and parameters only, and append the other's."""
    cls = type(first)
    if cls is not type(other) or first.type_oid != other.type_oid:
        return False
    if cls is Constant:
        if other.value is not None:  # type: ignore[attr-defined]
            constants.append(other.value)  # type: ignore[attr-defined]
            return first.value is not None  # type: ignore[attr-defined]
        return first.value is None  # type: ignore[attr-defined]
    if cls is Parameter:
        constants.append(other)
        return True
    if cls is SubPlan:
        return False
    for name in _fixed_fields.get(cls) or _fixed(cls):
        one, another = getattr(first, name), getattr(other, name)
        if one is not another and one != another:
            return False
    return all(
        _are_alike(getattr(first, name), getattr(other, name), constants) for name, _ in SHAPES[cls]
    )


def _are_alike(first: Any, other: Any, constants: list[Any]) -> bool:
    """Return `_is_alike` of a field's value, in the order in which `map_children` goes through it."""
    if isinstance(first, Expression):
        return _is_alike(first, other, constants)
    if isinstance(first, list | tuple):
        return len(first) == len(other) and all(
            _are_alike(one, another, constants) for one, another in zip(first, other, strict=True)
        )
    return bool(first is other or first == other)


def _fixed(cls: type) -> tuple[str, ...]:
    """Return the fields of a node class that count and hold no expressions."""
    others = {name for name, _ in SHAPES[cls]} | _PLACES
    names = (field.name for field in dataclasses.fields(cls))
    found = _fixed_fields[cls] = tuple(name for name in names if name not in others)
    return found


def _opened(node: Expression, names: Iterator[str]) -> Expression:
    """Return an expression with what is given for its constants and parameters."""
    is_parameter = type(node) is Parameter
    if is_parameter or type(node) is Constant:
        if not is_parameter and node.value is None:  # type: ignore[attr-defined]
            return node
        name, nullable = next(names), is_parameter
        return Given(type_oid=node.type_oid, typmod=node.typmod, name=name, nullable=nullable)
    opened: Expression = map_children(node, lambda child: _opened(child, names))
    return opened
