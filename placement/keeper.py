"""The keeper process: holds what agents have parked, for the time in which there is no agent.

It has a duplicate of every parked client's socket, and the record as it came, which it never opens. Why no
session is woken twice stands in `placement.keeping`. It is no seed, because what is in a seed's memory is
in that of every query processor. It has one thread and no event loop, which would be larger than all else
that it has. If it dies, agents give the next one all that they have parked.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from dsql.rpc import packets
from dsql.rpc.accepting import accept_or_pause
from dsql.rpc.tick import until_tick
from placement.keeping import Attend, Forget, Keep, decode

TURN_SECONDS = 1.0
_AGAIN_SECONDS = 0.05
WITHOUT_AGENT_SECONDS = 30.0  # then sessions are closed: their clients wait for an answer


class Kept:
    """A parked session. `holder` is the connection of the agent that may wake it, None if that is gone."""

    __slots__ = ("client", "holder", "orphaned_at", "packet")

    def __init__(self, packet: bytes, client: int, holder: Attendant) -> None:
        self.packet = packet
        self.client = client
        self.holder: Attendant | None = holder
        self.orphaned_at = 0.0


class Attendant:
    """An agent's connection. `showing`: the numbers of what it is still to be shown."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.name: str | None = None
        self.showing: deque[int] = deque()


class Keeper:
    """All sessions that agents have parked, by the agent's name and the session's number.

    `turned` is called about every TURN_SECONDS.
    """

    def __init__(self, listener: socket.socket, turned: Callable[[], None]) -> None:
        self._listener = listener
        self._turned = turned
        self._attendants: dict[int, Attendant] = {}  # by descriptor, in the order of their coming
        self._kept: dict[str, dict[int, Kept]] = {}
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)

    def run(self) -> None:
        """Serve for ever."""
        looked_at = 0.0
        while True:
            self.turn(until_tick(time.monotonic(), TURN_SECONDS))
            now = time.monotonic()
            if now - looked_at >= TURN_SECONDS / 2:  # it wakes a little too early, or for somebody
                looked_at = now
                self._turned()
                self._give_up(now)

    def turn(self, seconds: float) -> None:
        """Do what there is to do, or wait so long for it."""
        for descriptor, events in self._poll.poll(seconds * 1000):
            attendant = self._attendants.get(descriptor)
            if descriptor == self._listener.fileno():
                self._accept()
            elif attendant is not None and events & ~select.POLLOUT:
                self._hear(attendant)
            elif attendant is not None:
                self._show(attendant)

    def _accept(self) -> None:
        connection = accept_or_pause(self._listener, _AGAIN_SECONDS)
        if connection is None:
            return
        connection.setblocking(False)
        self._attendants[connection.fileno()] = Attendant(connection)
        self._poll.register(connection, select.POLLIN)

    def _hear(self, attendant: Attendant) -> None:
        try:
            packet, descriptors = packets.receive(attendant.connection)
        except (ConnectionError, BlockingIOError):
            # One that died with something unread: what it has said still stands behind this. Or too few
            # descriptors were left for one session, which is its agent's alone then.
            return
        if packet:
            self._obey(attendant, packet, descriptors)
        else:
            self._leave(attendant)

    def _obey(self, attendant: Attendant, packet: bytes, descriptors: list[int]) -> None:
        match decode(packet):
            case Attend(agent):
                attendant.name = agent
                self._show_orphans(agent)
            case Keep(number):
                assert attendant.name is not None, "who parks has said who it is"
                sessions = self._kept.setdefault(attendant.name, {})
                assert number not in sessions, "who is parked again was woken before"
                sessions[number] = Kept(packet, descriptors.pop(), attendant)
            case Forget(number):
                assert attendant.name is not None, "who wakes has parked, or was shown"
                woken = self._kept.get(attendant.name, {}).pop(number, None)
                if woken is not None:
                    assert woken.holder is attendant, "a session is woken by one agent only"
                    os.close(woken.client)
        packets.close_all(descriptors)

    def _leave(self, attendant: Attendant) -> None:
        """An agent is gone, and all that it has said was heard: another one may wake its sessions."""
        del self._attendants[attendant.connection.fileno()]
        self._poll.unregister(attendant.connection)
        attendant.connection.close()
        if attendant.name is not None:
            now = time.monotonic()
            for kept in self._kept.get(attendant.name, {}).values():
                if kept.holder is attendant:
                    kept.holder, kept.orphaned_at = None, now
            self._show_orphans(attendant.name)

    def _show_orphans(self, agent: str) -> None:
        """Show the newest of an agent's name, if there is one, what nobody may wake."""
        heirs = [other for other in self._attendants.values() if other.name == agent]
        if heirs:
            kept = self._kept.get(agent, {}).items()
            heirs[-1].showing.extend(number for number, one in kept if one.holder is None)
            self._show(heirs[-1])

    def _show(self, attendant: Attendant) -> None:
        """Show an agent as much as it takes in now."""
        assert attendant.name is not None, "nothing is shown to strangers"
        kept = self._kept.get(attendant.name, {})
        while attendant.showing:
            session = kept.get(attendant.showing[0])
            if session is not None and session.holder is None:
                try:
                    packets.send(attendant.connection, session.packet, (session.client,))
                except BlockingIOError:
                    break
                except OSError:
                    attendant.showing.clear()  # it is gone, as will be heard
                    break
                session.holder = attendant
            attendant.showing.popleft()
        wanted = select.POLLIN | (select.POLLOUT if attendant.showing else 0)
        self._poll.modify(attendant.connection, wanted)

    def _give_up(self, now: float) -> None:
        """Close the sessions for which no agent has come in time."""
        for agent in self._kept.keys() - {one.name for one in self._attendants.values()}:
            kept = self._kept[agent]
            if all(now - one.orphaned_at > WITHOUT_AGENT_SECONDS for one in kept.values()):
                packets.close_all(one.client for one in kept.values())
                del self._kept[agent]


def run(path: Path, *, on_ready: Callable[[], None], turned: Callable[[], None]) -> None:
    """Keep what agents park until SIGTERM."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    # Who says Forget goes on, and does not stand aside until it was heard.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    listener = packets.listen(path)
    on_ready()
    Keeper(listener, turned).run()
