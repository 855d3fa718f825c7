"""Query processors that served an earlier agent, until they have shown what it had given them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from placement.assignment import Assigner
from placement.sessions import Keys
from placement.worker import Worker

logger = logging.getLogger(__name__)

ADOPT_SECONDS = 10.0  # one that has not shown what it has by then hangs

IsElsewhere = Callable[[int, Keys], bool]


class Adoptions:
    """`is_elsewhere` tells that a session is in other hands. Times are of a monotonic clock, in seconds."""

    def __init__(self, assigner: Assigner, is_elsewhere: IsElsewhere) -> None:
        self._assigner = assigner
        self._is_elsewhere = is_elsewhere
        self._since: dict[Worker, float] = {}

    def begin(self, worker: Worker, now: float) -> None:
        """Have it show what it has."""
        self._since[worker] = now
        worker.adopt()

    def lost(self, worker: Worker) -> None:
        """It is gone."""
        self._since.pop(worker, None)

    def overdue(self, now: float) -> list[Worker]:
        """Return those that hang."""
        return [worker for worker, since in self._since.items() if now - since > ADOPT_SECONDS]

    def complete(self, worker: Worker) -> dict[int, Keys] | None:
        """It has shown all: return the sessions that it goes on with, None if it is killed instead."""
        del self._since[worker]
        cluster = worker.cluster
        if cluster is None:
            worker.kill()  # the forks that this agent has asked for are as warm
            return None
        sessions = {number: keys for number, keys in worker.work.items() if keys is not None}
        details = {"process_id": worker.process_id, "cluster": cluster}
        try:
            if any(self._is_elsewhere(*session) for session in sessions.items()):
                raise LookupError("a session that it shows is elsewhere")
            assignment = self._assigner.assignment(cluster)
        except LookupError as error:
            logger.error("not adopted", extra=details | {"reason": str(error)})
            worker.kill()
            return None
        worker.readopt(assignment, lambda az: self._assigner.connect_adjudicator(cluster, az))
        logger.info("query processor adopted", extra=details | {"sessions": len(sessions)})
        return sessions
