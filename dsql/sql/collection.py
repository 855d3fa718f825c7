"""Compiling without garbage collection.

The trees of a statement only grow until it is compiled. The collector would walk them again and again
meanwhile and find nothing: that is half of the time a statement of several megabytes takes. Nor can a walk
over a million objects be interrupted. So what a long statement was made of is put where the collector does
not look, and it is looked at when the client has its answer.

Several tasks of a process may be in the midst of it, in turns. The collector runs when none is.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

_P = ParamSpec("_P")
_R = TypeVar("_R")

_OBJECTS_MAX = 100_000  # some 30 ms of the collector

postponed = False  # whether `collect` has something to do
_compiling: set[greenlet] = set()  # the tasks that are in the midst of it


def uncollected(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function that is to run with the garbage collector off."""

    @functools.wraps(function)
    def run(*arguments: _P.args, **named: _P.kwargs) -> _R:
        task = getcurrent()
        if task in _compiling or not (gc.isenabled() or _compiling):
            return function(*arguments, **named)
        try:
            _compiling.add(task)
            gc.disable()
            return function(*arguments, **named)
        finally:
            _postpone()
            _leave(task)

    return run


def resume() -> None:
    """Let the collector run again, after an interrupt that may have cut `uncollected` short anywhere."""
    _leave(getcurrent())


def _leave(task: greenlet) -> None:
    _compiling.discard(task)
    if not _compiling:
        gc.enable()


def collect() -> None:
    """Collect all garbage, what was postponed too."""
    global postponed
    postponed = False
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _postpone() -> None:
    """Hide the objects made since the last collection from the next one, if they are many."""
    global postponed
    if gc.get_count()[0] > _OBJECTS_MAX:
        postponed = True
        gc.freeze()
