"""Hidden keys of rows in tables without a primary key."""

from __future__ import annotations

from random import randbytes

from dsql.encoding.keyspace import row_id
from dsql.functions.function import Context

_EPOCH_DIFFERENCE = 946_684_800_000_000  # microseconds from 1970-01-01 to 2000-01-01


def new_row_id(context: Context, number: int) -> bytes:
    """Return a row id for the statement's row `number`; rows of one statement keep their order."""
    microseconds = context.statement_timestamp + _EPOCH_DIFFERENCE + number
    return row_id(microseconds, randbytes(8))  # nobody gains by guessing it, so no system call
