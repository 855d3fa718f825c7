"""What the system tells a simulated process: time, chance, who else runs, sockets, threads, the boot."""

from __future__ import annotations

import os
import queue
import random
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import dsql.rpc.boot
import dsql.rpc.process
from dsql.rpc.process import Condition

from .network import network_of
from .sockets import SimulatedPoll, SimulatedSocket
from .threads import (
    SimulatedEvent,
    SimulatedLock,
    SimulatedQueue,
    SimulatedRLock,
    SimulatedThread,
)
from .world import running

_YIELD_MICROSECONDS = 2


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


def _current_boot() -> int:
    thread = running()
    return _real_boot() if thread is None else thread.process.machine.boot


_real_boot = dsql.rpc.boot.current_boot


REPLACED: list[tuple[Any, str, Any]] = [
    (time, "monotonic", _monotonic),
    (time, "perf_counter", _perf_counter),
    (time, "sleep", _sleep),
    (time, "time", _wall_seconds),
    (time, "time_ns", _wall_nanoseconds),
    (os, "urandom", _urandom),
    (os, "sched_yield", _sched_yield),
    (random, "Random", _Random),
    (random, "_urandom", _urandom),
    (threading, "Thread", _made_by(SimulatedThread, threading.Thread)),
    (threading, "Lock", _made_by(SimulatedLock, threading.Lock)),
    (threading, "RLock", _made_by(SimulatedRLock, threading.RLock)),
    (threading, "Event", _made_by(SimulatedEvent, threading.Event)),
    (queue, "SimpleQueue", _made_by(SimulatedQueue, queue.SimpleQueue)),
    (socket, "socket", _Socket),
    (socket, "fromfd", _fromfd),
    (select, "poll", _poll),
    (dsql.rpc.process, "condition_of", _condition_of),
    (dsql.rpc.boot, "current_boot", _current_boot),
]
