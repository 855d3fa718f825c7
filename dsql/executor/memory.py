"""How much a statement may keep in memory for sorting, hashing and materialising."""

from __future__ import annotations

from sys import getsizeof
from typing import Any

from dsql.errors import SqlError
from dsql.limits import QUERY_MEMORY_BYTES_MAX

SAMPLE_EVERY = 64  # rows between two samples; generated code knows it as `& 63`
_TUPLE_OVERHEAD = 64


class MemoryMeter:
    """Adds up what a statement keeps, by one sampled row in `SAMPLE_EVERY`. Never counts down."""

    def __init__(self, limit: int = QUERY_MEMORY_BYTES_MAX) -> None:
        self._limit = limit
        self._used = 0

    def __call__(self, rows: Any) -> None:
        """Account for the last `SAMPLE_EVERY` rows of a list or dict. Raises SqlError 54000."""
        self._used += SAMPLE_EVERY * (_TUPLE_OVERHEAD + _row_size(rows))
        if self._used > self._limit:
            raise SqlError(
                "54000",
                "query requires more than allowed temp space of "
                f"{self._limit // 1024} KB to execute",
            )


def _row_size(rows: Any) -> int:
    row = rows[-1] if isinstance(rows, list) else next(reversed(rows), ())
    if isinstance(row, tuple | list):
        return sum(getsizeof(item) for item in row)
    return getsizeof(row)
