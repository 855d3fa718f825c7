"""A running transaction between two statements, as a value: what another process needs to go on with it.

The snapshot is its start timestamp, at which every process reads the same. Somebody has to show it to
garbage collection all the while: who gives the transaction away does, until the other one has taken it up.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dsql.transaction.interface import Mode, Notification
from dsql.transaction.read_set import ReadSetRecord

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Version = tuple[bytes | None, Mode, Count]  # value, mode, number of the statement that wrote it


class BufferRecord(msgspec.Struct, array_like=True, frozen=True):
    """The own writes: for each key its versions, the newest last, and the keys that are only checked.

    `statement` is the number of the last one, `rows` how many have been modified. `notifications` are
    with the number of the statement that has made each. `found_at`: see `dsql.transaction.write_buffer`.
    """

    statement: Count = 0
    rows: Count = 0
    writes: tuple[tuple[bytes, tuple[Version, ...]], ...] = ()
    checks: tuple[tuple[bytes, Mode], ...] = ()
    notifications: tuple[tuple[Notification, Count], ...] = ()
    found_at: tuple[tuple[bytes, Count], ...] = ()


class TransactionRecord(msgspec.Struct, array_like=True, frozen=True):
    """`start_timestamp` 0: it has none yet. `started_at` is in seconds of the host's monotonic clock.

    `reads`: of a serializable one.
    """

    start_timestamp: Count = 0
    started_at: float = 0.0
    buffer: BufferRecord = BufferRecord()
    reads: ReadSetRecord | None = None
