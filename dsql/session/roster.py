"""What runs in a query processor: the interrupts of each session and run of jobs, by number and by task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dsql.hub.waiter import Activity, Waiter
from dsql.session.interrupts import Interrupts


class Roster:
    """See the module."""

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter
        self._by_number: dict[int, Interrupts] = {}
        self._by_task: dict[Activity, Interrupts] = {}
        self._ended = False

    @property
    def running(self) -> Interrupts | None:
        """Those of the task that runs; None between two turns, and for a task that is not in here."""
        task = self._waiter.current
        return None if task is None else self._by_task.get(task)

    def find(self, number: int) -> Interrupts | None:
        """Return those of a session or run of jobs, None if there is none of that number."""
        return self._by_number.get(number)

    def end(self, frame: FrameType | None = None) -> None:
        """End everything, what is entered from now on too. `frame`: see `Interrupts.cancel`."""
        self._ended = True
        running = self.running
        for interrupts in list(self._by_number.values()):
            if interrupts is not running:
                interrupts.terminate()
        if running is not None:
            running.terminate(frame)

    @contextmanager
    def entered(self, number: int, interrupts: Interrupts) -> Iterator[None]:
        """Have the running task in here meanwhile."""
        task = self._waiter.current
        assert task is not None, "only tasks can be interrupted"
        self._by_number[number] = self._by_task[task] = interrupts
        try:
            if self._ended:
                interrupts.terminate()
            yield
        finally:
            del self._by_number[number], self._by_task[task]
