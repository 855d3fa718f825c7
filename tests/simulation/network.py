"""Streams between simulated processes: late, clogged in one direction or both, broken, and never out of
order.

A stream does not lose bytes in its middle; what a network can do to it is to hold it up, for a while or
until it breaks. The end of a process closes its connections, as a kernel does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .world import Process, World

if TYPE_CHECKING:
    from .transport import Listening

_BUFFER_BYTES = 208 * 1024  # what a socket takes that nobody reads


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

    def stall(self, ends: list[End]) -> None:
        """Hold up single connections, in the direction in which these ends send and in the other one."""
        for end in ends:
            end.stalled = end.peer.stalled = True

    def release(self, ends: list[End]) -> None:
        """Let them go on."""
        for end in [end for one in ends for end in (one, one.peer)]:
            end.stalled = False
            if end in self.held:
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
        self.release(list(self.held))

    # Connecting

    def listen(self, listening: Listening) -> None:
        """Let a server be reached at its address until it closes, or dies."""
        self._listening[listening.address] = listening
        listening.loop.process.on_death.append(listening.close)

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
        near.address = far.address = address
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


class End:
    """One end of a connection: what it sends arrives at its peer, in order, or the connection breaks."""

    peer: End

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._world = network.world
        self.process = process
        self.address = ""  # that was called
        self.closed = False
        self.stalled = False
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
        delay = 20 + int(world.chance.random() * (self._network.delay - 19))
        arrival = self._last_arrival = max(self._last_arrival, world.now + delay)
        self.travelling.append((arrival, data))
        if len(self.travelling) == 1:
            world.later(arrival - world.now, self.pump)

    def pump(self) -> None:
        """Let arrive what is due, unless it is held up."""
        world, peer = self._world, self.peer
        if not self.travelling:
            return
        if self.stalled or self._network.is_clogged(self.process, peer.process):
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


def network_of(world: World) -> Network:
    """Return the network of a world."""
    network: Network | None = getattr(world, "network", None)
    if network is None:
        network = world.network = Network(world)  # type: ignore[attr-defined]
    return network
