"""Putting simulated things in the place of what the product asks of the operating system.

The product's modules run as they are. What they ask of the system by way of `time`, `os`, `threading`,
`queue`, `socket`, `fcntl`, `gc` and `lmdb` is answered for the simulated thread that has its turn by
`system`, `descriptors` and `environments`, and by the real system for everybody else.
"""

from __future__ import annotations

import concurrent.futures.thread
import contextlib
import functools
import gc
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import storage.environment
from dsql.rpc.server import FramedConnection

from . import descriptors, environments, system
from .threads import SimulatedThread
from .world import World, inhabited, running, world_of_now

_PACKAGES = ("dsql", "journal", "adjudicator", "storage", "placement")


@contextlib.contextmanager
def worlds_kernel(world: World) -> Iterator[None]:
    """Answer for the processes of `world` until the end of the block."""
    with _uncollected(), inhabited(world), _replaced(), _quiet_ends():
        try:
            yield
        finally:
            try:
                world.end()
                for thread in list(concurrent.futures.thread._threads_queues):
                    if isinstance(thread, SimulatedThread):
                        del concurrent.futures.thread._threads_queues[thread]
                gc.collect()
            finally:
                environments.close_environments()
                descriptors.forget_locks()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Let nothing depend on when garbage is collected: it is at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def _quiet_ends() -> Iterator[None]:
    """Close asynchronous generators as asyncio does; what dead processes leave behind is silent."""

    def close(generator: Any) -> None:
        thread = running()
        if thread is not None and thread.loop is not None and not thread.process.world.over:
            thread.loop.call_soon_threadsafe(thread.loop.create_task, generator.aclose())

    hooks, unraisable = sys.get_asyncgen_hooks(), sys.unraisablehook
    sys.set_asyncgen_hooks(firstiter=lambda _: None, finalizer=close)
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # coroutines that were never awaited
            yield
    finally:
        sys.set_asyncgen_hooks(*hooks)
        sys.unraisablehook = unraisable


class _PerProcess(dict[Any, Any]):
    """A module's dictionary, of which every simulated process has its own."""

    def _own(self) -> dict[Any, Any]:
        thread = running()
        if thread is None:
            return {}
        own: dict[Any, Any] = thread.process.local.setdefault("module state", {})
        return own

    def get(self, key: Any, default: Any = None) -> Any:
        return self._own().get(key, default)

    def __bool__(self) -> bool:
        return bool(self._own())

    def __setitem__(self, key: Any, value: Any) -> None:
        self._own()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._own()[key]


def _outside_only(real: Callable[..., Any], inside: Any = None) -> Callable[..., Any]:
    return lambda *arguments: real(*arguments) if running() is None else inside


def _number_of(connection: Any) -> int:
    """Hash a connection by when it was first asked for that, and not by its address."""
    world = world_of_now()
    if world is None:
        return id(connection)
    if "simulated_number" not in connection.__dict__:
        connection.simulated_number = world.number()
    return int(connection.simulated_number)


_REPLACED: list[tuple[Any, str, Any]] = [
    *system.REPLACED,
    *descriptors.REPLACED,
    *environments.REPLACED,
    (gc, "collect", _outside_only(gc.collect, 0)),
    (gc, "get_count", _outside_only(gc.get_count, (0, 0, 0))),
    (gc, "freeze", _outside_only(gc.freeze)),
    (gc, "unfreeze", _outside_only(gc.unfreeze)),
    (gc, "disable", _outside_only(gc.disable)),
    (gc, "enable", _outside_only(gc.enable)),
]


@contextlib.contextmanager
def _replaced() -> Iterator[None]:
    """Put all of it in the place of the real, also where the product has imported that by name."""
    changes = [*_changes(), (FramedConnection, "__hash__", object.__hash__, _number_of)]
    writers = storage.environment._writers
    changes.append((storage.environment, "_writers", writers, _PerProcess()))
    for place, name, _, replacement in changes:
        _put(place, name, replacement)
    try:
        yield
    finally:
        for place, name, real, _ in changes:
            _put(place, name, real)


def _put(place: Any, name: str, value: Any) -> None:
    if isinstance(place, dict):
        place[name] = value
    else:
        setattr(place, name, value)


@functools.cache
def _changes() -> list[tuple[Any, str, Any, Any]]:
    """Return (place, name, real, replacement) for every module, import and default of a parameter."""
    replacements = {id(getattr(module, name)): new for module, name, new in _REPLACED}
    changes = [(module, name, getattr(module, name), new) for module, name, new in _REPLACED]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in _PACKAGES:
            continue
        for attribute, value in vars(module).items():
            if id(value) in replacements and (module, attribute) not in [c[:2] for c in changes]:
                changes.append((module, attribute, value, replacements[id(value)]))
            elif getattr(value, "__module__", None) == name:
                changes += _defaults(value, replacements)
    return changes


def _defaults(owner: Any, replacements: dict[int, Any]) -> list[tuple[Any, str, Any, Any]]:
    functions = vars(owner).values() if isinstance(owner, type) else [owner]
    changes: list[tuple[Any, str, Any, Any]] = []
    for function in functions:
        if not isinstance(function, types.FunctionType):
            continue
        defaults = function.__defaults__ or ()
        if any(id(value) in replacements for value in defaults):
            new = tuple(replacements.get(id(value), value) for value in defaults)
            changes.append((function, "__defaults__", defaults, new))
        for name, value in (function.__kwdefaults__ or {}).items():
            if id(value) in replacements:
                changes.append((function.__kwdefaults__, name, value, replacements[id(value)]))
    return changes
