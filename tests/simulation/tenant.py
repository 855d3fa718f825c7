"""One cluster of an installation: its clients, what they saw, and who reads its journals."""

from __future__ import annotations

from journal.messages import RecordKind

from .comparison import compare_logs, compare_replicas
from .history import History
from .installation import Installation
from .observer import Observer
from .session import Session
from .world import SECOND

_HURRY = 0.02  # seconds between two transactions of a client that is to get on
_PROGRESS_BOUND = 30 * SECOND
_IDLE_BOUND = 30 * SECOND


class Tenant:
    """A cluster in use. Its name is what its clients' names begin with, which are the values they write."""

    def __init__(self, installation: Installation, cluster: str, name: str) -> None:
        chance = installation.world.chance
        self.history = History(pace=chance.choice((0.02, 0.1, 0.4)))
        self.sessions = [
            Session(installation, cluster, f"{name}{number}", self.history)
            for number in range(chance.randint(2, 4))
        ]
        self._installation = installation
        self._world = installation.world
        self._cluster = cluster
        self._observer = Observer(installation, cluster)

    @property
    def epochs(self) -> int:
        """How many leaders there have been."""
        return sum(record.kind == RecordKind.EPOCH for record in self._observer.journal)

    def keep_running(self) -> None:
        """Start every query processor that has died."""
        for session in self.sessions:
            if not session.stopping:
                session.start()

    def make_progress(self) -> None:
        """Wait until every client has got on, and let it stop then. Raises ViolationError."""
        self.history.pace = _HURRY
        wanted = {session: session.decided + 3 for session in self.sessions}

        def progressed() -> bool:
            for session, enough in wanted.items():
                session.stopping = session.decided >= enough
            return all(session.stopping for session in self.sessions)

        self._world.run_until(
            progressed, _PROGRESS_BOUND, "every client makes progress after the faults"
        )

    def stop(self) -> None:
        """Let the clients end, and the observer be fed what they were told last."""
        self._world.run_until(
            lambda: all(session.idle for session in self.sessions), _IDLE_BOUND, "clients end"
        )
        self._world.run_until(
            lambda: self._observer.newest >= self._acknowledged,
            _IDLE_BOUND,
            "what was acknowledged is fed",
        )

    def compare_replicas(self) -> None:
        """Compare what every zone's storage has. Raises ViolationError."""
        compare_replicas(self._installation, self._cluster, self._observer)

    def check(self, damaged: set[str]) -> None:
        """Check what is in the logs of the zones, which have stopped, and what clients saw."""
        journal = self._observer.journal
        compare_logs(self._installation, self._cluster, journal, self._acknowledged, damaged)
        self.history.check(journal)

    @property
    def _acknowledged(self) -> int:
        return max((attempt.timestamp for attempt in self.history.attempts), default=0)
