"""One run: three replicas, a few clients, faults; then the faults stop and everything is checked."""

from __future__ import annotations

from dataclasses import dataclass

from journal.leader import Leader, Phase
from journal.messages import Record

from .client_node import ClientNode
from .history import History, ViolationError
from .leader_node import LeaderNode, Published
from .replica_node import ReplicaNode
from .world import MILLISECOND, SECOND, Faults, Node, World

_FAULTY_SECONDS = 12
_HEALING_SECONDS = 6


@dataclass
class Parts:
    """The classes of a run; broken ones make a negative variant."""

    replica: type[ReplicaNode] = ReplicaNode
    leader: type[LeaderNode] = LeaderNode
    client: type[ClientNode] = ClientNode
    faults: tuple[str, ...] = (
        "crash one",
        "crash all",
        "replace leader",
        "zombie",
        "pause",
        "lose disk",
    )


@dataclass
class Result:
    """What a run came to."""

    trace: str
    commits: int
    aborts: int
    epochs: int
    lost_disks: int


class Scenario:
    """Builds the nodes, injects faults, heals, and checks."""

    def __init__(self, seed: int, parts: Parts) -> None:
        self.world = World(seed)
        self._parts = parts
        self._replicas = [parts.replica(self.world, f"replica{n}") for n in range(3)]
        self._published = Published()
        self._leaders: list[LeaderNode] = []
        self._leader_count = 0
        self._lost_disks = 0
        self._history = History()
        self._new_leader()
        self._clients = [
            parts.client(
                self.world, f"client{n}", lambda: self._leaders, self._published, self._history
            )
            for n in range(3)
        ]

    def run(self) -> Result:
        """Run the scenario. Raises ViolationError, or an AssertionError of the code itself."""
        world = self.world
        end = world.now + _FAULTY_SECONDS * SECOND
        while world.now < end:
            world.run(world.now + world.chance.randint(50, 1_500) * MILLISECOND)
            self._inject(world.chance.choice(self._parts.faults))
        self._heal()
        journal = self._agreed_journal()
        self._history.check(journal)
        return Result(
            world.trace,
            len(self._history.acknowledged),
            len(self._history.aborted),
            self._leaders[-1].leader.epoch,
            self._lost_disks,
        )

    def _new_leader(self) -> None:
        skew = self.world.chance.randint(-2 * SECOND, 2 * SECOND)
        self._leader_count += 1
        name = f"leader{self._leader_count}"
        node = self._parts.leader(self.world, name, self._replicas, self._published, skew)
        self._leaders.append(node)

    # Faults

    def _inject(self, fault: str) -> None:
        if fault == "crash one":
            self._crash(self.world.chance.choice(self._replicas), 2_000)
        elif fault == "crash all":  # the power fails, and the leaders get through it
            for replica in self._replicas:
                self._crash(replica, 300)
        elif fault == "replace leader":
            self._replace_leader()
        elif fault == "zombie":
            self._pause(self._leaders[-1])
            self._new_leader()
        elif fault == "lose disk":
            self._lose_disk(self.world.chance.choice(self._replicas))
        else:
            self._pause(self.world.chance.choice([*self._replicas, self._leaders[-1]]))

    def _crash(self, replica: ReplicaNode, milliseconds_max: int) -> None:
        if replica.alive:
            replica.crash()
            delay = self.world.chance.randint(10, milliseconds_max) * MILLISECOND
            self.world.later(delay, replica.restart)

    def _lose_disk(self, replica: ReplicaNode) -> None:
        """Take a disk away, unless one is still being restored: of three, two must be there."""
        if replica.alive and all(other.disk.promise.whole for other in self._replicas):
            self._lost_disks += 1
            replica.lose_disk()
            delay = self.world.chance.randint(10, 1_000) * MILLISECOND
            self.world.later(delay, replica.restart)

    def _replace_leader(self) -> None:
        """The old leader dies, or lives on as a zombie that does not know of the new one."""
        if self.world.chance.random() < 0.5:
            self._leaders[-1].alive = False
        self._new_leader()

    def _pause(self, node: Node) -> None:
        node.paused_until = self.world.now + self.world.chance.randint(100, 3_000) * MILLISECOND

    # Afterwards

    def _heal(self) -> None:
        world = self.world
        world.faults = Faults.none()
        for replica in self._replicas:
            replica.restart()
        for leader in self._leaders:
            leader.alive = False
        self._leaders.clear()  # nobody asks the dead ones any more
        self._new_leader()
        world.run(world.now + 4 * SECOND)  # pauses end
        before = [client.finished for client in self._clients]
        for _ in range(_HEALING_SECONDS):
            world.run(world.now + SECOND)
            if self._leaders[-1].leader.deposed:  # by what a failed candidate left at one replica
                self._leaders.clear()
                self._new_leader()
        for client, finished in zip(self._clients, before, strict=True):
            if client.finished <= finished:
                raise ViolationError(f"{client.name} makes no progress after the faults")
            client.stopping = True
        world.run(world.now + 10 * SECOND)
        if not all(client.idle for client in self._clients):
            raise ViolationError("a client waits for ever")
        if self._leaders[-1].leader.phase is not Phase.OPEN:
            raise ViolationError("the last leader did not open")

    def _agreed_journal(self) -> list[Record]:
        leader: Leader = self._leaders[-1].leader
        logs = [[frame.data for frame in replica.disk.frames] for replica in self._replicas]
        if any(log != logs[0] for log in logs):
            raise ViolationError("the replicas differ")
        if leader.commit != leader.last_sequence:
            raise ViolationError("the last record is not committed")
        if not all(replica.disk.promise.whole for replica in self._replicas):
            raise ViolationError("a lost replica was not restored")
        journal = [r for frame in self._replicas[0].disk.frames for r in frame.records]
        for replica in self._replicas:
            for sequence, epoch in replica.observed.items():
                if journal[sequence - 1].epoch != epoch:
                    raise ViolationError(f"committed record {sequence} was replaced")
        return journal


def run(seed: int, parts: Parts | None = None) -> Result:
    """Run one seed; an error tells it."""
    try:
        return Scenario(seed, parts or Parts()).run()
    except Exception as error:
        error.add_note(f"simulation seed {seed}")
        raise
