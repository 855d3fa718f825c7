"""What a cluster's transactions have done, counted as Aurora DSQL's metrics and prices count.

Every transaction adds to the counts of its process, whose query processor tells the host agent of them now
and then and begins anew. So nothing is counted twice, and what a killed process had not told is lost.

The metrics are those of the namespace AWS/AuroraDSQL. A transaction costs at least so many bytes read, and
one with writes so many bytes written, each of its rows and index entries at least 128.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from typing import Annotated

import msgspec

READ_BYTES_MIN = 2_048  # of a transaction
WRITE_BYTES_MIN = 1_024
SMALLEST_BYTES = 128  # of a written row or index entry, and of what is read of one of them
# Upper bounds of how long commits take; what takes longer is counted behind the last.
COMMIT_SECONDS = (
    *(0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1),
    *(0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0),
)

COUNT_MAX = 1 << 60
Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]


class Usage(msgspec.Struct, array_like=True):
    """Counts since some moment. Bytes are of keys and values, `*_microseconds` of processor or real time.

    `read_surplus` is what transactions have read beyond READ_BYTES_MIN, `write_bytes_charged` what those
    with writes are charged for; `commits` are those that took up to COMMIT_SECONDS, and longer.
    """

    transactions: Count = 0
    written: Count = 0  # of these, those that wrote something and committed it
    conflicts: Count = 0  # commits refused with SQLSTATE 40001
    timeouts: Count = 0  # transactions that were too old to go on
    bytes_read: Count = 0
    bytes_written: Count = 0
    read_surplus: Count = 0
    write_bytes_charged: Count = 0
    compute_microseconds: Count = 0
    commit_microseconds: Count = 0
    commits: Annotated[
        list[Count],
        msgspec.Meta(min_length=len(COMMIT_SECONDS) + 1, max_length=len(COMMIT_SECONDS) + 1),
    ] = msgspec.field(default_factory=lambda: [0] * (len(COMMIT_SECONDS) + 1))

    def committed(self, size: int, rows: int, seconds: float) -> None:
        """Count a commit of so many bytes in so many rows and index entries that took so long."""
        self.written += 1
        self.bytes_written += size
        self.write_bytes_charged += max(size, SMALLEST_BYTES * rows, WRITE_BYTES_MIN)
        self.commit_microseconds += int(seconds * 1_000_000)
        self.commits[bisect_left(COMMIT_SECONDS, seconds)] += 1

    def add(self, other: Usage) -> None:
        """Add what was counted elsewhere."""
        for name in _COUNTS:
            setattr(self, name, min(getattr(self, name) + getattr(other, name), COUNT_MAX))
        pairs = zip(self.commits, other.commits, strict=True)
        self.commits = [min(one + more, COUNT_MAX) for one, more in pairs]

    def take(self) -> Usage:
        """Return what was counted, and begin anew."""
        taken = copy.copy(self)
        fresh = Usage()
        for name in Usage.__struct_fields__:
            setattr(self, name, getattr(fresh, name))
        return taken

    def __bool__(self) -> bool:
        """True if anything was counted but processor time."""
        return bool(self.transactions or self.conflicts or self.timeouts)

    @property
    def read_only(self) -> int:
        """Transactions that committed no writes."""
        return self.transactions - self.written

    @property
    def read_bytes_charged(self) -> int:
        """What all transactions are charged for as read."""
        return self.transactions * READ_BYTES_MIN + self.read_surplus

    def commit_seconds(self, share: float) -> float:
        """Return how long this share of the commits took at most: a bound of COMMIT_SECONDS, 0 for none."""
        wanted = share * sum(self.commits)
        if not wanted:
            return 0.0
        reached = 0
        for bound, count in zip(COMMIT_SECONDS, self.commits, strict=False):
            reached += count
            if reached >= wanted:
                return bound
        return COMMIT_SECONDS[-1]


_COUNTS = Usage.__struct_fields__[:-1]
