"""The agent's end of its connection to the seed: forks are asked for here, and come from here."""

from __future__ import annotations

import contextlib
import logging
import socket
from pathlib import Path
from typing import Protocol

from dsql.rpc import packets
from dsql.rpc.packets import PacketChannel
from placement.messages import (
    Died,
    Fork,
    Forked,
    Leave,
    NotForked,
    SeedHello,
    Survivor,
    decode,
    encode,
)

logger = logging.getLogger(__name__)


class SeedEvents(Protocol):
    """Who is told what the seed says."""

    def on_forked(self, process_id: int, control: socket.socket, pidfd: int) -> None:
        """There is a new query processor, which belongs to nobody. Whoever is told owns the descriptors."""
        ...

    def on_survivor(self, process_id: int, control: socket.socket, pidfd: int) -> None:
        """There is one that an earlier agent has had, likewise."""
        ...

    def on_not_forked(self) -> None:
        """The machine has no room for one more."""
        ...

    def on_died(self, process_id: int, status: int) -> None:
        """One has ended: see `placement.messages.Died`."""
        ...

    def on_renewed(self) -> None:
        """Another seed has come, as was wanted: what earlier ones have forked is to be replaced."""
        ...

    def on_seed_lost(self) -> None:
        """The seed is gone; its children are not."""
        ...


class SeedLine:
    """See the module. `code` is what the seed forks, once it has said so: compiled or interpreted."""

    def __init__(self, path: Path, events: SeedEvents) -> None:
        self._path = path
        self._events = events
        self._channel: PacketChannel | None = None
        self._renewing = False  # the next seed replaces all that this one has forked
        self.code = ""

    @property
    def connected(self) -> bool:
        """Whether there is a seed."""
        return self._channel is not None

    def connect(self) -> None:
        """Find the seed, if it is there."""
        if self._channel is None:
            # Not there yet, or restarting: then the next tick tries again.
            with contextlib.suppress(OSError):
                connection = packets.connect(self._path)
                self._channel = PacketChannel(connection, self._received, self._closed)

    def fork(self, *, sandbox: bool, memory_bytes: int) -> None:
        """Ask for one more query processor. Raises ConnectionError without a seed."""
        if self._channel is None:
            raise ConnectionError("there is no seed")
        self._channel.send(encode(Fork(sandbox, memory_bytes)))

    def renew(self) -> None:
        """Have the next seed take the place of this one."""
        if self._channel is not None:
            self._renewing = True
            with contextlib.suppress(ConnectionError):  # it is gone already
                self._channel.send(encode(Leave()))

    def close(self) -> None:
        """Let go of the seed."""
        if self._channel is not None:
            self._channel.close()

    def _received(self, packet: bytes, descriptors: list[int]) -> None:
        match decode(packet):
            case Forked(process_id):
                control, pidfd = descriptors
                self._events.on_forked(process_id, socket.socket(fileno=control), pidfd)
            case Survivor(process_id):
                control, pidfd = descriptors
                self._events.on_survivor(process_id, socket.socket(fileno=control), pidfd)
            case SeedHello(compiled):
                self.code = "compiled" if compiled else "interpreted"
                if self._renewing:
                    self._renewing = False
                    self._events.on_renewed()
            case NotForked():
                self._events.on_not_forked()
            case Died(process_id, status):
                self._events.on_died(process_id, status)

    def _closed(self) -> None:
        logger.warning("seed lost")
        self._channel = None
        self.code = ""
        self._events.on_seed_lost()
