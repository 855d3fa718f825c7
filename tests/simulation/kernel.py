"""What the operating system answers while a simulated process runs.

The product's modules run as they are. What they ask of the system by way of `time`, `os`, `threading`,
`queue`, `socket`, `fcntl`, `gc` and `lmdb` is answered here for the simulated thread that has its turn,
and by the real system for everybody else. Real files and maps remain real; what a process had open is
closed when it dies, and its locks go with it, without any code of the product.

LMDB lets an environment be opened once per process, and all simulated processes are one. So they share
it: who opens what is open already gets the same environment, as processes share the pages of a file. A
writer that is killed leaves it as the page cache would.
"""

from __future__ import annotations

import concurrent.futures.thread
import contextlib
import fcntl
import functools
import gc
import logging
import os
import queue
import random
import select
import socket
import struct
import sys
import threading
import time
import traceback
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb

import dsql.rpc.boot
import dsql.rpc.process
import storage.environment
from dsql.rpc.process import Condition
from dsql.rpc.server import FramedConnection

from .network import SimulatedPoll, SimulatedSocket, network_of
from .threads import (
    SimulatedEvent,
    SimulatedLock,
    SimulatedQueue,
    SimulatedRLock,
    SimulatedThread,
)
from .world import Process, World, inhabited, running, world_of_now

_PACKAGES = ("dsql", "journal", "adjudicator", "storage", "placement")
_YIELD_MICROSECONDS = 2


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
                _close_environments()


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
        yield
    finally:
        sys.set_asyncgen_hooks(*hooks)
        sys.unraisablehook = unraisable


# Time


def _monotonic() -> float:
    thread = running()
    return _real_monotonic() if thread is None else thread.process.machine.monotonic()


def _wall_nanoseconds() -> int:
    thread = running()
    return _real_time_ns() if thread is None else thread.process.machine.wall() * 1000


def _wall_seconds() -> float:
    thread = running()
    return _real_time() if thread is None else thread.process.machine.wall() / 1e6


def _sleep(seconds: float) -> None:
    thread = running()
    if thread is None:
        _real_sleep(seconds)
    else:
        thread.sleep(thread.process.machine.microseconds(seconds))


def _sched_yield() -> None:
    thread = running()
    if thread is not None:
        thread.sleep(_YIELD_MICROSECONDS)


_real_monotonic, _real_perf_counter, _real_sleep = time.monotonic, time.perf_counter, time.sleep
_real_time_ns, _real_time = time.time_ns, time.time


def _perf_counter() -> float:
    return _real_perf_counter() if running() is None else _monotonic()


# Chance


def _urandom(size: int) -> bytes:
    thread = running()
    return _real_urandom(size) if thread is None else thread.process.world.chance.randbytes(size)


class _Random(random.Random):
    """A Random that is seeded by the world unless it is seeded by hand."""

    def __new__(cls, *arguments: Any) -> Any:
        return super().__new__(cls, *arguments)

    def __init__(self, seed: Any = None) -> None:
        thread = running()
        if seed is None and thread is not None:
            seed = thread.process.world.chance.randbytes(8)
        super().__init__(seed)


_real_urandom, _RealRandom = os.urandom, random.Random


# Threads


