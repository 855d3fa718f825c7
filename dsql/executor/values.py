"""What generated code calls for values that no single template covers: rows, typmods, sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from dsql.errors import SqlError
from dsql.executor.memory import Held, StatementMemory
from dsql.types import registry
from dsql.types.record import Record

Truth = bool | None
_CHECKED_ROWS = 256


def typmod_enforcer(type_oid: int, typmod: int, *, explicit: bool) -> Callable[[Any], Any] | None:
    """Return the function that fits a value to a typmod, None if every value fits."""
    from dsql.types.typmod import enforcer

    return enforcer(type_oid, typmod, explicit=explicit)


def leaves(array: Sequence[Any]) -> Iterator[Any]:
    """Yield the elements of an array of any dimension."""
    for item in array:
        if isinstance(item, list):
            yield from leaves(item)
        else:
            yield item


def conjunction(truths: Iterable[Truth]) -> Truth:
    """Return the AND of truth values, up to the first that decides."""
    unknown = False
    for truth in truths:
        if truth is False:
            return False
        unknown = unknown or truth is None
    return None if unknown else True


def disjunction(truths: Iterable[Truth]) -> Truth:
    """Return the OR of truth values, up to the first that decides."""
    unknown = False
    for truth in truths:
        if truth:
            return True
        unknown = unknown or truth is None
    return None if unknown else False


def first(items: Iterable[Any]) -> Any:
    """Return the first that is not None, else None."""
    return next((item for item in items if item is not None), None)


def in_turns(order: Iterable[int], iterators: Sequence[Iterator[Any]]) -> Iterator[Any]:
    """Return what iterators give, in the order of their numbers."""
    return map(next, map(iterators.__getitem__, order))


def any_element(function: Callable[[Any, Any], Truth], left: Any, array: Any) -> Truth:
    """Return `left op ANY (array)` for a strict operator."""
    if array is None:
        return None
    unknown = False
    for item in leaves(array):
        result = None if left is None or item is None else function(left, item)
        if result:
            return True
        unknown = unknown or result is None
    return None if unknown else False


def all_elements(function: Callable[[Any, Any], Truth], left: Any, array: Any) -> Truth:
    """Return `left op ALL (array)` for a strict operator."""
    if array is None:
        return None
    unknown = False
    for item in leaves(array):
        result = None if left is None or item is None else function(left, item)
        if result is False:
            return False
        unknown = unknown or result is None
    return None if unknown else True


def contained(left: Any, array: Any) -> Truth:
    """Return `left = ANY (array)` where Python's equality is SQL's."""
    if array is None:
        return None
    if array and isinstance(array[0], list):
        array = list(leaves(array))
    if left is None:
        return None if array else False
    if left in array:
        return True
    return None if None in array else False


def distinct_sorted(array: Any, sort_key: Callable[[Any], Any] | None = None) -> list[Any]:
    """Return the elements of an IN list in order, each once, NULLs left out."""
    if array is None:
        return []
    return sorted({item for item in leaves(array) if item is not None}, key=sort_key)


def all_fields_null(record: Any) -> bool:
    """Return `record IS NULL`."""
    return record is None or all(item is None for item in record)


def all_fields_present(record: Any) -> bool:
    """Return `record IS NOT NULL`."""
    return record is not None and all(item is not None for item in record)


def least(less: Callable[[Any, Any], Truth], items: Sequence[Any]) -> Any:
    """Return LEAST(...), NULLs ignored."""
    best = None
    for item in items:
        if item is not None and (best is None or less(item, best)):
            best = item
    return best


def greatest(less: Callable[[Any, Any], Truth], items: Sequence[Any]) -> Any:
    """Return GREATEST(...), NULLs ignored."""
    best = None
    for item in items:
        if item is not None and (best is None or less(best, item)):
            best = item
    return best


def checked(rows: Iterable[Any], memory: StatementMemory) -> Iterator[Any]:
    """Yield from `rows`, looking for a cancellation now and then; a list is on the account meanwhile."""
    held, check_cancel = Held(memory), memory.check_cancel
    if isinstance(rows, list):
        held.list(rows)
    iterator = iter(rows)
    while chunk := list(islice(iterator, _CHECKED_ROWS)):
        check_cancel()
        yield from chunk


def subquery_rows_error() -> SqlError:
    """Return the error of a scalar subquery with several rows."""
    return SqlError("21000", "more than one row returned by a subquery used as an expression")


def defined_row(row: tuple[Any, ...] | None, type_oids: Sequence[int]) -> tuple[Any, ...]:
    """Return a record as a row of the columns that FROM defines for it. Raises SqlError 42804."""
    if row is None:
        return (None,) * len(type_oids)
    if len(row) != len(type_oids):
        attributes = "attribute" if len(row) == 1 else "attributes"
        raise _other_row(
            f"Returned row contains {len(row)} {attributes}, but query expects {len(type_oids)}."
        )
    known = row.oids if isinstance(row, Record) else type_oids
    for number, (found, wanted) in enumerate(zip(known, type_oids, strict=True), 1):
        if found != wanted:
            names = [registry.get(type_oid).sql_name for type_oid in (found, wanted)]
            raise _other_row(
                f"Returned type {names[0]} at ordinal position {number}, but query expects {names[1]}."
            )
    return row


def _other_row(detail: str) -> SqlError:
    message = "function return row and query-specified return row do not match"
    return SqlError("42804", message, detail=detail)
