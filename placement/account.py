"""An agent's account of itself: for people (`status`), and for the placement service (`report`)."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable

from placement.agent_settings import AgentSettings
from placement.messages import LoadReport, PoolLoad, agent_number
from placement.parking import ParkingLot
from placement.pool import QueryProcessorPool
from placement.sessions import Keys
from placement.worker import Worker

_TIMES_KEPT = 100


class Account:
    """See the module. `address` is the agent's socket, `link` where relays of other hosts reach it, or "".

    `assignments` and `moves` are how long the last ones took, in seconds.
    """

    def __init__(
        self,
        settings: AgentSettings,
        pool: QueryProcessorPool,
        lot: ParkingLot,
        *,
        address: str,
        link: str,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._lot = lot
        self._address = address
        self._link = link
        self._number = 0
        self.assignments: deque[float] = deque(maxlen=_TIMES_KEPT)
        self.moves: deque[float] = deque(maxlen=_TIMES_KEPT)

    def saw(self, keys: Keys) -> None:
        """Note the agent's number, which its sessions' process ids have."""
        self._number = agent_number(keys.process_key)

    def status(self, **parts: object) -> dict[str, object]:
        """Return it by name: with what the agent's other `parts` say, and each cluster's load."""
        status: dict[str, object] = {
            "az": self._settings.az,
            "warm": self._pool.warm,
            "waiting": self._pool.waiting,
            "parked": len(self._lot),
            **({"link": self._link} if self._link else {}),
            **parts,
        }
        for cluster, load in self._pool.loads().items():
            status |= {f"{cluster}.{name}": value for name, value in load._asdict().items()}
        times: Iterable[tuple[str, deque[float]]] = (
            ("assignment_ms", self.assignments),
            ("move_ms", self.moves),
            ("wake_ms", self._lot.wakes),
        )
        return status | {
            name: round(statistics.median(taken) * 1000, 2) for name, taken in times if taken
        }

    def report(self) -> LoadReport:
        """Return what placement chooses by."""
        settings = self._settings
        loads = self._pool.loads().items()
        return LoadReport(
            name=settings.name,
            az=settings.az,
            address=self._address,
            warm=self._pool.warm,
            busy=self._pool.busy,
            processes_max=settings.pool.query_processors_max,
            sessions_per_process_max=settings.pool.sessions_per_process_max,
            pools={
                name: PoolLoad(load.processes, load.sessions, load.parked) for name, load in loads
            },
            link=self._link,
            number=self._number,
        )


def temporary_tables(workers: Iterable[Worker]) -> dict[str, int]:
    """Return by name what query processors have said of each cluster's temporary tables."""
    found: dict[str, int] = {}
    for worker in workers:
        if worker.cluster is not None:
            told = worker.temporary if worker.work else (0, 0)  # who has no work says nothing
            for name, value in zip(("temporary_sessions", "temporary_bytes"), told, strict=True):
                key = f"{worker.cluster}.{name}"
                found[key] = found.get(key, 0) + value
    return found
