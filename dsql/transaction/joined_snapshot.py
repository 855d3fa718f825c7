"""A snapshot of the cluster and, beside it, what the session has for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dsql.encoding.keyspace import is_local
from dsql.transaction.interface import LocalHalf, Snapshot

Row = tuple[bytes, bytes]


class JoinedSnapshot:
    """A `dsql.transaction.interface.Snapshot`: local keys from the one, all others from the other."""

    __slots__ = ("_local", "_shared", "timestamp")

    def __init__(self, shared: Snapshot, local: LocalHalf) -> None:
        self.timestamp = shared.timestamp
        self._shared = shared
        self._local = local

    @property
    def bytes_read(self) -> int:
        """Of the cluster's: what a session has for itself is not metered."""
        return self._shared.bytes_read

    @bytes_read.setter
    def bytes_read(self, count: int) -> None:
        self._shared.bytes_read = count

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, None if there is none."""
        return self._local.get(key) if is_local(key) else self._shared.get(key)

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Yield (key, value) with low <= key < high; no range goes from one keyspace to another."""
        half = self._local if is_local(low) else self._shared
        return half.scan(low, high, reverse=reverse)

    def is_outdated(self, keys: Iterable[bytes], since: int) -> bool:
        """See Snapshot. Nobody else changes what is local."""
        return self._shared.is_outdated([key for key in keys if not is_local(key)], since)

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """See Snapshot."""
        halves: tuple[list[bytes], list[bytes]] = ([], [])
        for key in keys:
            halves[is_local(key)].append(key)
        return self._shared.may_have(halves[0]) or self._local.may_have(halves[1])
