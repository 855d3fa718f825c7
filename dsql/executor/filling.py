"""Lists that take all rows of a generator, as fast as they come, on the statement's account.

CPython extends a list item by item, so who makes the rows may read those that are there already, or empty
the list. It also tells the account of large values.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from dsql.executor.memory import Held, StatementMemory

_ROWS = 1_024  # between two samples
_FEW = 64  # values that need no account


def fill(items: list[Any], rows: Iterator[Any], held: Held) -> bool:
    """Append the next rows and account for them; return False if there were no more."""
    before = len(items)
    for row in rows:
        items.append(row)
        break
    else:
        return False
    items.extend(islice(rows, _ROWS - 1))
    count = len(items) - before if len(items) > before else len(items)
    held.sample_many(items, count)
    return True


def array_of(values: Iterator[Any], memory: StatementMemory) -> list[Any]:
    """Return values as a list, which is on the account while it grows."""
    items = list(islice(values, _FEW))
    if len(items) == _FEW:
        held = Held(memory)
        held.sample_many(items, _FEW)
        while fill(items, values, held):
            pass
    return items
