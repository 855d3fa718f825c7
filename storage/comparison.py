"""Comparing a replica with those of the other zones, a range of keys at a time, at one timestamp.

At the same timestamp all replicas have the same rows. So what two of them agree on and the third one sees
otherwise is wrong in the third, though every page and row of it looks right: a write that was lost, or an
old page in the place of a new one. With fewer than two other answers nobody is judged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import google_crc32c
import msgspec

from dsql.rpc.client import connect
from dsql.rpc.messages import Hello
from dsql.rpc.messages import encode as encode_opening
from dsql.rpc.server import FramedConnection
from storage.messages import Digest, Digested, Reply, decode_reply, encode

RANGE_ROWS = 250  # they are read on event loops
DIGESTED_ROWS_MAX = 2 * RANGE_ROWS  # who has more than that in the range has others anyway
_ANSWER_SECONDS = 10.0

Row = tuple[bytes, bytes]
_encode_rows = msgspec.msgpack.Encoder().encode


def digest(rows: Iterable[Row]) -> Digested:
    """Return the digest of the rows of a range, in the order of their keys."""
    some = list(islice(rows, DIGESTED_ROWS_MAX))
    return Digested(len(some), google_crc32c.value(_encode_rows(some)))


def is_outvoted(own: Digested, others: Sequence[Digested]) -> bool:
    """Return whether two others agree with each other and not with this one."""
    return len(others) > 1 and own not in others and all(other == others[0] for other in others)


class Peers:
    """The storage servers of the other zones, by their sockets, asked about one cluster."""

    def __init__(self, cluster: str, sockets: Sequence[Path]) -> None:
        self._cluster = cluster
        self._sockets = sockets
        self._connections: dict[Path, _Connection] = {}

    @property
    def exist(self) -> bool:
        """True if there are other zones to ask."""
        return bool(self._sockets)

    async def digests(self, request: Digest) -> list[Digested]:
        """Return what those say that answer in time."""
        answers = await asyncio.gather(*(self._ask(socket, request) for socket in self._sockets))
        return [answer for answer in answers if isinstance(answer, Digested)]

    async def _ask(self, socket: Path, request: Digest) -> Reply | None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                connection = self._connections.get(socket)
                if connection is None or not connection.is_open:
                    connection = await connect(socket, lambda: _Connection(self._cluster))
                    self._connections[socket] = connection
                return await connection.ask(request)
        except (OSError, TimeoutError):
            with contextlib.suppress(KeyError):  # a late answer would be taken for the next one
                self._connections.pop(socket).close()
            return None

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()


class _Connection(FramedConnection):
    def __init__(self, cluster: str) -> None:
        super().__init__()
        self._cluster = cluster
        self._answer: asyncio.Future[Reply] | None = None

    def opened(self) -> None:
        self.send(encode_opening(Hello(self._cluster)))

    async def ask(self, request: Digest) -> Reply:
        """Return the answer. Raises ConnectionResetError."""
        self._answer = asyncio.get_running_loop().create_future()
        self.send(encode(request))
        return await self._answer

    def frame_received(self, body: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(decode_reply(body))

    def closed(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the storage server went away"))
