"""A journal replica on a simulated disk that forgets or tears what was not synced."""

from __future__ import annotations

from collections.abc import Callable

from journal.codec import Append, Fetched, Message
from journal.extent import LogExtent
from journal.messages import Claim, Extent, Fetch
from journal.replica import Cut, Output, Promise, Replica, Reply, SavePromise, Write
from journal.segment import HEADER_BYTES, Frame, recover_segment, segment_header, sync_mark

from .world import Node, World

SECRET = 7
Respond = Callable[[Message], None]


class SimulatedDisk:
    """A segment file and a promise. `synced` bytes survive a crash; the rest may or may not."""

    def __init__(self, *, whole: bool = True) -> None:
        self.promise = Promise(0, b"", whole)
        self.data = bytearray(segment_header(1))
        self.synced = HEADER_BYTES
        self.frames: list[Frame] = []
        self._synced_sequence = 0

    def write(self, frames: list[Frame]) -> None:
        self.data += sync_mark(self._synced_sequence, 1, SECRET)
        for frame in frames:
            self.data += frame.data
            self.frames.append(frame)

    def sync(self) -> None:
        self.synced = len(self.data)
        self._synced_sequence = self.frames[-1].last if self.frames else 0

    def cut(self, last: int) -> None:
        while self.frames and self.frames[-1].last > last:
            self.frames.pop()
        recovered = recover_segment(bytes(self.data), 1, SECRET)
        end = HEADER_BYTES
        for offset, frame in recovered.frames:
            if frame.last <= last:
                end = offset + len(frame.data)
        del self.data[end:]
        self.sync()

    def crash(self, world: World) -> None:
        """Lose some of what was not synced, tear the rest, and recover as a real replica does."""
        kept = world.chance.randint(self.synced, len(self.data))
        del self.data[kept:]
        if kept > self.synced and world.chance.random() < 0.5:
            self.data[world.chance.randrange(self.synced, kept)] ^= 0xFF
        recovered = recover_segment(bytes(self.data), 1, SECRET)
        del self.data[recovered.end :]
        self.frames = [frame for _, frame in recovered.frames]
        self.sync()

    def extent(self) -> Extent:
        extent = LogExtent(Extent(1, 0, 0, [], 0))
        for frame in self.frames:
            extent.add(frame)
        return extent.describe(0)


class ReplicaNode(Node):
    """Drives a Replica the way journal.replica_host does, with chance in the place of the disk."""

    replica_class: type[Replica] = Replica
    keeps_promises = True
    syncs_before_answering = True
    knows_that_it_is_lost = True

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.disk = SimulatedDisk()
        self.life = 0
        self.observed: dict[int, int] = {}  # committed sequence -> epoch, as ever seen here
        self._boot()

    def _boot(self) -> None:
        self.alive = True
        self.life += 1
        self.replica = self.replica_class(self.disk.promise, self.disk.extent())
        self._queue: list[tuple[Output, Respond]] = []
        self._running = False

    def receive(self, message: Message, respond: Respond) -> None:
        if isinstance(message, Fetch):
            frames = [f for f in self.disk.frames if f.last >= message.from_sequence][:4]
            respond(Fetched(message.from_sequence, frames))
            return
        if isinstance(message, Append):
            outputs = self.replica.append(message)
            commit = self.replica.commit
            if commit:
                self.observed[commit] = self.replica.log.epoch_at(commit)
        else:
            assert isinstance(message, Claim)
            outputs = self.replica.claim(message)
        work = [(output, respond) for output in outputs]
        self._queue += work
        if not self.syncs_before_answering:
            self._answer(work)
        self._start()

    def crash(self) -> None:
        self.alive = False
        if self._running:
            self._apply(self._work)  # the write was under way: parts of it may have arrived
        self.disk.crash(self.world)
        self.world.note(f"{self.name} crashed with {len(self.disk.frames)} frames")

    def lose_disk(self) -> None:
        """Crash, and come back with an empty disk."""
        self.crash()
        self.disk = SimulatedDisk(whole=not self.knows_that_it_is_lost)
        self.world.note(f"{self.name} lost its disk")

    def restart(self) -> None:
        if not self.alive:
            self._boot()

    def _start(self) -> None:
        if self._running or not self._queue:
            return
        self._running = True
        self._work, self._queue = self._queue, []
        life = self.life
        delay = self.world.chance.randint(50, self.world.faults.sync_delay)
        self.world.later(delay, lambda: self.do(lambda: self._finish(life)))

    def _finish(self, life: int) -> None:
        if life != self.life:
            return
        self._running = False
        self._apply(self._work)
        self.disk.sync()
        if self.syncs_before_answering:
            self._answer(self._work)
        self._start()

    def _apply(self, work: list[tuple[Output, Respond]]) -> None:
        for output, _ in work:
            if isinstance(output, Write):
                self.disk.write(output.frames)
            elif isinstance(output, Cut):
                self.disk.cut(output.last)
            elif isinstance(output, SavePromise) and self.keeps_promises:
                self.disk.promise = output.promise

    def _answer(self, work: list[tuple[Output, Respond]]) -> None:
        for output, respond in work:
            if isinstance(output, Reply):
                respond(output.message)
