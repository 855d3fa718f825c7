"""The product's log in the trace of a world."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

from .world import World, running


class LogWatch(logging.Handler):
    """Puts the product's log into the trace, and finds failed asserts in it."""

    def __init__(self, world: World, expected: Callable[[BaseException], bool]) -> None:
        super().__init__()
        self._world = world
        self._expected = expected

    def emit(self, record: logging.LogRecord) -> None:
        if self._world.over:
            return
        thread = running()
        name = "world" if thread is None else thread.process.name
        self._world.remark(f"{name}: {record.levelname} {record.getMessage()}")
        if record.exc_info and record.exc_info[1] is not None:
            self._world.remark("".join(traceback.format_exception(record.exc_info[1])))
        error = record.exc_info[1] if record.exc_info else None
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, AssertionError) and not self._expected(error):
            self._world.violations.append(error)