def _made_by(simulated: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a maker of simulated objects for simulated threads, of real ones for others."""

    def make(*arguments: Any, **options: Any) -> Any:
        maker = real if running() is None else simulated
        return maker(*arguments, **options)

    return make


# Sockets


class _Socket(socket.socket):
    """socket.socket: still a class, but a simulated thread gets another thing when it calls it."""

    def __new__(cls, family: int = -1, *arguments: Any, **options: Any) -> Any:
        thread = running()
        if thread is not None:
            return SimulatedSocket(thread.process, family)
        return super().__new__(cls, family, *arguments, **options)


def _fromfd(descriptor: int, *arguments: Any) -> Any:
    thread = running()
    if thread is None:
        return _real_fromfd(descriptor, *arguments)
    return network_of(thread.process.world).descriptors[descriptor]


def _poll() -> Any:
    thread = running()
    return _real_poll() if thread is None else SimulatedPoll(thread.process)


def _condition_of(number: int) -> Condition:
    thread = running()
    if thread is None:
        return _real_condition_of(number)
    return Condition(thread.process.world.processes[number - 1].state, 0.0, 0.0)


_real_fromfd, _real_poll = socket.fromfd, select.poll
_real_condition_of = dsql.rpc.process.condition_of


# Files and locks


def _descriptors(process: Process) -> set[int]:
    """Return the real descriptors that a process has open, to be closed when it dies."""
    opened: set[int] | None = process.local.get("descriptors")
    if opened is None:
        opened = process.local["descriptors"] = set()
        process.on_death.append(lambda: _close_all(opened))
    return opened


def _close_all(opened: set[int]) -> None:
    for descriptor in opened:
        _locks.pop(descriptor, None)
        with contextlib.suppress(OSError):
            _real_close(descriptor)
    opened.clear()


def _open(*arguments: Any, **options: Any) -> int:
    thread = running()
    descriptor = _real_open(*arguments, **options)
    if thread is not None:
        _descriptors(thread.process).add(descriptor)
    return descriptor


def _dup(descriptor: int) -> int:
    thread = running()
    copy = _real_dup(descriptor)
    if thread is not None:
        _descriptors(thread.process).add(copy)
    return copy


def _close(descriptor: int) -> None:
    thread = running()
    if thread is not None:
        opened = _descriptors(thread.process)
        if descriptor not in opened:
            raise OSError(9, "Bad file descriptor")
        opened.discard(descriptor)
        _locks.pop(descriptor, None)
    _real_close(descriptor)


def _write(descriptor: int, data: Any) -> int:
    thread = running()
    written = _real_write(descriptor, data)
    if thread is not None:
        inode = os.fstat(descriptor).st_ino
        for process in thread.process.world.processes:
            for loop in process.loops if process.alive else ():
                loop.written(inode)
    return written


def _fdatasync(descriptor: int) -> None:
    """Take the time of a disk, and remember what is safe from now on (`cluster.Zone.crash`)."""
    thread = running()
    if thread is not None:
        disk = thread.process.local.get("disk")
        if disk is not None:
            disk.wait(thread, disk.sync_delay)
            disk.fail()
            status = os.fstat(descriptor)
            content = Path(f"/proc/self/fd/{descriptor}").read_bytes()
            disk.synced[status.st_dev, status.st_ino] = content
    _real_fdatasync(descriptor)


_real_open, _real_close, _real_dup, _real_write = os.open, os.close, os.dup, os.write
_real_fdatasync = os.fdatasync
_locks: dict[int, int] = {}  # descriptor: inode


def _fcntl(descriptor: int, command: int, argument: Any = 0) -> Any:
    """Answer for locks of open file descriptions: their owner is the descriptor here."""
    if running() is None or command not in (_SETLK, _GETLK):
        return _real_fcntl(descriptor, command, argument)
    inode = os.fstat(descriptor).st_ino
    held = any(other == inode and number != descriptor for number, other in _locks.items())
    if command == _GETLK:
        kind = fcntl.F_WRLCK if held else fcntl.F_UNLCK
        return struct.pack("h", kind) + bytes(argument)[2:]
    if held:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    _locks[descriptor] = inode
    return argument


_SETLK = getattr(fcntl, "F_OFD_SETLK", 37)
_GETLK = getattr(fcntl, "F_OFD_GETLK", 36)
_real_fcntl = fcntl.fcntl


# LMDB


class _Environment:
    """An opened LMDB environment as one simulated process has it."""

    def __init__(self, shared: _SharedEnvironment, *, readonly: bool) -> None:
        self.shared = shared
        self._readonly = readonly
        self._open = True
        self._transactions: weakref.WeakSet[Any] = weakref.WeakSet()
        thread = running()
        assert thread is not None
        thread.process.on_death.append(self._let_go)

    def begin(self, *arguments: Any, **options: Any) -> Any:
        return self.note(self.real.begin(*arguments, **options))

    def note(self, transaction: Any) -> Any:
        self._transactions.add(transaction)
        return transaction

    @property
    def real(self) -> Any:
        if not self._open:
            raise lmdb.Error("Attempt to operate on closed/deleted/dropped object.")
        return self.shared.environment

    def set_mapsize(self, size: int) -> None:
        if not self._readonly:
            self.real.set_mapsize(size)

    def close(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._open:
            self._open = False
            for transaction in list(self._transactions):
                with contextlib.suppress(lmdb.Error):
                    transaction.abort()
            self.shared.leave()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _SharedEnvironment:
    """An LMDB environment that simulated processes share."""

    def __init__(self, environment: Any, identity: tuple[int, int]) -> None:
        self.environment = environment
        self.users = 0
        self._identity = identity

    def leave(self) -> None:
        """One has closed it, or has died; the last one closes the file."""
        self.users -= 1
        if not self.users:
            self.environment.close()
            _environments.pop(self._identity, None)


_environments: dict[tuple[int, int], _SharedEnvironment] = {}


def _open_environment(path: str, **options: Any) -> Any:
    if running() is None:
        return _real_open_environment(path, **options)
    data = Path(path) / "data.mdb"
    readonly = options.get("readonly", False)
    shared = _environments.get(_identity(data)) if data.exists() else None
    if shared is None:
        if readonly:
            options = {
                "max_dbs": options["max_dbs"],
                "map_size": data.stat().st_size,
                "create": False,
                "sync": False,
                "metasync": False,
                "writemap": True,
                "max_readers": 512,
            }
        environment = _real_open_environment(path, **options)
        shared = _SharedEnvironment(environment, _identity(data))
        _environments[_identity(data)] = shared
    elif not readonly and shared.environment.info()["map_size"] < options["map_size"]:
        shared.environment.set_mapsize(options["map_size"])
    shared.users += 1
    return _Environment(shared, readonly=readonly)


def _close_environments() -> None:
    while _environments:
        _environments.popitem()[1].environment.close()
    _locks.clear()


def _begin_transaction(environment: Any, *arguments: Any, **options: Any) -> Any:
    if isinstance(environment, _Environment):
        return environment.note(_real_transaction(environment.real, *arguments, **options))
    return _real_transaction(environment, *arguments, **options)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


_real_open_environment, _real_transaction = lmdb.open, lmdb.Transaction


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


# Putting it in the place of the real


def _current_boot() -> int:
    thread = running()
    return _real_boot() if thread is None else thread.process.machine.boot


_real_boot = dsql.rpc.boot.current_boot


def _outside_only(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: real(*arguments) if running() is None else None


def _number_of(connection: Any) -> int:
    """Hash a connection by when it was first asked for that, and not by its address."""
    world = world_of_now()
    if world is None:
        return id(connection)
    if "simulated_number" not in connection.__dict__:
        connection.simulated_number = world.number()
    return int(connection.simulated_number)


_REPLACED: list[tuple[Any, str, Any]] = [
    (time, "monotonic", _monotonic),
    (time, "perf_counter", _perf_counter),
    (time, "sleep", _sleep),
    (time, "time", _wall_seconds),
    (time, "time_ns", _wall_nanoseconds),
    (os, "urandom", _urandom),
    (os, "sched_yield", _sched_yield),
    (os, "open", _open),
    (os, "close", _close),
    (os, "dup", _dup),
    (os, "write", _write),
    (os, "fdatasync", _fdatasync),
    (fcntl, "fcntl", _fcntl),
    (random, "Random", _Random),
    (threading, "Thread", _made_by(SimulatedThread, threading.Thread)),
    (threading, "Lock", _made_by(SimulatedLock, threading.Lock)),
    (threading, "RLock", _made_by(SimulatedRLock, threading.RLock)),
    (threading, "Event", _made_by(SimulatedEvent, threading.Event)),
    (queue, "SimpleQueue", _made_by(SimulatedQueue, queue.SimpleQueue)),
    (socket, "socket", _Socket),
    (socket, "fromfd", _fromfd),
    (select, "poll", _poll),
    (random, "_urandom", _urandom),
    (dsql.rpc.process, "condition_of", _condition_of),
    (lmdb, "open", _open_environment),
    (lmdb, "Transaction", _begin_transaction),
    (gc, "collect", _outside_only(gc.collect)),
    (gc, "freeze", _outside_only(gc.freeze)),
    (gc, "unfreeze", _outside_only(gc.unfreeze)),
    (gc, "disable", _outside_only(gc.disable)),
    (gc, "enable", _outside_only(gc.enable)),
    (dsql.rpc.boot, "current_boot", _current_boot),
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
