"""The storage replicas of one AZ, for all clusters, and reading them from afar.

The server follows a cluster that has a replica in its AZ while somebody uses it: the AZ's adjudicator as
long as the cluster is awake (`adjudicator.server`), and whoever is connected here. A second or two later
the replica is closed, and of a cluster at rest there are files only. Query processors of the same host read
the environments themselves (`storage.local_replica`); all others ask here. Predicates, projections and
aggregates are not pushed down yet: a remote scan returns the whole rows of its range, a limited number at
a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

from dsql.control.departures import Departures
from dsql.control.layout import Layout
from dsql.disk.files import SYSTEM_FILES, Files
from dsql.errors import SqlError
from dsql.rpc.boot import current_boot
from dsql.rpc.clock import ClockUnavailableError, PublishedClock
from dsql.rpc.messages import Hello, StatusReply, decode_opening
from dsql.rpc.messages import encode as encode_opening
from dsql.rpc.server import FramedConnection, ProtocolError, listen
from dsql.rpc.tick import next_tick
from journal.client import Journal, SocketJournal
from storage.comparison import DIGESTED_ROWS_MAX, digest
from storage.environment import DamagedReplicaError, ReadableEnvironment, WritableEnvironment
from storage.follower import Follower
from storage.messages import (
    ROWS_PER_REPLY_MAX,
    Digest,
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
    decode_request,
    encode,
)
from storage.reader_slot import START, ReaderSlot
from storage.replica_writer import FollowerSettings
from storage.snapshot import LocalSnapshot, Row
from storage.trial import READING

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_READ_WAIT_SECONDS = 5.0
_REPLY_BYTES = 4 * 1024 * 1024
_CAUGHT_UP_SECONDS = 1.0  # under load a replica is always a little behind
_THREADS = 4
_SWITCH_SECONDS = 0.001  # what the event loop waits at most for each thread that works in Python


class StorageServer:
    """All replicas of one AZ."""

    def __init__(
        self,
        layout: Layout,
        az: str,
        journal: Journal,
        settings: FollowerSettings,
        *,
        files: Files = SYSTEM_FILES,
        executor: Executor | None = None,
    ) -> None:
        """`executor` runs what takes long, and is shut down at the end; threads by default."""
        self._layout = layout
        self._az = az
        self._journal = journal
        self._settings = settings
        self._boot = current_boot()
        self._files = files
        self._executor = executor or ThreadPoolExecutor(_THREADS, f"storage-{az}")
        self._followers: dict[str, Follower] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._users: Counter[str] = Counter()
        self._unused: set[str] = set()  # at the last look
        self._leaving: dict[str, asyncio.Task[None]] = {}  # what closes a replica
        self._departures = Departures(layout)

    def follow(self, cluster: str) -> Follower | None:
        """Return the follower of a cluster, starting it; None if the AZ has no replica of it."""
        self._unused.discard(cluster)
        follower = self._followers.get(cluster)
        if follower is not None:
            return follower
        record = self._layout.read_cluster(cluster)
        if record is None or self._az not in record.azs:
            return None
        others = [az for az in record.azs if az != self._az]
        self._followers[cluster] = follower = Follower(
            cluster,
            self._layout.storage(self._az, cluster),
            [self._layout.storage(az, cluster) for az in others],
            self._journal,
            self._executor,
            self._boot,
            self._settings,
            self._files,
            sockets=[self._layout.socket(f"{az}.storage") for az in others],
        )
        running = self._run(follower, self._leaving.get(cluster))
        self._tasks[cluster] = asyncio.get_running_loop().create_task(running)
        return follower

    async def _run(self, follower: Follower, former: asyncio.Task[None] | None) -> None:
        if former is not None:
            await asyncio.wait([former])
        await follower.run()

    def use(self, cluster: str) -> None:
        """Follow a cluster until `leave` was called as often."""
        self._users[cluster] += 1
        self.follow(cluster)

    def leave(self, cluster: str) -> None:
        """End a use."""
        self._users[cluster] -= 1
        if not self._users[cluster]:
            del self._users[cluster]

    async def look(self) -> None:
        """Leave clusters that have disappeared, and those that nobody has used since the last look."""
        gone = set(self._departures.among(self._followers))
        leaving = [self._leave(cluster) for cluster in sorted(gone | self._unused)]
        await asyncio.gather(*leaving)
        self._unused = {
            name
            for name, follower in self._followers.items()
            if name not in self._users and follower.may_rest
        }

    async def _leave(self, cluster: str) -> None:
        del self._followers[cluster]
        self._unused.discard(cluster)
        task = self._leaving[cluster] = self._tasks.pop(cluster)
        task.cancel()
        await asyncio.wait([task])
        if self._leaving.get(cluster) is task:
            del self._leaving[cluster]

    async def status(self) -> StatusReply:
        """Tell how every replica is, and how far: the words are those of `dsql.health.conditions`."""
        values: dict[str, int | float | str] = {"role": "storage", "az": self._az}
        for cluster, follower in self._followers.items():
            described = _describe(follower, self._published(cluster))
            values |= {f"{cluster}.{name}": value for name, value in described.items()}
        return StatusReply(values)

    def _published(self, cluster: str) -> int:
        """Return the newest acknowledged commit timestamp, 0 if none has been published."""
        try:
            clock = PublishedClock(self._layout.clock(cluster), self._boot)
        except ClockUnavailableError:
            return 0
        try:
            return clock.latest()
        finally:
            clock.close()

    async def close(self) -> None:
        """Close every replica, leaving the environments clean."""
        await asyncio.gather(*map(self._leave, list(self._followers)))
        if self._leaving:
            await asyncio.wait(self._leaving.values())
        self._executor.shutdown(wait=True)


def _describe(follower: Follower, published: int) -> dict[str, int | float | str]:
    """Return what is to be known of a replica; `published` is the newest acknowledged commit's timestamp.

    `scrubbed_at` is when every page had been looked at last, in seconds since 1970; `repaired` counts how
    often damage was.
    """
    behind = follower.behind_seconds(published)
    values: dict[str, int | float | str] = {
        "state": "open" if follower.is_open else "opening",
        "damaged": int(follower.is_damaged),
        "suspected": int(follower.is_suspected),
        "rebuilding": int(follower.is_new and behind > _CAUGHT_UP_SECONDS),
        "repaired": follower.repaired,
        "scrubbed_at": round(follower.scrubbed_at),
        "behind_seconds": behind,
    }
    position = follower.position
    if position is not None:
        values["watermark"] = position.watermark
        values["sequence"] = position.sequence
        values["horizon"] = position.horizon
    return values


class _Connection(FramedConnection):
    """One remote reader, or somebody who wants to know how we are. Requests are answered in order."""

    def __init__(self, server: StorageServer) -> None:
        super().__init__()
        self._server = server
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._cluster = ""  # that is used
        self._reader: ReadableEnvironment | None = None
        self._slot: ReaderSlot | None = None

    def frame_received(self, body: bytes) -> None:
        if self._task is not None:
            self._requests.put_nowait(body)
            return
        opening = decode_opening(body)
        if isinstance(opening, Hello) and not opening.valid:
            raise ProtocolError("not a cluster identifier")
        if isinstance(opening, Hello):
            self._cluster = opening.cluster
            self._server.use(opening.cluster)
            work = self._serve(opening.cluster)
        else:
            work = self._tell_status()
        self._task = asyncio.get_running_loop().create_task(work)

    def closed(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None  # it has us, too, and nobody collects cycles here
        if self._cluster:
            self._server.leave(self._cluster)
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._slot is not None:
            self._slot.close()
            self._slot = None

    async def _tell_status(self) -> None:
        self.send(encode_opening(await self._server.status()))
        self._task = None

    async def _serve(self, cluster: str) -> None:
        try:
            while (body := await self._requests.get()) is not None:
                reply = await self._answer(cluster, decode_request(body))
                if reply is not None:
                    self.send(encode(reply))
                    await self.drained()
        except Exception as error:
            log.error("storage of %s: %s", cluster, error)
            self.close()

    async def _answer(self, cluster: str, request: Request) -> Reply | None:
        follower = self._server.follow(cluster)
        if follower is None:
            return Refused(Reason.UNKNOWN_CLUSTER)
        if isinstance(request, Release):
            if self._slot is not None:
                self._slot.words[START] = 0
            return None
        try:
            async with asyncio.timeout(_READ_WAIT_SECONDS):
                if isinstance(request, Locate):
                    position = (await follower.opened()).position
                    return Located(position.watermark, position.sequence)
                environment = await follower.reach(request.timestamp)
        except TimeoutError:
            return Refused(Reason.BEHIND)
        try:
            return await self._read(follower, environment, request)
        except DamagedReplicaError as error:
            follower.condemn(error)
            return Refused(Reason.DAMAGED)

    async def _read(
        self, follower: Follower, environment: WritableEnvironment, request: Get | Scan | Digest
    ) -> Reply:
        reader = self._register(environment, request.timestamp)
        snapshot = LocalSnapshot(reader, request.timestamp, careful=True)
        try:
            if isinstance(request, Get):
                with _marked(environment):
                    value = snapshot.get(request.key)
                return Rows([] if value is None else [(request.key, value)], more=False)
            if isinstance(request, Scan):
                reverse, limit = request.reverse, min(request.limit, ROWS_PER_REPLY_MAX)
            else:
                reverse, limit = False, DIGESTED_ROWS_MAX
            pieces = snapshot.pieces(request.low, request.high, reverse=reverse)
            gathered = _Gathered(pieces, limit)
            while gathered.has_room:
                if await follower.reach(request.timestamp) is not environment:
                    return Refused(Reason.BEHIND)  # it is another one by now
                with _marked(environment):
                    gathered.take()
                await asyncio.sleep(0)  # others come between
        except SqlError:
            return Refused(Reason.TOO_OLD)
        rows = gathered.rows
        return digest(rows) if isinstance(request, Digest) else Rows(rows, gathered.more)

    def _register(self, environment: WritableEnvironment, timestamp: int) -> ReadableEnvironment:
        """Show the timestamp to the replica's writer; return the environment as a reader has it."""
        reader = self._reader
        if reader is None or reader.environment is not environment.environment:
            if reader is not None:
                reader.close()
            reader = self._reader = ReadableEnvironment(environment.directory, current_boot())
        if self._slot is None:
            self._slot = ReaderSlot.claim(environment.directory.parent)
        self._slot.words[START] = timestamp
        return reader


