"""One cluster's query processors on one host, and the sessions that wait for one. No I/O, no decisions."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

# How long what a query processor says of its load is taken for true. Where processors are short, it is the
# slower to say something the less it gets of them.
LOAD_SECONDS = 1.0
LONG_SECONDS = 3.0  # after a long statement nobody is sent to where it was


class ClusterLoad(NamedTuple):
    """Query processors that take sessions, those that are ending, the sessions of both, and who waits.

    A run of background jobs counts as a session. Those that are `parked` are not among `sessions`;
    `parkings`, `wakes`, `sheds` and `moves` count what has happened: how often a query processor was asked
    to let sessions go, and how many went on in another one.
    """

    processes: int
    ending: int
    sessions: int
    waiting: int
    parked: int
    parkings: int
    wakes: int
    sheds: int
    moves: int


class Load(NamedTuple):
    """What a query processor has said of itself, and when: see `dsql.session.control.Busy`.

    `pressure` is about how many of its sessions have something to do at a time: 0 if it is idle, 1 if it
    always computes and nobody waits, more if sessions wait for their turn.
    """

    pressure: float
    at: float


_NO_LOAD = Load(0.0, float("-inf"))


class Member:
    """One query processor. `cluster` None: warm. `work`: the sessions and runs that it serves.

    `long_at` is when a statement was last seen in it that computes for long, `shed_at` when it was last
    asked to let sessions go.
    """

    __slots__ = (
        *("cluster", "ending", "expires_at", "forked_at", "idle_since", "load", "long_at"),
        *("number", "shed_at", "work"),
    )

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.cluster: str | None = None
        self.work: set[int] = set()
        self.ending = False
        self.forked_at = now
        self.idle_since = now
        self.expires_at = float("inf")
        self.load = _NO_LOAD
        self.long_at = float("-inf")
        self.shed_at = float("-inf")

    def is_open(self, now: float) -> bool:
        """Return whether it takes sessions."""
        return not self.ending and now < self.expires_at

    def pressure(self, now: float) -> float:
        """Return what it said last, if that was lately: who does little says nothing."""
        return self.load.pressure if now - self.load.at < LOAD_SECONDS else 0.0

    def computes_long(self, now: float) -> bool:
        """Return whether long statements are about, or were a moment ago."""
        return now - self.long_at < LONG_SECONDS


class ClusterPool:
    """One cluster's query processors, the ending ones too, and who waits for one: session to deadline.

    `sessions` are those in query processors, `parked` those that need none for now.
    """

    __slots__ = (
        *("evened_at", "moves", "parked", "parkings", "sessions", "sheds", "waiting", "wakes"),
        "workers",
    )

    def __init__(self) -> None:
        self.workers: dict[int, Member] = {}
        self.sessions = 0
        self.parked = 0
        self.parkings = 0
        self.wakes = 0
        self.sheds = 0
        self.moves = 0
        self.evened_at = float("-inf")  # when sessions were last asked for to even the loads out
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
            self.sheds,
            self.moves,
        )

    @property
    def connections(self) -> int:
        """How many sessions there are in all."""
        return self.sessions + self.parked + len(self.waiting)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember."""
        return not (self.workers or self.waiting or self.parked)
