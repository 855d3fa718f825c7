"""One activity of a hub: a greenlet, and what the hub knows of it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from greenlet import greenlet

from dsql.hub.waiter import NEVER

logger = logging.getLogger(__name__)

Timer = tuple[float, int, "Task"]  # when, and in which order


def _do_nothing() -> None:
    """Do nothing: the task never blocks, or is over."""


class Task(greenlet):
    """Runs `act` to its end and then calls `ended`. What `act` raises is logged.

    `hurry` ends a system call that it blocks in, if it was alone. The rest is the hub's.
    """

    def __init__(self, act: Callable[[], None], ended: Callable[[Task], None]) -> None:
        super().__init__()
        self._act = act
        self._ended = ended
        self.hurry: Callable[[], None] = _do_nothing
        self.deadline = NEVER  # of what it waits for
        self.timer: Timer | None = None  # that comes no later
        self.waits = False
        self.is_woken = False  # before it waits
        self.is_ready = False

    def run(self) -> None:
        """Live: what the greenlet does, at its first turn."""
        try:
            self._act()
        except Exception:
            logger.exception("task failed")
        finally:
            self._ended(self)
            self._act = self.hurry = _do_nothing  # a void timer may know this task for an hour
