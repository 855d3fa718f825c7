"""Connections as code that blocks sees them: socket and poll."""

from __future__ import annotations

import select
from collections.abc import Callable
from socket import MSG_DONTWAIT
from typing import Any

from .network import End, network_of
from .world import Process, Thread


class SimulatedSocket:
    """What socket.socket makes in a simulated process: a blocking Unix stream socket."""

    def __init__(self, process: Process, family: int) -> None:
        self.family = family
        self.address = ""
        self._process = process
        self._network = network_of(process.world)
        self._end: End | None = None
        self._number = process.world.number()
        self._network.descriptors[self._number] = self
        self._timeout: float | None = None

    def __enter__(self) -> SimulatedSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_readable(self) -> bool:
        """True if `recv` would return at once."""
        return self._end is not None and bool(self._end.arrived or self._end.ended)

    def fileno(self) -> int:
        return -1 if self._end is None else self._number

    def bind(self, address: str) -> None:
        self.address = address
        with open(address, "wb"):  # a socket's name, whose mode its owner changes
            pass

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0.0

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def setsockopt(self, _level: int, _option: int, value: Any) -> None:
        """Set the kernel's timeout; both directions have the same."""
        if isinstance(value, bytes) and len(value) == 16:
            seconds = int.from_bytes(value[:8], "little")
            self._timeout = seconds + int.from_bytes(value[8:], "little") / 1e6

    def connect(self, address: str) -> None:
        thread = self._thread()
        deadline = self._deadline()
        if self._timeout != 0.0:
            thread.sleep(self._process.world.chance.randint(10, 200))
        while self._network.is_cut_off(self._process, address):
            if self._left(deadline) == 0.0:
                raise TimeoutError("timed out")
            thread.wait(0.05)
        self._end = self._network.connect(self._process, address)

    def sendall(self, data: bytes) -> None:
        end = self._connected()
        deadline = self._deadline()
        while end.room <= 0 and not end.ended:
            self._wait(deadline, end)
        if end.ended or end.closed:
            raise BrokenPipeError(32, "Broken pipe")
        end.send(bytes(data))

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        end = self._connected()
        deadline = self._process.machine.monotonic() if flags else self._deadline()
        assert flags in (0, MSG_DONTWAIT)
        while not end.arrived:
            if end.ended:
                if end.reset:
                    raise ConnectionResetError(104, "Connection reset by peer")
                return b""
            self._wait(deadline, end)
        return end.take(size)

    def close(self) -> None:
        if self._end is not None:
            self._end.close()
            self._end = None
        self._network.descriptors.pop(self._number, None)

    def _connected(self) -> End:
        if self._end is None:
            raise OSError(107, "Transport endpoint is not connected")
        return self._end

    def wake_on_change(self, wake: Callable[[], None]) -> None:
        """Have something called when there is something to read, or room to write."""
        if self._end is not None:
            self._end.on_arrival = self._end.on_room = wake

    def _thread(self) -> Thread:
        thread = self._process.world.running
        assert thread is not None
        return thread

    def _deadline(self) -> float | None:
        if self._timeout is None:
            return None
        return self._process.machine.monotonic() + self._timeout

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(0.0, deadline - self._process.machine.monotonic())

    def _wait(self, deadline: float | None, end: End) -> None:
        left = self._left(deadline)
        if left == 0.0:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        thread = self._thread()
        self.wake_on_change(thread.wake)
        thread.wait(left)
        self.wake_on_change(lambda: None)


class SimulatedPoll:
    """select.poll, to wait for something to read."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._registered: dict[int, SimulatedSocket] = {}

    def register(self, descriptor: int, _events: int) -> None:
        self._registered[descriptor] = network_of(self._process.world).descriptors[descriptor]

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        thread = self._process.world.running
        assert thread is not None
        until = self._process.machine.monotonic() + milliseconds / 1000
        while not (ready := self._ready()):
            left = until - self._process.machine.monotonic()
            if left <= 0:
                break
            self._wake_on_change(thread.wake)
            thread.wait(left)
            self._wake_on_change(lambda: None)
        return ready

    def _ready(self) -> list[tuple[int, int]]:
        registered = self._registered.items()
        return [(number, select.POLLIN) for number, one in registered if one.is_readable]

    def _wake_on_change(self, wake: Callable[[], None]) -> None:
        for one in self._registered.values():
            one.wake_on_change(wake)
