"""Long lists of expressions that differ in their constants and parameters only, to be written once.

`a = 1 OR a = 2 OR ...` of 100,000 terms is one function of a constant, mapped over a column of them: a
function's worth of source instead of megabytes, which Python takes seconds to compile and no interrupt
can cut. `a = 1 OR b > 2 OR a = 3 OR ...` is two of them, called in turns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from dsql.planner.expressions import SHAPES, Holds, SubPlan, map_children
from dsql.sql.bound import Alike, Constant, Expression, Given, Parameter
from dsql.types import oids

RUN_MIN = 32  # of one kind, or of each kind on average; fewer are written one by one
_KINDS_MAX = 1_000  # of one run

_PLACES = frozenset(("position", "implicit"))  # what does not count


Item = Alike | tuple[Expression, ...]


def runs(items: Iterable[Item], joined: type[Expression] | None = None) -> Iterator[Item]:
    """Yield items, each of one or several expressions, in order; those that are alike as one `Alike`.

    `joined` is what it is for: see there.
    """
    stretch = _Stretch(joined)
    for item in items:
        if isinstance(item, Alike):
            yield from stretch.runs()
            yield item
            stretch = _Stretch(joined)
            continue
        shape, row = shape_of(item)
        if shape not in stretch.numbers and stretch.ends_here():
            yield from stretch.runs()
            stretch = _Stretch(joined)
        stretch.add(item, shape, row)
    yield from stretch.runs()


@dataclass(slots=True, eq=False)
class _Stretch:
    """Items that follow one another, by their shapes. `rows` has the constants and parameters of each."""

    joined: type[Expression] | None
    items: list[tuple[Expression, ...]] = field(default_factory=list)
    numbers: dict[Any, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)

    def add(self, item: tuple[Expression, ...], shape: Any, row: list[Any]) -> None:
        """Append an item."""
        self.order.append(self.numbers.setdefault(shape, len(self.numbers)))
        self.items.append(item)
        self.rows.append(row)

    def ends_here(self) -> bool:
        """Return True if another shape is too much for it, or would keep it from being a run."""
        kinds, count = len(self.numbers), len(self.items)
        return kinds == _KINDS_MAX or RUN_MIN * kinds <= count < RUN_MIN * (kinds + 1) - 1

    def runs(self) -> Iterator[Item]:
        """Yield it as one run, or the runs of one kind in it and what is between them."""
        count = len(self.items)
        if count >= RUN_MIN * len(self.numbers):
            yield from [self._run(range(count))] if count else []
            return
        for _, places in groupby(range(count), self.order.__getitem__):
            alike = [*places]
            if len(alike) >= RUN_MIN:
                yield self._run(alike)
            else:
                yield from [self.items[place] for place in alike]

    def _run(self, places: Sequence[int]) -> Alike:
        rows: dict[int, list[list[Any]]] = {}
        first: dict[int, tuple[Expression, ...]] = {}
        for place in places:
            number = self.order[place]
            if number not in first:
                first[number], rows[number] = self.items[place], []
            rows[number].append(self.rows[place])
        item = self.items[places[0]]  # of no expression where rows are only counted
        return Alike(
            type_oid=item[-1].type_oid if item else oids.RECORD,
            typmod=item[-1].typmod if item else -1,
            templates=[_template(first[number], rows[number]) for number in first],
            order=self.order if len(first) > 1 else [0] * len(places),
            joined=self.joined,
        )


def _template(first: tuple[Expression, ...], rows: list[list[Any]]) -> tuple[Expression, ...]:
    columns = zip(*rows, strict=True)
    return tuple(_opened(part, columns) for part in first)


def shape_of(item: tuple[Expression, ...]) -> tuple[tuple[Any, ...], list[Any]]:
    """Return a value that is equal for expressions that are alike, and their constants and parameters."""
    shape: list[Any] = []
    constants: list[Any] = []
    for node in item:
        _add_node(node, shape, constants)
    return tuple(shape), constants


def _add_node(node: Any, shape: list[Any], constants: list[Any]) -> None:
    cls = type(node)
    if cls is Constant:
        shape += (cls, node.type_oid, node.value is None)
        if node.value is not None:
            constants.append(node.value)
    elif cls is Parameter:
        shape += (cls, node.type_oid)
        constants.append(node)
    elif cls is SubPlan or cls is Given or cls is Alike:
        shape.append(node)  # like no other
    else:
        fixed, lists, inner = _PARTS[cls]
        shape.append(cls)
        shape += fixed(node)
        for name in lists:
            shape.append(tuple(getattr(node, name)))
        for name, holds in inner:
            if holds is Holds.NODE:
                _add_node(getattr(node, name), shape, constants)
            else:
                _add(getattr(node, name), shape, constants)


def _add(value: Any, shape: list[Any], constants: list[Any]) -> None:
    """Add a field's value, in the order in which `map_children` goes through it."""
    if isinstance(value, Expression):
        _add_node(value, shape, constants)
    elif isinstance(value, list | tuple):
        shape.append(len(value))
        for item in value:
            _add(item, shape, constants)
    else:
        shape.append(value)


_Parts = tuple[Callable[[Any], tuple[Any, ...]], list[str], tuple[tuple[str, Holds], ...]]


class _PartsByClass(dict[type, _Parts]):
    """By node class its fields that count: those without expressions, of these the lists, all others."""

    def __missing__(self, cls: type) -> _Parts:
        inner = SHAPES[cls]
        others = {name for name, _ in inner} | _PLACES
        fields = [one for one in dataclasses.fields(cls) if one.name not in others]
        lists = [one.name for one in fields if str(one.type).startswith("list")]
        plain = [one.name for one in fields if one.name not in lists]
        assert len(plain) > 1, "a node has a type and its modifier"
        found = self[cls] = attrgetter(*plain), lists, inner
        return found


_PARTS = _PartsByClass()


def _opened(node: Expression, columns: Iterator[tuple[Any, ...]]) -> Expression:
    """Return an expression with what is given for its constants and parameters."""
    nullable = type(node) is Parameter
    if nullable or type(node) is Constant:
        if not nullable and node.value is None:  # type: ignore[attr-defined]
            return node
        values = next(columns)
        return Given(type_oid=node.type_oid, typmod=node.typmod, values=values, nullable=nullable)
    opened: Expression = map_children(node, lambda child: _opened(child, columns))
    return opened
