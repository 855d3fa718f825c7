"""What runs in a query processor: each session and run of jobs, by number and by task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from dsql.hub.waiter import Activity, Waiter
from dsql.session.departure import Departure
from dsql.session.interrupts import Interrupts

logger = logging.getLogger(__name__)

# Does something in the place of a waiting task, for the last time: see `dsql.hub.hub.Hub.replace`.
Replace = Callable[[Activity, Callable[[], Departure | None]], Departure | None]


class Occupant(Protocol):
    """A session, or a run of jobs."""

    interrupts: Interrupts
    connection_id: int  # what log lines name it by: its client's BackendKeyData; 0 for jobs

    @property
    def statement(self) -> int:
        """A number that another statement does not have: when it began."""
        ...

    def activity(self) -> bytes:
        """Return what others may hear of it, b"" for nothing: see `dsql.session.activity`."""
        ...

    def leave(self) -> bool:
        """Ask it to depart, if it is its client's turn; return whether it was asked.

        It departs soon, unless something keeps it. For signal handlers too.
        """
        ...

    def evacuate(self) -> Departure | None:
        """Depart as after `leave`, but at once, in the place of its task, which waits; None: it cannot."""
        ...


class JobRun:
    """A run of jobs, which stays to its end."""

    connection_id = 0
    statement = 0

    def __init__(self, interrupts: Interrupts) -> None:
        self.interrupts = interrupts

    def activity(self) -> bytes:
        """See `Occupant`."""
        return b""

    def leave(self) -> bool:
        """See `Occupant`."""
        return False

    def evacuate(self) -> None:
        """See `Occupant`."""


class Roster:
    """See the module."""

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter
        self._by_number: dict[int, Occupant] = {}
        self._by_task: dict[Activity, Occupant] = {}
        self._ended = False

    @property
    def running(self) -> Occupant | None:
        """That of the task that runs; None between two turns, and for a task that is not in here."""
        task = self._waiter.current
        return None if task is None else self._by_task.get(task)

    def cancel(self, number: int) -> None:
        """Cancel what a session runs. For signal handlers."""
        occupant = self._by_number.get(number)
        if occupant is not None:
            occupant.interrupts.cancel()

    def terminate(self, number: int) -> None:
        """End a session. For signal handlers."""
        occupant = self._by_number.get(number)
        if occupant is not None:
            occupant.interrupts.terminate()

    def activities(self) -> list[bytes]:
        """Return what the sessions do."""
        found = (occupant.activity() for occupant in list(self._by_number.values()))
        return [activity for activity in found if activity]

    def shed(self, count: int) -> None:
        """Ask so many sessions to depart, or fewer if it is their clients' turn in fewer."""
        for occupant in list(self._by_number.values()):
            if count <= 0:
                return
            count -= occupant.leave()

    def evacuate(self, replace: Replace) -> Iterator[tuple[int, Departure]]:
        """Have all sessions depart, by number, that can without a turn, and ask the others to."""
        tasks = {id(occupant): task for task, occupant in self._by_task.items()}
        for number, occupant in list(self._by_number.items()):
            departure, task = None, tasks[id(occupant)]
            try:
                departure = replace(task, occupant.evacuate)
            except Exception:  # the others depart all the same
                logger.exception("session not evacuated")
            if departure is not None:
                del self._by_number[number], self._by_task[task]
                yield number, departure
            else:
                occupant.leave()

    def end(self, frame: FrameType | None = None) -> None:
        """End everything, what is entered from now on too. `frame`: see `Interrupts.cancel`."""
        self._ended = True
        running = self.running
        for occupant in list(self._by_number.values()):
            if occupant is not running:
                occupant.interrupts.terminate()
        if running is not None:
            running.interrupts.terminate(frame)

    @contextmanager
    def entered(self, number: int, occupant: Occupant) -> Iterator[None]:
        """Have the running task in here meanwhile."""
        task = self._waiter.current
        assert task is not None, "only tasks can be interrupted"
        self._by_number[number] = self._by_task[task] = occupant
        try:
            if self._ended:
                occupant.interrupts.terminate()
            yield
        finally:
            del self._by_number[number], self._by_task[task]
