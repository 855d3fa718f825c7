"""Reading a storage replica through its server: the same snapshots as `LocalReplica`, over a socket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from dsql.errors import SqlError
from dsql.rpc.client import BlockingConnection, connect_blocking
from dsql.rpc.messages import Hello
from dsql.rpc.messages import encode as encode_opening
from storage.messages import (
    ROWS_PER_REPLY_MAX,
    Get,
    Locate,
    Located,
    Reason,
    Refused,
    Release,
    Reply,
    Request,
    Rows,
    Scan,
    decode_reply,
    encode,
)
from storage.snapshot import no_replica, snapshot_too_old

Row = tuple[bytes, bytes]

_FIRST_ROWS = 64


def open_cluster(socket_path: Path, cluster: str, timeout_seconds: float = 10.0) -> Located:
    """Have a storage server open a cluster's replica, and return where it stands.

    After this the replica's directory and all that its readers share with the writer are there.
    Raises SqlError 58000.
    """
    replica = RemoteReplica([socket_path], cluster, timeout_seconds=timeout_seconds)
    try:
        return replica.locate()
    finally:
        replica.close()


class RemoteReplica:
    """The storage servers of one cluster by their sockets, the preferred one first.

    A server that does not answer, or is behind for too long, is left for the next one. One snapshot is
    in use at a time.
    """

    def __init__(
        self, sockets: Sequence[Path], cluster: str, *, timeout_seconds: float = 10.0
    ) -> None:
        self._sockets = list(sockets)
        self._cluster = cluster
        self._timeout_seconds = timeout_seconds
        self._connection: BlockingConnection | None = None

    def snapshot(self, timestamp: int) -> RemoteSnapshot:
        """Return the snapshot at `timestamp`; its reads wait until a replica has reached it."""
        return RemoteSnapshot(self, timestamp)

    def release(self) -> None:
        """Let garbage collection have what only the last snapshot needed."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.send(encode(Release()), self._timeout_seconds)

    def locate(self) -> Located:
        """Return how far the replica is."""
        reply = self.ask(Locate())
        assert isinstance(reply, Located)
        return reply

    def ask(self, request: Request) -> Reply:
        """Return the answer of the first server that gives one. Raises SqlError 72000, 58000."""
        for _ in range(len(self._sockets) + 1):
            try:
                reply = self._ask_current(request)
            except OSError:
                self._leave()
                continue
            if not isinstance(reply, Refused):
                return reply
            if reply.reason == Reason.TOO_OLD:
                raise snapshot_too_old()
            self._leave()
        raise no_replica()

    def _ask_current(self, request: Request) -> Reply:
        connection = self._connection
        if connection is None:
            connected = connect_blocking(self._sockets[0], self._timeout_seconds)
            self._connection = connection = BlockingConnection(connected)
            connection.send(encode_opening(Hello(self._cluster)), self._timeout_seconds)
        connection.send(encode(request), self._timeout_seconds)
        return decode_reply(connection.receive(self._timeout_seconds))

    def _leave(self) -> None:
        """Turn to the next server."""
        self.close()
        self._sockets.append(self._sockets.pop(0))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class RemoteSnapshot:
    """A `dsql.transaction.interface.Snapshot` over a storage server."""

    __slots__ = ("_replica", "bytes_read", "timestamp")

    def __init__(self, replica: RemoteReplica, timestamp: int) -> None:
        self.timestamp = timestamp
        self.bytes_read = 0
        self._replica = replica

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key` at the timestamp, None if there is none."""
        rows = self._rows(Get(self.timestamp, key)).rows
        return rows[0][1] if rows else None

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Yield (key, value) with low <= key < high, in key order or reversed."""
        return chain.from_iterable(self._chunks(low, high, reverse=reverse))

    def is_outdated(self, keys: Iterable[bytes], since: int) -> bool:
        """Return False: the adjudicator is as near."""
        del keys, since
        return False

    def may_have(self, keys: Iterable[bytes]) -> bool:
        """Return whether one of `keys` has a value."""
        return any(self.get(key) is not None for key in keys)

    def _chunks(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[list[Row]]:
        """Yield the rows of `scan` in lists, one answer of the server each."""
        limit = _FIRST_ROWS
        while low < high:
            answer = self._rows(Scan(self.timestamp, low, high, limit, reverse))
            if answer.rows:
                yield answer.rows
            if not answer.more:
                return
            if reverse:
                high = answer.rows[-1][0]
            else:
                low = answer.rows[-1][0] + b"\x00"
            limit = min(limit * 4, ROWS_PER_REPLY_MAX)

    def _rows(self, request: Get | Scan) -> Rows:
        reply = self._replica.ask(request)
        if not isinstance(reply, Rows):
            raise SqlError("58000", "a storage server gave no rows")
        self.bytes_read += sum(map(len, chain.from_iterable(reply.rows)))
        return reply
