"""A query processor's end of the control socket: what it hears from its agent and asks of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable

from dsql.hub.waiter import NEVER, Activity, Blocking, Waiter
from dsql.rpc import packets
from dsql.session.control import (
    Adjudicator,
    NeedAdjudicator,
    ToAgent,
    ToQueryProcessor,
    WantJobs,
    decode_from_agent,
    encode,
)

# Given a message and its descriptors, which it owns.
Deliver = Callable[[ToQueryProcessor, list[int]], None]


class _Wanted:
    """A connection to an adjudicator that was asked for. The agent answers in the order of asking.

    Not `awaited`: nobody waits for it yet, it is kept.
    """

    __slots__ = ("activity", "answer", "awaited", "az")

    def __init__(self, az: str) -> None:
        self.az = az
        self.awaited = False
        self.activity: Activity | None = None
        self.answer: tuple[str, list[int]] | None = None


class AgentLine:
    """The query processor's end of the control socket.

    Until `attach` it is read where somebody waits for a message; from then on whenever there is one,
    and SIGIO tells of it, because a statement that computes does not look.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._waiter: Waiter = Blocking()
        self._deliver: Deliver | None = None
        self._deserted: Callable[[], None] = lambda: None
        self._hearing = False
        self.ended = False  # there is no agent any more, or it wants nothing more
        self._kept: dict[
            str, int
        ] = {}  # connections that nobody waited for, the likely leader's first
        self._wanted: deque[_Wanted] = deque()
        self._deferred: deque[tuple[ToQueryProcessor, list[int]]] = deque()

    def tell(self, message: ToAgent, descriptors: Iterable[int] = ()) -> None:
        """Send a message. Raises OSError if the agent is gone."""
        packets.send(self._control, encode(message), descriptors)

    def mention(self, message: ToAgent) -> None:
        """Send a message that may be lost, without ever waiting. For signal handlers."""
        with contextlib.suppress(OSError):
            self._control.send(encode(message), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def wait(self) -> tuple[ToQueryProcessor, list[int]]:
        """Return the next message and its descriptors. Raises EOFError at the agent's end."""
        if self._deferred:
            return self._deferred.popleft()
        while True:
            received = self._receive(0)
            if received is None:
                raise EOFError("the agent is gone")
            if not self._is_connection(*received):
                return received

    def attach(self, waiter: Waiter, deliver: Deliver, deserted: Callable[[], None]) -> None:
        """Pass every message on to `deliver` from now on, by `hear`; `deserted`: the agent is gone."""
        self._waiter, self._deliver, self._deserted = waiter, deliver, deserted
        flags = fcntl.fcntl(self._control, fcntl.F_GETFL)
        fcntl.fcntl(self._control, fcntl.F_SETFL, flags | os.O_ASYNC)  # to us, says the seed
        waiter.watch(self._control.fileno(), self.hear)
        while self._deferred:
            deliver(*self._deferred.popleft())
        self.hear()

    def hear(self) -> None:
        """Take in what has arrived. May be called at any time, by signal handlers too."""
        if self._hearing or self.ended or self._deliver is None:
            return  # whoever is at it goes on until there is nothing left
        self._hearing = True
        try:
            with contextlib.suppress(BlockingIOError):
                while (received := self._receive(socket.MSG_DONTWAIT)) is not None:
                    if not self._is_connection(*received):
                        self._deliver(*received)
                self._end()
        finally:
            self._hearing = False

    def end(self) -> None:
        """Want to hear nothing more: the process ends when nothing runs any more."""
        self.ended = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RD)  # if nothing runs, it waits for the agent

    def _end(self) -> None:
        self.ended = True
        for wanted in self._wanted:
            self._waiter.wake(wanted.activity)
        self._deserted()

    def _receive(self, flags: int) -> tuple[ToQueryProcessor, list[int]] | None:
        """Return a message, None at the agent's end."""
        packet, descriptors = packets.receive(self._control, flags)
        return (decode_from_agent(packet), descriptors) if packet else None

    def _is_connection(self, message: ToQueryProcessor, descriptors: list[int]) -> bool:
        """Take a connection to an adjudicator, if this is one."""
        if not isinstance(message, Adjudicator):
            return False
        wanted = self._wanted.popleft() if self._wanted else None
        if wanted is not None and wanted.awaited:
            wanted.answer = message.az, descriptors
            self._waiter.wake(wanted.activity)
        elif descriptors:
            packets.close_all([self._kept.pop(message.az)] if message.az in self._kept else [])
            self._kept[message.az] = descriptors[0]
        return True

    def want_jobs(self) -> None:
        """Have the agent see to the cluster's background jobs."""
        with contextlib.suppress(OSError):  # without an agent, the next one will
            self.tell(WantJobs())

    def new_adjudicator(self, az: str) -> tuple[str, socket.socket] | None:
        """Return a zone, and the agent's connection to its adjudicator; None if that does not answer now.

        `az` "" stands for the one that most likely leads. Raises EOFError if the agent is gone: then
        there never will be a connection.
        """
        kept = next(iter(self._kept)) if self._kept and not az else az
        descriptor = self._kept.pop(kept, None)
        if descriptor is not None:
            connection = socket.socket(fileno=descriptor)
            if not _has_ended(connection):
                return kept, connection
            connection.close()
        answer = self._ask_for(az)
        return (answer[0], socket.socket(fileno=answer[1][0])) if answer[1] else None

    def prepare_adjudicator(self, az: str) -> None:
        """Have the agent's connection to a zone's adjudicator come before it is needed. Does not wait."""
        if az not in self._kept and all(wanted.az != az for wanted in self._wanted):
            with contextlib.suppress(OSError):
                self._want(az)

    def _want(self, az: str) -> _Wanted:
        wanted = _Wanted(az)
        self._wanted.append(wanted)
        self.tell(NeedAdjudicator(az))
        return wanted

    def _ask_for(self, az: str) -> tuple[str, list[int]]:
        # One that is on its way already is not asked for again: the agent would end it.
        wanted = next((one for one in self._wanted if one.az == az and not one.awaited), None)
        try:
            wanted = wanted or self._want(az)
        except OSError as error:
            raise EOFError("the agent is gone") from error
        wanted.awaited, wanted.activity = True, self._waiter.current
        while wanted.answer is None:
            if self.ended:
                raise EOFError("the agent is gone")
            if self._deliver is None:
                self._wait_for_connection()
            else:
                self._waiter.wait(NEVER)
        return wanted.answer

    def _wait_for_connection(self) -> None:
        """Receive one message where nothing is passed on yet."""
        received = self._receive(0)
        if received is None:
            self.ended = True
        elif not self._is_connection(*received):
            self._deferred.append(received)


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the other end is gone; a connection on which nothing was asked is silent."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
