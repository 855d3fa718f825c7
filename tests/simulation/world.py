"""Virtual time, seeded chance, and a network that loses, delays, repeats and pauses."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

MILLISECOND = 1_000
SECOND = 1_000_000


@dataclass
class Faults:
    """Probabilities, drawn anew for every seed so that some runs are calm and some brutal."""

    drop: float
    repeat: float
    disconnect: float
    delay: int  # microseconds, at most
    sync_delay: int

    @classmethod
    def draw(cls, chance: random.Random) -> Faults:
        return cls(
            drop=chance.choice((0.0, 0.01, 0.05)),
            repeat=chance.choice((0.0, 0.02)),
            disconnect=chance.choice((0.0, 0.005, 0.02)),
            delay=chance.choice((1, 5, 30)) * MILLISECOND,
            sync_delay=chance.choice((1, 5, 50)) * MILLISECOND,
        )

    @classmethod
    def none(cls) -> Faults:
        return cls(0.0, 0.0, 0.0, MILLISECOND, MILLISECOND)


class World:
    """The event loop of a simulation. The same seed gives the same trace, event by event."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.faults = Faults.draw(self.chance)
        self.now = 1_000 * SECOND
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._counter = 0
        self._trace = hashlib.sha256()

    @property
    def trace(self) -> str:
        return self._trace.hexdigest()

    def note(self, what: str) -> None:
        self._trace.update(f"{self.now} {what}\n".encode())

    def later(self, delay: int, action: Callable[[], None]) -> None:
        self._counter += 1
        heapq.heappush(self._events, (self.now + delay, self._counter, action))

    def run(self, until: int) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = until


class SkewedClock:
    """A node's own clock: the world's, some way off."""

    def __init__(self, world: World, skew: int) -> None:
        self._world = world
        self._skew = skew

    def now(self) -> int:
        return self._world.now + self._skew


class Node:
    """Something that can crash, or be paused and then see all that came meanwhile."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.paused_until = 0

    def do(self, action: Callable[[], None]) -> None:
        """Run an action of this node, unless it is dead; after its pause if it is paused."""
        if not self.alive:
            return
        if self.world.now < self.paused_until:
            self.world.later(self.paused_until - self.world.now, lambda: self.do(action))
            return
        action()


class Stream:
    """One direction of a connection: ordered, with silent losses and repetitions."""

    def __init__(self, world: World, to: Node) -> None:
        self._world = world
        self._to = to
        self._arrival = 0
        self.broken = False

    def send(self, label: str, deliver: Callable[[], None]) -> None:
        world = self._world
        if self.broken or world.chance.random() < world.faults.drop:
            return
        delay = world.chance.randint(100, world.faults.delay)
        self._arrival = max(self._arrival + 1, world.now + delay)
        times = 2 if world.chance.random() < world.faults.repeat else 1
        for _ in range(times):
            world.later(self._arrival - world.now, lambda: self._deliver(label, deliver))

    def _deliver(self, label: str, deliver: Callable[[], None]) -> None:
        if not self.broken and self._to.alive:
            self._world.note(f"{self._to.name} <- {label}")
            self._to.do(deliver)
