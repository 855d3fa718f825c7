"""Binds lists of which many items are alike: each kind once, as one item among the others.

`Spread` puts the kinds in the place of the `exp.List` that stands for all of their items, so that whoever
binds a list sees trees, and afterwards puts the kinds together again as one `bound.Alike`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from dsql.sql.bound import (
    AggregateCall,
    Alike,
    Call,
    Constant,
    Expression,
    Given,
    GroupingCall,
    WindowCall,
)
from dsql.sql.bound_query import Query
from dsql.sql.expression_lists import NotAlikeError
from dsql.sql.walk import any_node

_APART = (Query, AggregateCall, WindowCall, GroupingCall)


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Where in the trees of a list some kinds are, and in which order their items come."""

    start: int
    end: int
    order: list[int]


class Spread:
    """The `trees` of a list, each kind of many items once."""

    __slots__ = ("_kinds", "trees")

    def __init__(self, trees: Sequence[Any]) -> None:
        self.trees: list[Any] = []
        self._kinds: list[_Kinds] = []
        for tree in trees:
            if type(tree) is exp.List:
                kinds = tree.args["kinds"]
                start = len(self.trees)
                self._kinds.append(_Kinds(start, start + len(kinds), tree.args["order"]))
                self.trees += kinds
            else:
                self.trees.append(tree)

    def joined(
        self,
        bound: Sequence[Expression],
        cls: type[Expression],
        chosen: Sequence[int] | None = None,
    ) -> list[Expression]:
        """Return what was made of the trees, or of the `chosen` ones; kinds are a `cls` of their items."""
        if not self._kinds:
            return list(bound)
        return self._gathered([(one,) for one in bound], cls, chosen, lambda item: item[0])

    def items(
        self, bound: Sequence[Expression], chosen: Sequence[int] | None = None
    ) -> list[Expression]:
        """Return the same with kinds as so many items."""
        if not self._kinds:
            return list(bound)
        return self._gathered([(one,) for one in bound], None, chosen, lambda item: item[0])

    def rows(self, bound: Sequence[Any]) -> list[Any]:
        """Return the same of what is several expressions for each tree."""
        if not self._kinds:
            return list(bound)
        return self._gathered(bound, None, None, lambda item: item)

    def _gathered(
        self, bound: Sequence[Any], cls: Any, chosen: Sequence[int] | None, single: Any
    ) -> list[Any]:
        numbers = range(len(self.trees)) if chosen is None else chosen
        by_number = dict(zip(numbers, bound, strict=True))
        result: list[Any] = []
        at = 0
        for kinds in self._kinds:
            result += (single(by_number[n]) for n in range(at, kinds.start) if n in by_number)
            inside = [n for n in range(kinds.start, kinds.end) if n in by_number]
            if inside:
                renumbered = {n - kinds.start: new for new, n in enumerate(inside)}
                order = [renumbered[one] for one in kinds.order if one in renumbered]
                result.append(_alike([by_number[n] for n in inside], order, cls))
            at = kinds.end
        result += (single(by_number[n]) for n in range(at, len(self.trees)) if n in by_number)
        return result


def _alike(templates: list[Sequence[Expression]], order: list[int], cls: Any) -> Alike:
    for template in templates:
        for expression in template:
            if any_node(expression, _is_apart):
                raise NotAlikeError
    first = templates[0][-1]
    typmods = {template[-1].typmod for template in templates}
    return Alike(
        type_oid=first.type_oid,
        typmod=typmods.pop() if len(typmods) == 1 else -1,
        position=first.position,
        templates=[tuple(template) for template in templates],
        order=order,
        joined=cls,
    )


def _is_apart(node: Any, _depth: int) -> bool:
    """Tell whether a node is computed elsewhere than the expression that it is in."""
    if isinstance(node, Call):
        return node.function.returns_set
    return isinstance(node, _APART)


def constants_of(expressions: Sequence[Expression]) -> list[Any] | None:
    """Return the values of a list if they are known; kinds of `Given`s count as known."""
    values: list[Any] = []
    for expression in expressions:
        if isinstance(expression, Constant):
            values.append(expression.value)
        elif isinstance(expression, Alike) and all(
            type(one) is Given or type(one) is Constant for (one,) in expression.templates
        ):
            values += _in_order(expression)
        else:
            return None
    return values


def _in_order(alike: Alike) -> list[Any]:
    columns = [iter(one.values) if isinstance(one, Given) else None for (one,) in alike.templates]
    constants = [one.value if isinstance(one, Constant) else None for (one,) in alike.templates]
    return [
        constants[kind] if (column := columns[kind]) is None else next(column)
        for kind in alike.order
    ]
