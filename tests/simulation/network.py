"""Streams between simulated processes: late, clogged in one direction or both, broken, and never out of
order.

A stream does not lose bytes in its middle; what a network can do to it is to hold it up, for a while or
until it breaks. The end of a process closes its connections, as a kernel does.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from .world import Process, Thread, World

_BUFFER_BYTES = 208 * 1024  # what a socket takes that nobody reads
_HIGH_WATER = 64 * 1024


class Network:
    """All listening addresses and connections. `delay` is the longest, in microseconds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.delay = 500
        self.ends: dict[End, None] = {}
        self.held: dict[End, None] = {}  # closed ones too: their end is still on the way
        self._listening: dict[str, Listening] = {}
        self._clogged: set[tuple[str, str]] = set()
        self.broken = 0
        self.tells_peers = True  # who they are, as a host's kernel does
        self.descriptors: dict[int, Any] = {}  # sockets by number
        self._known: set[Process] = set()

    # Faults

    def clog(self, source: str, target: str) -> None:
        """Hold up what the processes of one name send to those of another."""
        self._clogged.add((source, target))

    def unclog(self, source: str, target: str) -> None:
        """Let it through again."""
        self._clogged.discard((source, target))
        for end in [end for end in self.held if end.direction == (source, target)]:
            del self.held[end]
            end.pump()

    def is_clogged(self, source: Process, target: Process) -> bool:
        return bool(self._clogged) and (source.name, target.name) in self._clogged

    def is_cut_off(self, process: Process, address: str) -> bool:
        """Return whether a connection to an address cannot come about now."""
        listening = self._listening.get(address)
        if listening is None:
            return False
        other = listening.loop.process
        return self.is_clogged(process, other) or self.is_clogged(other, process)

    def clear(self) -> None:
        """Let everything through again."""
        for source, target in sorted(self._clogged):
            self.unclog(source, target)

    # Connecting

    def listen(self, loop: Any, address: str, factory: Callable[[], asyncio.Protocol]) -> Listening:
        listening = self._listening[address] = Listening(self, loop, address, factory)
        loop.process.on_death.append(listening.close)
        return listening

    def forget(self, listening: Listening) -> None:
        if self._listening.get(listening.address) is listening:
            del self._listening[listening.address]

    def connect(self, process: Process, address: str) -> End:
        """Return the calling end of a new connection. Raises ConnectionRefusedError."""
        listening = self._listening.get(address)
        if listening is None:
            raise ConnectionRefusedError(111, f"nobody listens at {address}")
        other = listening.loop.process
        near, far = End(self, process), End(self, other)
        near.peer, far.peer = far, near
        self.ends[near] = self.ends[far] = None
        self._close_with(process)
        self._close_with(other)
        listening.loop.call_soon_threadsafe(listening.accept, far)
        self.world.note(f"{process.name} -> {other.name} connects")
        return near

    def _close_with(self, process: Process) -> None:
        """Have a process's connections closed when it dies."""
        if process in self._known:
            return
        self._known.add(process)

        def close() -> None:
            for end in [end for end in self.ends if end.process is process]:
                end.close()

        process.on_death.append(close)


class Listening:
    """A listening socket of an event loop; what create_unix_server returns."""

    def __init__(self, network: Network, loop: Any, address: str, factory: Any) -> None:
        self._network = network
        self.loop = loop
        self.address = address
        self._factory = factory

    def accept(self, end: End) -> None:
        if not end.peer.closed or end.arrived:
            protocol = self._factory()
            transport = Transport(self.loop, end, protocol)
            protocol.connection_made(transport)
            transport.start()

    def close(self) -> None:
        self._network.forget(self)

    async def wait_closed(self) -> None: ...


