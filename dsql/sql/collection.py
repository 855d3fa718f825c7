"""Compiling without garbage collection.

The trees of a statement only grow until it is compiled. The collector would walk them again and again
meanwhile and find nothing: that is half of the time a statement of several megabytes takes.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def uncollected(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function that is to run with the garbage collector off."""

    @functools.wraps(function)
    def run(*arguments: _P.args, **named: _P.kwargs) -> _R:
        if not gc.isenabled():
            return function(*arguments, **named)
        gc.disable()
        try:
            return function(*arguments, **named)
        finally:
            gc.enable()

    return run
