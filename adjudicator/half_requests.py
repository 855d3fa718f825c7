"""Requests of one cluster that have come in part: together they hold a bounded amount of memory.

Each connection may hold one request of the largest size, and a cluster has thousands. When the parts are
too many bytes, the one whose request began first gives way: whoever means well sends the rest at once.
"""

from __future__ import annotations

from typing import Generic, TypeVar

BYTES_MAX = 64 * 1024 * 1024

Connection = TypeVar("Connection")


class HalfRequests(Generic[Connection]):
    """How much of a request each connection has sent, in the order in which the requests began.

    >>> halves = HalfRequests[str](100)
    >>> halves.hold("first", 60), halves.hold("second", 60)
    (None, 'first')
    """

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._parts: dict[Connection, int] = {}

    def hold(self, connection: Connection, size: int) -> Connection | None:
        """Take note of what a connection holds, 0 for nothing; return one that has to be closed for it."""
        self._bytes += size - self._parts.get(connection, 0)
        if size:
            self._parts[connection] = size
        else:
            self._parts.pop(connection, None)
        if self._bytes <= self._bytes_max:
            return None
        slowest = next(iter(self._parts))
        self._bytes -= self._parts.pop(slowest)
        return slowest
