"""An adjudicator with its journal leader, and the host's published clock."""

from __future__ import annotations

from collections.abc import Callable

from adjudicator.commit_pipeline import CommitPipeline, Recalled
from adjudicator.conflict_set import ConflictSet
from adjudicator.messages import decode_keys
from journal.codec import Message
from journal.copier import Send
from journal.followers import Quorum
from journal.leader import Leader
from journal.messages import RecordKind

from .replica_node import ReplicaNode
from .world import SECOND, Node, SkewedClock, Stream, World


class Published:
    """The clock file without the file: it never falls, whoever publishes when."""

    def __init__(self) -> None:
        self.timestamp = 0
        self.epoch = 0

    def claim(self, epoch: int) -> None:
        self.epoch = max(self.epoch, epoch)

    def publish(self, timestamp: int) -> None:
        self.timestamp = max(self.timestamp, timestamp)


class _Connection:
    def __init__(self, world: World, leader: Node, replica: ReplicaNode) -> None:
        self.life = replica.life
        self.out = Stream(world, replica)
        self.back = Stream(world, leader)

    @property
    def broken(self) -> bool:
        return self.out.broken

    def cut(self) -> None:
        self.out.broken = self.back.broken = True


class LeaderNode(Node):
    """Drives a Leader and a CommitPipeline as journal.client and adjudicator.server do."""

    leader_class: type[Leader] = Leader

    def __init__(
        self, world: World, name: str, replicas: list[ReplicaNode], published: Published, skew: int
    ) -> None:
        super().__init__(world, name)
        self._replicas = replicas
        self._published = published
        self._clock = SkewedClock(world, skew)
        self.leader = self._candidate(published.epoch + 1)
        self._refused = False
        self.pipeline: CommitPipeline | None = None
        self._waiting: list[tuple[bytes, Callable[[bytes], None]]] = []
        self._told_commit = 0
        self._catching_up = False
        self._connections: list[_Connection | None] = [None] * len(replicas)
        for index in range(len(replicas)):
            self._connect(index)
        self._tick()

    def _candidate(self, epoch: int) -> Leader:
        chance = self.world.chance
        return self.leader_class(
            chance.randbytes(16), self.name, Quorum(), self._clock, epoch=epoch
        )

    def _claim_again(self) -> None:
        """Start anew above what was met, as a zone does that was refused."""
        self.leader = self._candidate(self.leader.promised + 1)
        self._refused = False
        for index in range(len(self._replicas)):
            if self._connections[index] is not None:
                self._disconnect(index)
            else:
                self._connect(index)
        self._tick()

    def handle(self, body: bytes, answer: Callable[[bytes], None]) -> None:
        if self.leader.deposed:
            return  # its connections are closed
        if self.pipeline is None:
            self._waiting.append((body, answer))
        else:
            self.pipeline.handle(body, answer)

    def _connect(self, index: int) -> None:
        replica = self._replicas[index]
        if self.leader.deposed:
            return
        if replica.alive:
            self._connections[index] = _Connection(self.world, self, replica)
            self._deliver(self.leader.connected(index))
        else:
            self.world.later(SECOND // 20, lambda: self.do(lambda: self._connect(index)))

    def _disconnect(self, index: int) -> None:
        connection = self._connections[index]
        if connection is None:
            return
        connection.cut()
        self._connections[index] = None
        self._deliver(self.leader.disconnected(index))
        self.world.later(SECOND // 20, lambda: self.do(lambda: self._connect(index)))

    def _tick(self) -> None:
        for index, connection in enumerate(self._connections):
            if connection is not None and connection.life != self._replicas[index].life:
                self._disconnect(index)
        if not self.leader.deposed:
            self._deliver(self.leader.tick())
            self.world.later(SECOND // 2, lambda: self.do(self._tick))

    def _deliver(self, sends: list[Send]) -> None:
        for index, message in sends:
            self._send(index, message)

    def _send(self, index: int, message: Message) -> None:
        connection = self._connections[index]
        if connection is None:
            return
        if self.world.chance.random() < self.world.faults.disconnect:
            self.world.later(0, lambda: self.do(lambda: self._disconnect(index)))
        replica = self._replicas[index]

        def respond(reply: Message) -> None:
            connection.back.send(
                type(reply).__name__, lambda: self._receive(index, connection, reply)
            )

        def arrive() -> None:
            if connection.life == replica.life:
                replica.receive(message, respond)

        connection.out.send(f"{type(message).__name__} of {self.name}", arrive)

    def _receive(self, index: int, connection: _Connection, message: Message) -> None:
        if connection is not self._connections[index]:
            return
        self._deliver(self.leader.step(index, message))  # type: ignore[arg-type]
        if self.leader.deposed:
            if self.pipeline is not None:
                self.pipeline.stop()
            elif not self._refused:
                self._refused = True
                delay = self.world.chance.randint(50, 500) * SECOND // 1000
                self.world.later(delay, lambda: self.do(self._claim_again))
        elif self.leader.commit > self._told_commit:
            self._told_commit = self.leader.commit
            self._committed()
            self._catch_up_soon()

    def _committed(self) -> None:
        if self.pipeline is not None:
            self.pipeline.committed(self.leader.commit)
            return
        opened = self.leader.last_timestamp
        self._published.claim(self.leader.epoch)
        self._publish(opened)
        self.pipeline = CommitPipeline(
            ConflictSet(self.leader.floor, opened),
            self._clock,
            self._append,
            self._publish,
            lambda: self.world.later(0, lambda: self.do(self._flush)),
            lambda: self.world.now / SECOND,
        )
        self.world.later(SECOND // 10, lambda: self.do(self._recover_outcomes))
        waiting, self._waiting = self._waiting, []
        for body, answer in waiting:
            self.pipeline.handle(body, answer)

    def _append(self, entries: list[tuple[int, int, bytes]]) -> int:
        self._deliver(self.leader.append(entries))
        self._catch_up_soon()
        return self.leader.last_sequence

    def _catch_up_soon(self) -> None:
        if not self._catching_up:
            self._catching_up = True
            self.world.later(SECOND // 200, lambda: self.do(self._catch_up))

    def _catch_up(self) -> None:
        self._catching_up = False
        if not self.leader.deposed:
            self._deliver(self.leader.catch_up())

    def _publish(self, timestamp: int) -> None:
        self._published.publish(timestamp)

    def _flush(self) -> None:
        if self.pipeline is not None and not self.leader.deposed:
            self.pipeline.flush()

    def _recover_outcomes(self) -> None:
        """Read the journal back, from a replica that has it up to our first record, committed."""
        own = self.leader.epoch_sequence
        ready = [
            replica
            for replica in self._replicas
            if replica.alive
            and replica.replica.commit >= own
            and any(f.first == own and f.epoch == self.leader.epoch for f in replica.disk.frames)
        ]
        if not ready or self.pipeline is None:
            self.world.later(SECOND // 10, lambda: self.do(self._recover_outcomes))
            return
        older: Recalled = []
        for frame in ready[0].disk.frames:
            for record in frame.records:
                if record.sequence < own and record.kind == RecordKind.DATA:
                    older.append((record.timestamp, decode_keys(record.payload)))
                elif record.sequence < own and record.kind == RecordKind.TOMBSTONE:
                    older.append((record.timestamp, record.payload))
        self.pipeline.recall(older, 0, more=False)
