"""How many rows a step yields: rough numbers that only have to rank plans.

How many rows a table has storage knows, about (`dsql.planner.row_counts`); predicates are taken for
PostgreSQL's default selectivities (src/include/utils/selfuncs.h).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from dsql.catalog.schema import Index
from dsql.planner.plan import Access, AnyOf, Estimate
from dsql.sql import bound
from dsql.sql.bound import Expression
from dsql.types import registry

CTE_ROWS = 1000.0  # of a recursion
FUNCTION_ROWS = 100.0
EQUAL_SELECTIVITY = 0.005
RANGE_SELECTIVITY = 1 / 3
BETWEEN_SELECTIVITY = 0.005
ARRAY_LENGTH = 10.0
LIMIT_ROWS = 100.0  # of a LIMIT whose count is not known: PostgreSQL takes a tenth of all rows
SCAN_STARTUP = 100.0  # Aurora DSQL's plans show the cost of asking storage as a fixed start
ROW_COST = 0.01
LOOKUP_COST = 0.5


def selectivity(condition: Expression) -> float:
    """Return the share of rows that a condition is taken to keep."""
    if isinstance(condition, bound.And):
        share = 1.0
        for part in condition.arguments:
            share *= selectivity(part)
        return share
    if isinstance(condition, bound.Or):
        return min(1.0, sum(selectivity(part) for part in condition.arguments))
    if isinstance(condition, bound.Not):
        return 1.0 - selectivity(condition.argument)
    if isinstance(condition, bound.Call) and condition.strategy:
        return EQUAL_SELECTIVITY if condition.strategy == "=" else RANGE_SELECTIVITY
    if isinstance(condition, bound.ArrayCompare) and condition.strategy == "=":
        return min(1.0, EQUAL_SELECTIVITY * array_length(condition.array))
    if isinstance(condition, bound.NullTest):
        return 1.0 - EQUAL_SELECTIVITY if condition.negated else EQUAL_SELECTIVITY
    return 0.5


def array_length(array: Expression) -> float:
    """Return how many elements an array is taken to have."""
    if isinstance(array, bound.ArrayConstructor):
        return float(len(array.elements))
    if isinstance(array, bound.Constant) and isinstance(array.value, list):
        return float(len(array.value))
    return ARRAY_LENGTH


def filtered(rows: float, conditions: Iterable[Expression]) -> float:
    """Return the number of rows that is left of `rows` after conditions; never below one."""
    for condition in conditions:
        rows *= selectivity(condition)
    return max(1.0, round(rows))


def access_rows(rows: float, index: Index | None, access: Access) -> float:
    """Return the number of rows that an access path reads of a table of `rows`."""
    lists = math.prod(array_length(part.array) for part in access.prefix if isinstance(part, AnyOf))
    if access.unique:
        return lists
    rows *= (EQUAL_SELECTIVITY ** len(access.prefix)) * lists
    if access.low and access.high:
        rows *= BETWEEN_SELECTIVITY
    elif access.low or access.high:
        rows *= RANGE_SELECTIVITY
    if index is not None and index.unique and len(access.prefix) == len(index.columns):
        rows = lists
    return max(1.0, round(rows))


def scan(read: float, kept: float, width: int, *, lookup: bool) -> Estimate:
    """Return the estimate of a scan that reads `read` rows and keeps `kept`."""
    per_row = ROW_COST + (LOOKUP_COST if lookup else 0.0)
    startup = SCAN_STARTUP + 0.05
    return Estimate(kept, width, startup, startup + read * per_row)


def type_width(type_oid: int) -> int:
    """Return the bytes a value is taken for: the type's size, 32 if it varies (as PostgreSQL does)."""
    try:
        size = registry.get(type_oid).size
    except Exception:  # types of pseudo values have no row
        return 32
    return size if size > 0 else 32
