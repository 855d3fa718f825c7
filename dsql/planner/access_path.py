"""From predicates to key ranges: which index answers a condition, and over which keys.

A predicate is usable if it compares a column of the table with something known before the row is read:
constants, parameters, or columns of tables joined before ("available" slots). An index can take an
equality per key part from the left, IN lists and ORs of equalities counting as such, and a range on the
part after. For example, with a primary key (a, b), `a IN (1, 2) AND b > 5 AND c = 1` reads two ranges,
(1, 5)..(1, end] and (2, 5)..(2, end], and filters them by c = 1.

An index on an expression answers the very same expression, and a partial index is used where its predicate
follows from the conditions (`dsql.planner.index_predicates`).

The key is encoded as the column's type, so both sides must have the same runtime form: the same type,
or both integers (bounds outside the column's range are clamped at run time), or both text.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dsql.catalog.schema import Index
from dsql.planner import estimates
from dsql.planner.expressions import (
    Slot,
    conjuncts,
    fingerprint,
    is_volatile,
    slots_of,
    strip_relabel,
)
from dsql.planner.index_predicates import PartialIndexes, shape
from dsql.planner.plan import Access, AnyOf, Bound
from dsql.planner.relations import TableLeaf
from dsql.sql import bound
from dsql.sql.bound import Expression, SortKey
from dsql.types import oids, registry

INTEGERS = frozenset({20, 21, 23, 26})
TEXTS = frozenset({25, 1043})
_FLIPPED = {"<": ">", "<=": ">=", "=": "=", ">=": "<=", ">": "<"}


@dataclass(slots=True)
class Comparison:
    """A usable predicate: key `strategy` value, value an AnyOf for lists. See `Keys`."""

    key: Hashable
    strategy: str
    value: Expression | AnyOf
    condition: Expression


@dataclass(slots=True)
class Candidate:
    """A way to read a table, what it leaves to be filtered, and its cost."""

    index: Index | None
    access: Access
    rest: list[Expression]
    rows: float
    cost: float
    keys: Keys


def same_form(first: int, second: int) -> bool:
    """Return True if values of both types encode alike in keys (integers up to clamping)."""
    return (
        first == second
        or (first in INTEGERS and second in INTEGERS)
        or (first in TEXTS and second in TEXTS)
    )


class Keys:
    """What a table's indexes can be asked for: a column by its number, an expression by its fingerprint."""

    def __init__(self, leaf: TableLeaf) -> None:
        self._columns = {slot.id: number for number, slot in leaf.columns.items()}
        self._types: dict[Hashable, int] = {c.number: c.type_oid for c in leaf.table.columns}
        self._parts: dict[tuple[int, int], Hashable] = {}
        self._texts = leaf.texts
        self._shapes: set[Hashable] = set()
        if leaf.texts is not None:
            for part, expression in leaf.texts.expressions.items():
                key = self._parts[part] = fingerprint(strip_relabel(expression))
                self._types[key] = expression.type_oid
                self._shapes.add(shape(strip_relabel(expression)))

    def of(self, node: Expression) -> Hashable:
        """Return the key that an expression is, 0 if it is none."""
        bare = strip_relabel(node)
        if isinstance(bare, Slot):
            return self._columns.get(bare.id, 0)
        if self._texts is None or not self._shapes:
            return 0
        key: Hashable = fingerprint(bare)
        if key in self._types:
            return key
        if shape(bare) in self._shapes:
            self._texts.missed()
        return 0

    def of_part(self, index: Index, number: int) -> Hashable:
        """Return the key that a part of an index is."""
        return index.columns[number].column_number or self._parts[index.oid, number]

    def type_oid(self, key: Hashable) -> int:
        """Return the type that a key is encoded as."""
        return self._types[key]


def comparisons(condition: Expression, keys: Keys, own: frozenset[int]) -> list[Comparison]:
    """Read a predicate as comparisons of keys. See `comparison`.

    `a = 1 AND b = 2 OR a = 3` has `a = 1 OR a = 3` follow from it.
    """
    if not isinstance(condition, bound.Or):
        found = comparison(condition, keys, own)
        return [] if found is None else [found]
    branches = [_equalities(branch, keys, own) for branch in condition.arguments]
    shared = [key for key in branches[0] if all(key in branch for branch in branches)]
    whole = not any(isinstance(branch, bound.And) for branch in condition.arguments)
    return [
        _any_of([branch[key] for branch in branches], keys, condition if whole else None)
        for key in shared
    ]


