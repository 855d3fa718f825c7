"""Parked sessions that outlive their agent: what it says to the keeper, and its end of that connection.

    agent --Attend--> keeper                   I am the agent of this name
    agent --Keep[client]--> keeper             a session was parked; without a word of thanks
    agent --Forget--> keeper                   it is about to be woken, or it is over
    keeper --Keep[client]--> the next agent    what an earlier one of this name has left

A record is good once: it has the numbers of the next TLS records, and whoever wakes it twice uses them
twice. So there are never two who may wake a session. An agent may as long as it lives, and says Forget
before it gives a record away: what it has sent stands in the keeper's queue even if it dies with the next
instruction. The keeper shows a session to another agent only when the connection of the one that answers
for it has ended and was read to its end. An agent that cannot say Forget ends the keeper first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from dsql.rpc import packets
from dsql.session.control import Ears
from placement.parking import ParkedSession
from placement.sessions import Keys, ParkedRecord

logger = logging.getLogger(__name__)

TAKE_SECONDS = 1.0  # a keeper that reads nothing for so long is ended
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Attend(msgspec.Struct, frozen=True, tag="attend", array_like=True):
    """An agent's first words: its name."""

    agent: str


class Keep(msgspec.Struct, frozen=True, tag="keep", array_like=True):
    """A parked session, with its client's socket: see `placement.worker.ParkedRecord`."""

    number: int
    cluster: str
    keys: tuple[int, int]
    deadline: float
    record: bytes
    activity: bytes = b""
    ears: Ears | None = None


class Forget(msgspec.Struct, frozen=True, tag="forget", array_like=True):
    """A session is parked no more. The keeper may not know of it."""

    number: int


ToKeeper = Attend | Keep | Forget

encode = msgspec.msgpack.Encoder().encode
_to_keeper: msgspec.msgpack.Decoder[ToKeeper] = msgspec.msgpack.Decoder(ToKeeper)
decode = _to_keeper.decode
_decode_found = msgspec.msgpack.Decoder(Keep).decode


class Keeping:
    """The agent's connection to the keeper at `path`; `found` is called with what earlier agents have left.

    Without a keeper sessions are parked all the same, and end with the agent.
    """

    def __init__(self, path: Path, agent: str, found: Callable[[ParkedSession], None]) -> None:
        self._path = path
        self._agent = agent
        self._found = found
        self._connection: socket.socket | None = None
        self._keeper = -1  # its pidfd
        self._loop = asyncio.get_running_loop()

    @property
    def connected(self) -> bool:
        """Whether there is a keeper, which has all that is parked."""
        return self._connection is not None

    def connect(self, parked: Iterable[ParkedSession]) -> None:
        """Find the keeper, if it is there, and give it all that is parked."""
        if self._connection is not None:
            return
        try:
            connection = packets.connect(self._path)
        except OSError:
            return  # not there yet, or restarting: the next tick tries again
        process_id, _, _ = _PEER.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        )
        try:
            self._keeper = os.pidfd_open(process_id)
        except ProcessLookupError:
            connection.close()
            return
        connection.setblocking(False)
        self._connection = connection
        self._loop.add_reader(connection, self._on_readable)
        self._send(encode(Attend(self._agent)))
        for session in parked:
            self.keep(session)

    def keep(self, session: ParkedSession) -> None:
        """Have the keeper hold a session that was just parked."""
        if self._connection is not None:
            keys, deadline, ears = session.keys, session.deadline, session.ears
            said = deadline, session.record, session.activity, ears
            kept = Keep(session.number, session.cluster, keys, *said)
            session.kept = self._send(encode(kept), session.client)

    def forget(self, session: ParkedSession) -> None:
        """Have nobody else wake a session, from the moment in which this returns."""
        if session.kept:
            session.kept = False
            self._send(encode(Forget(session.number)))

    def close(self) -> None:
        """Leave what is parked to the next agent. This one must end without waking anything."""
        if self._connection is not None:
            self._loop.remove_reader(self._connection)
            self._connection.close()
            self._connection = None
            os.close(self._keeper)

    def _send(self, packet: bytes, *descriptors: int) -> bool:
        """Send now, and wait for a keeper that is slow; return whether there is one."""
        if self._connection is None:
            return False
        try:
            while True:
                try:
                    packets.send(self._connection, packet, descriptors)
                except BlockingIOError:
                    self._await_room(self._connection)
                else:
                    return True
        except OSError as error:
            self._end_keeper(str(error))
            return False

    def _await_room(self, connection: socket.socket) -> None:
        room = select.poll()
        room.register(connection, select.POLLOUT)
        if not room.poll(TAKE_SECONDS * 1000):
            raise TimeoutError("it reads nothing")

    def _end_keeper(self, reason: str) -> None:
        """End the keeper, if it has not ended: our end of the connection lasts longer than it does."""
        logger.error("keeper lost", extra={"reason": reason})
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._keeper, signal.SIGKILL)
        gone = select.poll()
        gone.register(self._keeper, select.POLLIN)
        gone.poll()
        self.close()

    def _on_readable(self) -> None:
        assert self._connection is not None, "what is closed is not watched"
        try:
            packet, descriptors = packets.receive(self._connection)
        except BlockingIOError:
            return
        except OSError as error:
            self._end_keeper(str(error))
            return
        if not packet:
            self._end_keeper("it has ended")
            return
        found = _decode_found(packet)
        keys, client = Keys(*found.keys), descriptors.pop()
        said = found.deadline, found.activity, found.ears
        parked = ParkedRecord(found.number, keys, client, found.record, *said)
        session = ParkedSession(found.cluster, parked)
        session.kept = True
        self._found(session)