class End:
    """One end of a connection: what it sends arrives at its peer, in order, or the connection breaks."""

    peer: End

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._world = network.world
        self.process = process
        self.closed = False
        self.number = network.world.number()
        self.arrived: deque[bytes] = deque()
        self.arrived_bytes = 0
        self.ended = False  # nothing more will arrive
        self.reset = False  # by a break and not by the peer's close
        self.on_arrival: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        self.travelling: deque[tuple[int, bytes | None]] = deque()
        self.travelling_bytes = 0
        self._last_arrival = 0

    def __hash__(self) -> int:
        return self.number

    @property
    def direction(self) -> tuple[str, str]:
        """Whose messages to whom."""
        return self.process.name, self.peer.process.name

    @property
    def room(self) -> int:
        """How much more can be sent before the peer has to read."""
        return _BUFFER_BYTES - self.travelling_bytes - self.peer.arrived_bytes

    def send(self, data: bytes) -> None:
        if not self.closed:
            self.travelling_bytes += len(data)
            self._travel(data)

    def close(self) -> None:
        """Close: the peer gets what was sent, then the end."""
        if not self.closed:
            self.closed = True
            self._travel(None)
            self._network.ends.pop(self, None)

    def break_(self) -> None:
        """Lose what is on the way; both ends see the connection reset."""
        self._network.broken += 1
        for end in (self, self.peer):
            end.travelling.clear()
            end.travelling_bytes = 0
            end.closed = True
            self._network.ends.pop(end, None)
        for end in (self, self.peer):
            end.ended = end.reset = True
            if end.process.alive:
                end.on_arrival()

    def take(self, size: int | None = None) -> bytes:
        """Return what has arrived, b"" if nothing has."""
        if not self.arrived:
            return b""
        data = b"".join(self.arrived)
        self.arrived.clear()
        if size is not None and len(data) > size:
            self.arrived.append(data[size:])
            data = data[:size]
        self.arrived_bytes -= len(data)
        self.peer.on_room()
        return data

    def _travel(self, data: bytes | None) -> None:
        world = self._world
        delay = world.chance.randint(20, self._network.delay)
        arrival = self._last_arrival = max(self._last_arrival, world.now + delay)
        self.travelling.append((arrival, data))
        if len(self.travelling) == 1:
            world.later(arrival - world.now, self.pump)

    def pump(self) -> None:
        """Let arrive what is due, unless it is held up."""
        world, peer = self._world, self.peer
        if not self.travelling:
            return
        if self._network.is_clogged(self.process, peer.process):
            self._network.held[self] = None
            return
        while self.travelling and self.travelling[0][0] <= world.now:
            data = self.travelling.popleft()[1]
            if data is None:
                peer.ended = True
            else:
                self.travelling_bytes -= len(data)
                peer.arrived.append(data)
                peer.arrived_bytes += len(data)
                world.note(f"{self.process.name} -> {peer.process.name} {len(data)} bytes")
        if peer.process.alive:
            peer.on_arrival()
        if self.travelling:
            world.later(self.travelling[0][0] - world.now, self.pump)


class Transport(asyncio.Transport):
    """An End as asyncio's protocols see it."""

    def __init__(self, loop: Any, end: End, protocol: Any) -> None:
        super().__init__()
        self._loop = loop
        self._end = end
        self._protocol = protocol
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._high = _HIGH_WATER
        self._paused = False
        self._closing = False
        self._lost = False
        self._scheduled = False
        self._socket = PeerSocket(end)

    def start(self) -> None:
        self._end.on_arrival = self._schedule
        self._end.on_room = self._schedule
        if self._end.arrived or self._end.ended:
            self._schedule()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        network = network_of(self._loop.process.world)
        return self._socket if name == "socket" and network.tells_peers else default

    def is_closing(self) -> bool:
        return self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = _HIGH_WATER if high is None else high

    def get_write_buffer_size(self) -> int:
        return self._unsent_bytes

    def write(self, data: Any) -> None:
        if self._closing or not data:
            return
        self._unsent.append(bytes(data))
        self._unsent_bytes += len(data)
        self._flush()
        if self._unsent_bytes > self._high and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def writelines(self, data: Any) -> None:
        self.write(b"".join(data))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._unsent:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self._closing = True
        self._unsent.clear()
        self._unsent_bytes = 0
        self._loop.call_soon(self._lose, None)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def _flush(self) -> None:
        while self._unsent and self._end.room > 0:
            data = self._unsent.popleft()
            self._unsent_bytes -= len(data)
            self._end.send(data)
        if self._paused and not self._unsent:
            self._paused = False
            self._protocol.resume_writing()

    def _schedule(self) -> None:
        if not self._scheduled and not self._lost:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._ready)

    def _ready(self) -> None:
        self._scheduled = False
        if self._lost:
            return
        end = self._end
        self._flush()
        if self._closing:
            if not self._unsent or end.ended:
                self._lose(None)
            return
        data = end.take()
        if data:
            self._protocol.data_received(data)
        if end.ended and not end.arrived:
            self._closing = True
            self._lose(ConnectionResetError(104, "Connection reset by peer") if end.reset else None)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._end.close()
            self._protocol.connection_lost(error)


class PeerSocket:
    """As much of a connected socket as tells who is at its other end."""

    family = socket.AF_UNIX

    def __init__(self, end: End) -> None:
        self._end = end

    def __enter__(self) -> PeerSocket:
        return self

    def __exit__(self, *_: object) -> None: ...

    def fileno(self) -> int:
        network_of(self._end.process.world).descriptors[self._end.number] = self
        return self._end.number

    def getsockopt(self, _level: int, _option: int, _size: int) -> bytes:
        return struct.pack("3i", self._end.peer.process.number, os.geteuid(), 0)


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

    def recv(self, size: int) -> bytes:
        end = self._connected()
        deadline = self._deadline()
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


def network_of(world: World) -> Network:
    """Return the network of a world."""
    network: Network | None = getattr(world, "network", None)
    if network is None:
        network = world.network = Network(world)  # type: ignore[attr-defined]
    return network
