"""Driving a journal's leader: connections to all replicas, and a timer while it is not at rest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from dsql.rpc.client import connect
from dsql.rpc.clock import Clock
from dsql.rpc.messages import Hello
from dsql.rpc.messages import encode as encode_opening
from dsql.rpc.server import FramedConnection
from journal.codec import Fetched, LeaderMessage, Message, decode, encode
from journal.copier import Send
from journal.followers import Quorum
from journal.leader import Leader
from journal.messages import AppendReply, Applied, ClaimReply

log = logging.getLogger(__name__)

_RECONNECT_SECONDS_MIN = 0.05
_RECONNECT_SECONDS_MAX = 1.0
_OWN_SECONDS = (
    0.25  # for reaching our own replica before the others; its log may have to be read first
)
# How long after an append the zones that it does not need get it too, and those that have it learn that
# it is committed: readers are in the leader's zone as long as that one lives, and each message wakes a
# process.
_CATCH_UP_SECONDS = 0.02
_HEDGE_SECONDS = 0.005  # the same, while an eager replica is late with its answer
LOOK_SECONDS = 0.05  # whether commits get on
_LOOKS_PER_TICK = 20
_STRANDED = (
    "most journal replicas have lost their logs, and acknowledged commits may be gone with them: nobody "
    "can lead until the directory of one of them is put back as it was"
)


class Attachment(NamedTuple):
    """A leader's way to a replica on its event loop.

    `send` takes its messages. `ended` is done when the replica has failed or was closed. `promised` is the
    epoch that the replica has promised before. `leave` is to be called when it is no longer needed.
    """

    send: Callable[[LeaderMessage], None]
    ended: asyncio.Future[None]
    promised: int
    leave: Callable[[], None]


class LocalReplica(Protocol):
    """A replica on the same event loop, as a leader reaches it."""

    async def attach(self, cluster: str, receive: Callable[[Message], None]) -> Attachment:
        """Reach it; answers go to `receive`, later. Raises whatever ails the replica."""
        ...


class Appender:
    """Leads one cluster's journal: drives a Leader over connections to all replicas.

    `replicas` are socket paths, or a LocalReplica. `on_commit` is called with the commit index each
    time it has risen; records appended in that call carry the index to the replicas. The first call
    says that the leader is open; before it nothing may be appended. `on_look` is called every LOOK_SECONDS
    while the leader is not at rest. `epoch` is the least to claim, `candidate` 16 bytes
    that no other candidate has.
    """

    def __init__(
        self,
        cluster: str,
        name: str,
        replicas: list[Path | LocalReplica],
        on_commit: Callable[[int], None],
        *,
        clock: Clock,
        quorum: Quorum,
        candidate: bytes,
        epoch: int = 1,
        on_look: Callable[[], None] = lambda: None,
    ) -> None:
        self._cluster = cluster
        self._replicas = replicas
        self._own = next(
            (index for index, other in enumerate(replicas) if not isinstance(other, Path)), None
        )
        self.leader = Leader(candidate, name, quorum, clock, epoch=epoch, own=self._own)
        self._on_commit = on_commit
        self._on_look = on_look
        self._told_commit = 0
        self._told_stranded = False
        self._catching_up: asyncio.TimerHandle | None = None
        self._hedging: asyncio.TimerHandle | None = None
        self._hedged = 0  # what is not committed when that timer goes off is late
        self._looking: asyncio.TimerHandle | None = None
        self._looks = 0
        self._senders: list[Callable[[LeaderMessage], None] | None] = [None] * len(replicas)
        self._encoded: tuple[object, bytes] = (None, b"")
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Keep the connections up, until the leader is deposed (then return) or cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                links = await self._reach_own(group)
                for index, address in enumerate(self._replicas):
                    if isinstance(address, Path):
                        links.append(group.create_task(self._keep(index, address)))
                await self._over.wait()
                for link in links:
                    link.cancel()
        finally:
            self.leader.resign()
            for timer in (self._catching_up, self._hedging, self._looking):
                if timer is not None:
                    timer.cancel()

    def resign(self) -> None:
        """Have `run` return."""
        self.leader.resign()
        self._over.set()

    def append(self, entries: list[tuple[int, int, bytes]]) -> int:
        """Append records (timestamp, kind, payload); return the sequence of the last one."""
        self._deliver(self.leader.append(entries))
        self._catch_up_soon()
        self._hedge_soon()
        self._look_soon()
        return self.leader.last_sequence

    def tell_own(self) -> None:
        """Tell the replica on this event loop what is committed, before `on_commit` has returned."""
        if self._own is not None:
            self._deliver(self.leader.notice(self._own))

    def _step(self, replica: int, message: Message) -> None:
        assert isinstance(message, ClaimReply | AppendReply | Fetched | Applied)
        leader = self.leader
        self._deliver(leader.step(replica, message))
        if leader.deposed:
            self._over.set()
        elif leader.commit > self._told_commit:
            self._told_commit = leader.commit
            self._on_commit(leader.commit)
            self._catch_up_soon()
        elif leader.stranded and not self._told_stranded:
            self._told_stranded = True
            log.error("%s: %s", self._cluster, _STRANDED)

    def _catch_up_soon(self) -> None:
        if self._catching_up is None:
            loop = asyncio.get_running_loop()
            self._catching_up = loop.call_later(_CATCH_UP_SECONDS, self._catch_up)

    def _catch_up(self) -> None:
        self._catching_up = None
        if not self.leader.deposed:
            self._deliver(self.leader.catch_up())

    def _hedge_soon(self) -> None:
        if self._hedging is None:
            self._hedged = self.leader.last_sequence
            loop = asyncio.get_running_loop()
            self._hedging = loop.call_later(_HEDGE_SECONDS, self._hedge)

    def _hedge(self) -> None:
        """Ask the other replicas, too, if those that were asked are late."""
        self._hedging = None
        if self.leader.deposed:
            return
        if self.leader.commit < self._hedged:
            self._deliver(self.leader.catch_up())
        elif self.leader.commit < self.leader.last_sequence:
            self._hedge_soon()

    def _look_soon(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """See to what is late or overdue; a leader at rest has no timer."""
        self._looking = None
        self._deliver(self.leader.look(asyncio.get_running_loop().time()))
        self._on_look()
        self._looks += 1
        if self._looks % _LOOKS_PER_TICK == 0:
            self._deliver(self.leader.tick())
        if self.leader.restless:
            self._look_soon()

    def _deliver(self, sends: list[Send]) -> None:
        # The others first: what is on its way to them does not wait for our own replica's readers.
        for replica, message in sends:
            if replica != self._own and (sender := self._senders[replica]) is not None:
                sender(message)
        for replica, message in sends:
            if replica == self._own and (sender := self._senders[replica]) is not None:
                sender(message)

    def _encode(self, message: Message) -> bytes:
        if self._encoded[0] is not message:
            self._encoded = (message, encode(message))
        return self._encoded[1]

    # Connections

    async def _reach_own(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Reach our own replica, if it can be reached now: its promise is to stand before the others'."""
        if self._own is None:
            return []
        tried = asyncio.Event()
        keeping = group.create_task(self._keep_own(self._own, tried.set))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OWN_SECONDS):
                await tried.wait()
        return [keeping]

    async def _keep_own(self, index: int, tried: Callable[[], None]) -> None:
        """Keep our own replica attached. Whatever ails it, the others can do without it."""
        replica = self._replicas[index]
        assert not isinstance(replica, Path)
        while True:
            try:
                attached = await replica.attach(self._cluster, self._receiver(index))
            except Exception as error:
                log.error("%s: leading without the zone's own journal: %s", self._cluster, error)
                tried()
            else:
                try:
                    if not any(self._senders):
                        self.leader.start_above(attached.promised)
                    self._connect(index, attached.send)
                    tried()
                    await asyncio.wait([attached.ended])
                finally:
                    attached.leave()
                self._disconnect(index)
            await asyncio.sleep(_RECONNECT_SECONDS_MAX)

    async def _keep(self, index: int, address: Path) -> None:
        """Keep one replica connected."""
        pause = _RECONNECT_SECONDS_MIN
        while True:
            with contextlib.suppress(OSError):
                link = await connect(address, lambda: _Link(self._cluster, self._receiver(index)))
                pause = _RECONNECT_SECONDS_MIN
                try:
                    self._connect(index, self._sender(link))
                    await link.lost
                finally:
                    link.close()
                    self._disconnect(index)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _RECONNECT_SECONDS_MAX)

    def _connect(self, index: int, sender: Callable[[LeaderMessage], None]) -> None:
        self._senders[index] = sender
        self._deliver(self.leader.connected(index))
        self._look_soon()

    def _disconnect(self, index: int) -> None:
        self._senders[index] = None
        self._deliver(self.leader.disconnected(index))
        self._look_soon()

    def _sender(self, link: _Link) -> Callable[[LeaderMessage], None]:
        return lambda message: link.send(self._encode(message))

    def _receiver(self, index: int) -> Callable[[Message], None]:
        return lambda message: self._step(index, message)


class _Link(FramedConnection):
    """A leader's connection to one replica. `lost` is done when it is gone."""

    def __init__(self, cluster: str, receive: Callable[[Message], None]) -> None:
        super().__init__()
        self._cluster = cluster
        self._receive = receive
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def opened(self) -> None:
        self.send_at_once()
        self.send(encode_opening(Hello(self._cluster)))

    def frame_received(self, body: bytes) -> None:
        self._receive(decode(body))

    def closed(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