@contextlib.contextmanager
def _marked(environment: WritableEnvironment) -> Iterator[None]:
    """Let it be known that the environment was read, should that end the process."""
    words = environment.trial.words
    words[READING] = 1
    try:
        yield
    finally:
        words[READING] = 0


class _Gathered:
    """Rows for one answer, up to a limit, fewer if they are large. The last one is where to go on."""

    def __init__(self, pieces: Iterator[list[Row]], limit: int) -> None:
        self._pieces = pieces
        self._limit = limit
        self._bytes = 0
        self.rows: list[Row] = []
        self.more = True

    @property
    def has_room(self) -> bool:
        """True until there are enough of them, or all."""
        return self.more and len(self.rows) < self._limit and self._bytes < _REPLY_BYTES

    def take(self) -> None:
        """Take another piece. Raises DamagedReplicaError, SqlError 72000."""
        piece = next(self._pieces, None)
        if piece is None:
            self.more = False
            return
        some = piece[: self._limit - len(self.rows)]
        self.rows += some
        self._bytes += sum(len(key) + len(value) for key, value in some)


def make_server(
    layout: Layout,
    az: str,
    journal: Journal | None = None,
    settings: FollowerSettings | None = None,
) -> StorageServer:
    """Return the server of an AZ, made on the event loop that it serves.

    `journal` is the AZ's journal replica if it shares this event loop; else its socket is used.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    source = journal or SocketJournal(layout.socket(f"{az}.journal"))
    return StorageServer(layout, az, source, settings or FollowerSettings())


async def serve(
    layout: Layout, az: str, on_ready: Callable[[], None], server: StorageServer | None = None
) -> None:
    """Serve the storage of `az` at run/AZ.storage.sock until cancelled.

    `server`, if given, is also used by the adjudicator on this event loop; it is closed at the end.
    """
    storage = server or make_server(layout, az)
    listening = await listen(layout.socket(f"{az}.storage"), lambda: _Connection(storage))
    try:
        on_ready()
        while True:
            await next_tick(_LOOK_SECONDS)
            await storage.look()
    finally:
        listening.close()
        await storage.close()
