"""From predicates to key ranges: which index answers a condition, and over which keys.

A predicate is usable if it compares a column of the table with something known before the row is read:
constants, parameters, or columns of tables joined before ("available" slots). An index can take an
equality per key part from the left, IN lists counting as equalities, and a range on the part after. For
example, with a primary key (a, b), `a IN (1, 2) AND b > 5 AND c = 1` reads two ranges,
(1, 5)..(1, end] and (2, 5)..(2, end], and filters them by c = 1.

The key is encoded as the column's type, so both sides must have the same runtime form: the same type,
or both integers (bounds outside the column's range are clamped at run time), or both text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dsql.catalog.schema import Index, Table
from dsql.planner import estimates
from dsql.planner.expressions import Slot, is_volatile, slots_of, strip_relabel
from dsql.planner.plan import Access, AnyOf, Bound
from dsql.sql import bound
from dsql.sql.bound import Expression, SortKey

INTEGERS = frozenset({20, 21, 23, 26})
TEXTS = frozenset({25, 1043})
_FLIPPED = {"<": ">", "<=": ">=", "=": "=", ">=": "<=", ">": "<"}


@dataclass(slots=True)
class Comparison:
    """A usable predicate: column `strategy` value, value an AnyOf for lists."""

    column: int
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
    cost: float = field(default=0.0)


def same_form(first: int, second: int) -> bool:
    """Return True if values of both types encode alike in keys (integers up to clamping)."""
    return (
        first == second
        or (first in INTEGERS and second in INTEGERS)
        or (first in TEXTS and second in TEXTS)
    )


def comparison(
    condition: Expression, columns: dict[int, int], types: dict[int, int], own: frozenset[int]
) -> Comparison | None:
    """Read a predicate as a comparison of one of the table's columns.

    `columns` maps slot ids to column numbers, `types` column numbers to type OIDs; `own` are the slots
    that are not known before the row is read.
    """
    if isinstance(condition, bound.Call) and condition.strategy and len(condition.arguments) == 2:
        left, right = condition.arguments
        for this, other, strategy in (
            (left, right, condition.strategy),
            (right, left, _FLIPPED[condition.strategy]),
        ):
            number = _column(this, columns)
            if number and _known(other, own) and _fits(this, other, types[number]):
                return Comparison(number, strategy, other, condition)
    elif isinstance(condition, bound.ArrayCompare) and not condition.all:
        number = _column(condition.left, columns)
        element = condition.function.argument_types[1]
        if (
            number
            and condition.strategy == "="
            and _known(condition.array, own)
            and same_form(types[number], element)
        ):
            return Comparison(number, "=", AnyOf(array=condition.array), condition)
    return None


def _column(node: Expression, columns: dict[int, int]) -> int:
    bare = strip_relabel(node)
    return columns.get(bare.id, 0) if isinstance(bare, Slot) else 0


def _known(node: Expression, own: frozenset[int]) -> bool:
    return not (slots_of(node) & own or is_volatile(node))


def _fits(column: Expression, value: Expression, type_oid: int) -> bool:
    return same_form(type_oid, value.type_oid) and same_form(column.type_oid, value.type_oid)


def candidates(
    table: Table,
    columns: dict[int, int],
    conditions: Sequence[Expression],
    own: frozenset[int],
) -> list[Candidate]:
    """Return the ways to read a table under `conditions`, the full scan first."""
    types = {column.number: column.type_oid for column in table.columns}
    found = [comparison(condition, columns, types, own) for condition in conditions]
    usable = [item for item in found if item is not None]
    rows = estimates.table_rows(table)
    primary = table.primary_key
    full = Candidate(primary, Access(), list(conditions), rows, rows * estimates.ROW_COST)
    ways = [full]
    for index in table.indexes:
        if index.valid and index.predicate is None:
            candidate = _with_index(table, index, usable, conditions)
            if candidate is not None:
                ways.append(candidate)
    return ways


def _with_index(
    table: Table, index: Index, usable: list[Comparison], conditions: Sequence[Expression]
) -> Candidate | None:
    prefix: list[Expression | AnyOf] = []
    used: list[Expression] = []
    low = high = None
    for part in index.columns:
        on_part = [item for item in usable if part.column_number == item.column]
        equal = _best_equality(on_part)
        if equal is not None:
            prefix.append(equal.value)
            used.append(equal.condition)
            continue
        if not part.descending:
            low, high, ranged = _range(on_part)
            nullable = not index.primary and not table.columns[part.column_number - 1].not_null
            # a range open to the side of the NULLs is filtered once more
            used += [] if nullable else ranged
        break
    if not (prefix or low or high):
        return None
    complete = len(prefix) == len(index.columns)
    access = Access(
        prefix=tuple(prefix),
        low=low,
        high=high,
        conditions=tuple(used),
        unique=index.unique and complete,
    )
    taken = {id(condition) for condition in used}
    rest = [condition for condition in conditions if id(condition) not in taken]
    read = estimates.access_rows(table, index, access)
    per_row = estimates.ROW_COST + (0.0 if index.primary else estimates.LOOKUP_COST)
    return Candidate(index, access, rest, read, read * per_row)


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


def order_direction(
    table: Table,
    candidate: Candidate,
    keys: Sequence[SortKey],
    columns: dict[int, int],
) -> bool | None:
    """Tell whether a candidate yields rows in the order of `keys`: False forward, True reversed.

    None if it does not. Parts fixed by an equality do not matter, wherever they stand in `keys`.
    """
    index = candidate.index
    if index is None or any(isinstance(part, AnyOf) for part in candidate.access.prefix):
        return None
    fixed = {part.column_number for part in index.columns[: len(candidate.access.prefix)]}
    parts = [part for part in index.columns if part.column_number not in fixed]
    wanted = [key for key in keys if _column(key.expression, columns) not in fixed]
    if candidate.access.unique or not wanted:
        return False
    if len(wanted) > len(parts):
        return None
    reverse = wanted[0].descending != parts[0].descending
    for part, key in zip(parts, wanted, strict=False):
        number = _column(key.expression, columns)
        if not number or number != part.column_number:
            return None
        if (key.descending != part.descending) != reverse:
            return None
        if not table.columns[number - 1].not_null and not index.primary:
            nulls_first_in_scan = part.nulls_first != reverse
            if nulls_first_in_scan != key.nulls_first:
                return None
    return reverse