def _equalities(
    condition: Expression, keys: Keys, own: frozenset[int]
) -> dict[Hashable, Comparison]:
    """Return what a condition wants to be equal to one value, by the keys."""
    found = [comparison(part, keys, own) for part in conjuncts(condition)]
    return {
        item.key: item
        for item in found
        if item is not None and item.strategy == "=" and not isinstance(item.value, AnyOf)
    }


def _any_of(items: list[Comparison], keys: Keys, condition: Expression | None) -> Comparison:
    """Return the comparison with any of some values; `condition` says no more, None: it does."""
    key = items[0].key
    array_oid = registry.get(keys.type_oid(key)).array_oid
    values = [item.value for item in items if not isinstance(item.value, AnyOf)]
    array = bound.ArrayConstructor(type_oid=array_oid, elements=values)
    if condition is None:
        condition = bound.Or(type_oid=oids.BOOL, arguments=[item.condition for item in items])
    return Comparison(key, "=", AnyOf(array=array), condition)


def comparison(condition: Expression, keys: Keys, own: frozenset[int]) -> Comparison | None:
    """Read a predicate as a comparison of one of the keys.

    `own` are the slots that are not known before the row is read.
    """
    if isinstance(condition, bound.Call) and condition.strategy and len(condition.arguments) == 2:
        left, right = condition.arguments
        for this, other, strategy in (
            (left, right, condition.strategy),
            (right, left, _FLIPPED[condition.strategy]),
        ):
            key = keys.of(this) if _known(other, own) else 0
            if key and _fits(this, other, keys.type_oid(key)):
                return Comparison(key, strategy, other, condition)
    elif isinstance(condition, bound.ArrayCompare) and not condition.all:
        key = keys.of(condition.left)
        element = condition.function.argument_types[1]
        if (
            key
            and condition.strategy == "="
            and _known(condition.array, own)
            and same_form(keys.type_oid(key), element)
        ):
            return Comparison(key, "=", AnyOf(array=condition.array), condition)
    return None


def _known(node: Expression, own: frozenset[int]) -> bool:
    return not (slots_of(node) & own or is_volatile(node))


def _fits(column: Expression, value: Expression, type_oid: int) -> bool:
    return same_form(type_oid, value.type_oid) and same_form(column.type_oid, value.type_oid)


def candidates(
    leaf: TableLeaf, conditions: Sequence[Expression], *, ordered: bool = False
) -> list[Candidate]:
    """Return the ways to read a table under `conditions`, the full scan first.

    `ordered`: also those that read all of an index, for the sake of its order.
    """
    table, keys, own = leaf.table, Keys(leaf), frozenset(leaf.slots)
    usable = [item for condition in conditions for item in comparisons(condition, keys, own)]
    partial = PartialIndexes(leaf.texts, conditions) if leaf.texts is not None else None
    rows = leaf.rows
    ways = [
        Candidate(
            table.primary_key, Access(), list(conditions), rows, rows * estimates.ROW_COST, keys
        )
    ]
    for index in table.indexes:
        if not index.valid:
            continue
        covered: Sequence[Expression] | None = ()
        if index.predicate is not None:
            assert partial is not None
            covered = partial.covered(index)
        if covered is not None:
            candidate = _with_index(leaf, index, keys, usable, conditions, covered)
            all_of_it = candidate.access.whole and index.predicate is None
            if not all_of_it or (ordered and not index.primary):
                ways.append(candidate)
    return ways


