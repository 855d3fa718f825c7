"""The adjudicators of one AZ: a leader for every cluster that is led from here, started when asked for.

The first connection that names a cluster makes its `Leadership`; an idle installation has none.

The process runs without the cyclic garbage collector. Its conflict sets hold millions of objects and
no cycles, and one full collection would stop every commit of every cluster for its whole duration.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import struct
from collections.abc import Callable, Iterator

from adjudicator.leadership import Leadership
from dsql.control.layout import Layout
from dsql.limits import JOURNAL_RECORD_BYTES_MAX
from dsql.rpc.clock import Clock, SystemClock
from dsql.rpc.messages import Hello, StatusReply, decode_opening, encode
from dsql.rpc.server import FramedConnection, ProtocolError, listen
from journal.client import Journal, LocalReplica, SocketJournal

log = logging.getLogger(__name__)

_REQUEST_BYTES_MAX = JOURNAL_RECORD_BYTES_MAX + 1024
_REQUESTS_MAX = 4


class AdjudicatorServer:
    """The leaderships of one AZ, by cluster."""

    def __init__(
        self,
        layout: Layout,
        az: str,
        journal: Journal,
        local: LocalReplica | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._layout = layout
        self._az = az
        self._journal = journal
        self._local = local
        self._clock = clock or SystemClock()
        self._leaderships: dict[str, Leadership] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def leadership(self, cluster: str) -> Leadership | None:
        """Return the leader of a cluster, started if need be; None if it is not led from this AZ."""
        leadership = self._leaderships.get(cluster)
        if leadership is None:
            record = self._layout.read_cluster(cluster)
            if record is None or record.leader_az != self._az:
                return None
            leadership = Leadership(
                self._layout, self._az, record, self._journal, self._local, self._clock
            )
            self._leaderships[cluster] = leadership
            task = asyncio.create_task(leadership.run())
            self._tasks[cluster] = task
            task.add_done_callback(lambda done: self._ended(cluster, done))
        return leadership

    def status(self) -> StatusReply:
        """Tell about every cluster that is led from here."""
        values: dict[str, int | float | str] = {"role": "adjudicator", "az": self._az}
        for cluster, leadership in self._leaderships.items():
            values.update({f"{cluster}.{name}": v for name, v in leadership.status().items()})
        return StatusReply(values)

    async def close(self) -> None:
        """Stop leading."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, cluster: str, done: asyncio.Task[None]) -> None:
        self._leaderships.pop(cluster, None)
        self._tasks.pop(cluster, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            log.critical("%s: leader stopped: %s", cluster, error, exc_info=error)


class _Connection(FramedConnection):
    """One query processor's connection.

    A query processor asks one thing at a time and waits. One that does not is cut off: what a connection
    may keep here is one request of the largest size, a few that wait, and the answers that a socket holds;
    all of a cluster's together, BYTES_MAX of requests that have come in part (`adjudicator.half_requests`).
    """

    def __init__(self, server: AdjudicatorServer) -> None:
        super().__init__(cap=_REQUEST_BYTES_MAX)
        self._server = server
        self._leadership: Leadership | None = None
        self._waiting = 0
        self._came_together = 0
        self._part_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._came_together = 0
        super().data_received(data)
        part_bytes = self._decoder.part_bytes
        if part_bytes != self._part_bytes:
            self._hold(part_bytes)

    def pause_writing(self) -> None:
        super().pause_writing()
        log.warning("closed a connection: it does not take its answers")
        self.abort()

    def frame_received(self, body: bytes) -> None:
        if self._leadership is None:
            self._open(body)
            return
        self._came_together += 1
        self._waiting += 1
        if max(self._came_together, self._waiting) > _REQUESTS_MAX:
            raise ProtocolError("more requests than anybody waits for")
        try:
            self._leadership.handle(body, self._answer)
        except (ValueError, struct.error) as error:
            raise ProtocolError(f"malformed adjudicator request: {error}") from error

    def _answer(self, reply: bytes) -> None:
        self._waiting -= 1
        self.send(reply)

    def _hold(self, part_bytes: int) -> None:
        """Count what has come of a request in the cluster's sum, and close what is too much of that."""
        if self._leadership is None:
            return  # an agent has opened it, and says for whom at once
        self._part_bytes = part_bytes
        slowest = self._leadership.half_requests.hold(self, part_bytes)
        if slowest is not None:
            log.warning("%s: closed a connection: half requests", self._leadership.cluster)
            slowest.abort()

    def closed(self) -> None:
        if self._leadership is not None:
            self._leadership.connections.discard(self)
            self._leadership.half_requests.hold(self, 0)

    def _open(self, body: bytes) -> None:
        opening = decode_opening(body)
        if not isinstance(opening, Hello):
            self.send(encode(self._server.status()))
            return
        leadership = self._server.leadership(opening.cluster) if opening.valid else None
        if leadership is None:
            raise ProtocolError(f"cluster {opening.cluster!r} is not led from here")
        leadership.connections.add(self)
        self._leadership = leadership


@contextlib.contextmanager
def garbage_collector_off() -> Iterator[None]:
    """Run without the cyclic collector; what exists now is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def serve(
    layout: Layout,
    az: str,
    on_ready: Callable[[], None],
    journal: Journal | None = None,
    local: LocalReplica | None = None,
) -> None:
    """Serve the adjudicators of `az` at run/AZ.adjudicator.sock until cancelled.

    `journal` and `local` are the AZ's journal replica if it shares this event loop.
    """
    reader = journal or SocketJournal(layout.socket(f"{az}.journal"))
    server = AdjudicatorServer(layout, az, reader, local)
    with garbage_collector_off():
        listening = await listen(layout.socket(f"{az}.adjudicator"), lambda: _Connection(server))
        try:
            on_ready()
            await asyncio.get_running_loop().create_future()
        finally:
            listening.close()
            await server.close()
