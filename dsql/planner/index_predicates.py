"""Which partial indexes a query may use: those whose predicate follows from its conditions.

A conjunct of a predicate follows from the same condition, and `x IS NOT NULL` from a comparison with x,
which is not true for NULL.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from dsql.catalog.schema import Index
from dsql.planner.expressions import fingerprint, map_children, strip_relabel
from dsql.planner.relations import IndexTexts
from dsql.sql import bound
from dsql.sql.bound import Expression


class PartialIndexes:
    """The partial indexes of a table under conditions."""

    def __init__(self, texts: IndexTexts, conditions: Sequence[Expression]) -> None:
        self._texts = texts
        self._conditions = {fingerprint(condition): condition for condition in conditions}
        self._compared = {key for condition in conditions for key in _compared(condition)}
        self._shapes: set[Hashable] | None = None

    def covered(self, index: Index) -> list[Expression] | None:
        """Return the conditions that an index's predicate stands for, None if it does not follow from all.

        Takes note of one that might, if only parameters were constants.
        """
        covered = []
        for conjunct in self._texts.predicates[index.oid]:
            condition = self._conditions.get(fingerprint(conjunct))
            if condition is not None:
                covered.append(condition)
            elif not self._is_not_null(conjunct):
                if self._may_follow(conjunct):
                    self._texts.missed()
                return None
        return covered

    def _is_not_null(self, conjunct: Expression) -> bool:
        return (
            isinstance(conjunct, bound.NullTest)
            and conjunct.negated
            and fingerprint(strip_relabel(conjunct.argument)) in self._compared
        )

    def _may_follow(self, conjunct: Expression) -> bool:
        if self._shapes is None:
            self._shapes = {shape(item) for item in self._conditions.values()}
        return shape(conjunct) in self._shapes


def _compared(condition: Expression) -> list[Hashable]:
    """Return what is not NULL where a condition is true."""
    if isinstance(condition, bound.Call) and condition.strategy:
        return [fingerprint(strip_relabel(argument)) for argument in condition.arguments]
    if isinstance(condition, bound.ArrayCompare) and not condition.all and condition.strategy:
        return [fingerprint(strip_relabel(condition.left))]
    return []


def shape(node: Expression) -> Hashable:
    """Return the fingerprint that an expression has in common with those that differ in values only."""
    key: Hashable = fingerprint(_without_values(node))
    return key


def _without_values(node: Any) -> Any:
    if isinstance(node, bound.Constant | bound.Parameter):
        return bound.Constant(type_oid=0, value=None)
    return map_children(node, _without_values)