def _with_index(
    leaf: TableLeaf,
    index: Index,
    keys: Keys,
    usable: list[Comparison],
    conditions: Sequence[Expression],
    covered: Sequence[Expression],
) -> Candidate:
    """Return the way by an index. `covered`: conditions that its predicate stands for."""
    prefix: list[Expression | AnyOf] = []
    used: list[Expression] = []
    low = high = None
    present = False
    for number, part in enumerate(index.columns):
        key = keys.of_part(index, number)
        on_part = [item for item in usable if item.key == key]
        equal = _best_equality(on_part)
        if equal is not None:
            prefix.append(equal.value)
            used.append(equal.condition)
            continue
        if not part.descending:
            low, high, ranged = _range(on_part)
            used += ranged
        if _may_be_null(leaf, index, number):
            tests = [item for item in conditions if _is_presence(item, key, keys)]
            used += tests
            present = bool(low or high or tests)
        break
    complete = len(prefix) == len(index.columns)
    access = Access(
        prefix=tuple(prefix),
        low=low,
        high=high,
        present=present,
        conditions=tuple(used),
        unique=index.unique and complete,
    )
    taken = {id(condition) for condition in (*used, *covered)}
    rest = [condition for condition in conditions if id(condition) not in taken]
    read = estimates.access_rows(leaf.rows, index, access)
    read = estimates.filtered(read, covered)
    per_row = estimates.ROW_COST + (0.0 if index.primary else estimates.LOOKUP_COST)
    return Candidate(index, access, rest, read, read * per_row, keys)


def _is_presence(condition: Expression, key: Hashable, keys: Keys) -> bool:
    """Return whether a condition is that a key is not NULL."""
    return (
        isinstance(condition, bound.NullTest)
        and condition.negated
        and keys.of(condition.argument) == key
    )


def _may_be_null(leaf: TableLeaf, index: Index, number: int) -> bool:
    column = index.columns[number].column_number
    return not index.primary and not (column and leaf.table.columns[column - 1].is_present)


def _best_equality(items: Iterable[Comparison]) -> Comparison | None:
    """Return an equality, one with a single value before one with a list."""
    equal = [item for item in items if item.strategy == "="]
    return min(equal, key=lambda item: isinstance(item.value, AnyOf), default=None)


def _range(items: Iterable[Comparison]) -> tuple[Bound | None, Bound | None, list[Expression]]:
    low = high = None
    used = []
    for item in items:
        assert not isinstance(item.value, AnyOf)
        end = Bound(value=item.value, inclusive="=" in item.strategy)
        if item.strategy.startswith(">") and low is None:
            low = end
        elif item.strategy.startswith("<") and high is None:
            high = end
        else:
            continue
        used.append(item.condition)
    return low, high, used


def best(ways: Sequence[Candidate]) -> Candidate:
    """Return the cheapest way; at equal cost the primary key, then the first."""
    return min(ways, key=lambda way: (way.cost, way.index is None or not way.index.primary))


class OrderPart(NamedTuple):
    """A key by which the rows of an index come ordered."""

    key: Hashable
    descending: bool
    nulls_first: bool | None  # None: it is never NULL


def order_direction(
    leaf: TableLeaf,
    candidate: Candidate,
    wanted: Sequence[SortKey],
    present: Collection[int] = (),
) -> bool | None:
    """Tell whether a candidate yields rows in an order: False forward, True reversed, None if it does not.

    Parts fixed by an equality do not matter, wherever they stand in `wanted`, nor does where NULLs stand
    in columns that are `present`: the conditions let no NULL pass.
    """
    index, keys = candidate.index, candidate.keys
    if index is None or any(isinstance(part, AnyOf) for part in candidate.access.prefix):
        return None
    parts = _order(leaf, index, keys, present)
    fixed = {part.key for part in parts[: len(candidate.access.prefix)]}
    parts = [part for part in parts if part.key not in fixed]
    wanted = [key for key in wanted if keys.of(key.expression) not in fixed]
    if candidate.access.unique or not wanted:
        return False
    if len(wanted) > len(parts):
        return None
    reverse = wanted[0].descending != parts[0].descending
    for part, key in zip(parts, wanted, strict=False):
        if keys.of(key.expression) != part.key or (key.descending != part.descending) != reverse:
            return None
        if part.nulls_first is not None and (part.nulls_first != reverse) != key.nulls_first:
            return None
    return reverse


def _order(leaf: TableLeaf, index: Index, keys: Keys, present: Collection[int]) -> list[OrderPart]:
    """Return by what an index is ordered; at the end of entries that may be equal stands the row's key."""
    parts = [
        OrderPart(
            keys.of_part(index, number),
            part.descending,
            part.nulls_first
            if _may_be_null(leaf, index, number) and part.column_number not in present
            else None,
        )
        for number, part in enumerate(index.columns)
    ]
    primary = leaf.table.primary_key
    if not index.unique and primary is not None:
        known = {part.key for part in parts}
        numbers = [part.column_number for part in primary.columns]
        parts += [OrderPart(number, False, None) for number in numbers if number not in known]
    return parts
