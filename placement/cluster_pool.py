"""One cluster's query processors on one host, and the sessions that wait for one. No I/O, no decisions."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple


class ClusterLoad(NamedTuple):
    """Query processors that take sessions, those that are ending, the sessions of both, and who waits.

    A run of background jobs counts as a session. Those that are `parked` are not among `sessions`;
    `parkings` and `wakes` count what has happened.
    """

    processes: int
    ending: int
    sessions: int
    waiting: int
    parked: int
    parkings: int
    wakes: int


class Member:
    """One query processor. `cluster` None: warm. `work`: the sessions and runs that it serves."""

    __slots__ = ("cluster", "ending", "expires_at", "forked_at", "idle_since", "number", "work")

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.cluster: str | None = None
        self.work: set[int] = set()
        self.ending = False
        self.forked_at = now
        self.idle_since = now
        self.expires_at = float("inf")

    def is_open(self, now: float) -> bool:
        """Return whether it takes sessions."""
        return not self.ending and now < self.expires_at


class ClusterPool:
    """One cluster's query processors, the ending ones too, and who waits for one: session to deadline.

    `sessions` are those in query processors, `parked` those that need none for now.
    """

    __slots__ = ("parked", "parkings", "sessions", "waiting", "wakes", "workers")

    def __init__(self) -> None:
        self.workers: dict[int, Member] = {}
        self.sessions = 0
        self.parked = 0
        self.parkings = 0
        self.wakes = 0
        self.waiting: OrderedDict[int, float] = OrderedDict()

    def open_workers(self, now: float) -> list[Member]:
        """Return those that take sessions."""
        return [worker for worker in self.workers.values() if worker.is_open(now)]

    @property
    def load(self) -> ClusterLoad:
        """How it stands."""
        ending = sum(1 for worker in self.workers.values() if worker.ending)
        processes = len(self.workers) - ending
        return ClusterLoad(
            processes,
            ending,
            self.sessions,
            len(self.waiting),
            self.parked,
            self.parkings,
            self.wakes,
        )

    @property
    def connections(self) -> int:
        """How many sessions there are in all."""
        return self.sessions + self.parked + len(self.waiting)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember."""
        return not (self.workers or self.waiting or self.parked)
