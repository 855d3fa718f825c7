"""Hidden keys of rows in tables without a primary key."""

from __future__ import annotations

import struct
from random import getrandbits
from typing import Any

from dsql.functions.function import Context

_EPOCH_DIFFERENCE = 946_684_800_000_000  # microseconds from 1970-01-01 to 2000-01-01


def first_row_time(context: Context) -> int:
    """Return what the time in the statement's first row id is, in microseconds since 1970."""
    return context.statement_timestamp + _EPOCH_DIFFERENCE


# Keyspace, time and 64 random bits to a key. The time rises by one with each row, which keeps a
# statement's rows in order; nobody gains by guessing the rest, so it takes no system call.
NAMES: dict[str, Any] = {
    "first_row_time": first_row_time,
    "row_id_key": struct.Struct(">IQQ").pack,
    "getrandbits": getrandbits,
}
