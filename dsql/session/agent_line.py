"""A query processor's end of the control socket: what it hears from its agent and asks of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
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
from dsql.session.surveys import Surveys

# Given a message and its descriptors, which it owns.
Deliver = Callable[[ToQueryProcessor, list[int]], None]
Answer = tuple[str, list[int]]  # a zone and a connection to it, none if it does not answer


class _Wanted:
    """A connection to an adjudicator that was asked for. The agent answers in the order of asking.

    An answer may come at any line, by a signal handler: whoever waits for it finds it here.
    """

    __slots__ = ("activity", "answer")

    def __init__(self, activity: Activity | None, answer: Answer | None = None) -> None:
        self.activity = activity
        self.answer = answer


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
        self.ended = False  # there never will be an agent again, or it wants nothing more
        self.alone = False  # there is none now
        self._prepared: dict[str, _Wanted] = {}  # by zone, the likely leader's first
        self._wanted: deque[_Wanted] = deque()
        self.surveys = Surveys(self.tell, time.monotonic)
        self._deferred: deque[tuple[ToQueryProcessor, list[int]]] = deque()

    def tell(self, message: ToAgent, descriptors: Iterable[int] = ()) -> None:
        """Send a message. Raises OSError if the agent is gone."""
        if self.alone:
            raise ConnectionError("there is no agent")
        packets.send(self._control, encode(message), descriptors)

    def mention(self, message: ToAgent) -> None:
        """Send a message that may be lost, without ever waiting. For signal handlers."""
        if not self.alone:
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

    def desert(self) -> None:
        """The agent is gone: say nothing, and let nobody wait for its answers. For signal handlers too."""
        self.alone = True
        self.surveys.deserted()
        for wanted in self._wanted:
            wanted.answer = ("", [])
            self._waiter.wake(wanted.activity)
        self._wanted.clear()

    def adopt(self) -> None:
        """There is an agent again."""
        self.alone = False

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
        if self._wanted:
            wanted = self._wanted.popleft()
            wanted.answer = message.az, descriptors
            self._waiter.wake(wanted.activity)
        else:
            replaced = self._prepared.get(message.az)
            if replaced is not None and replaced.answer is not None:
                packets.close_all(replaced.answer[1])
            self._prepared[message.az] = _Wanted(None, (message.az, descriptors))
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
        prepared = self._prepared.pop(az or next(iter(self._prepared), ""), None)
        answer = None if prepared is None else self._await_answer(prepared)
        connection = _connection_of(answer)
        if connection is not None and not _has_ended(connection[1].fileno()):
            return connection
        if connection is not None:
            connection[1].close()
        return _connection_of(self._await_answer(self._want(az, self._waiter.current)))

    def prepare_adjudicator(self, az: str) -> bool:
        """Have the agent's connection to a zone's adjudicator come before it is needed. Does not wait.

        Return whether it is here, so that `new_adjudicator` will not wait either.
        """
        prepared = self._prepared.get(az)
        if prepared is not None and prepared.answer is None:
            return False
        descriptors = [] if prepared is None or prepared.answer is None else prepared.answer[1]
        if descriptors and not _has_ended(descriptors[0]):
            return True
        packets.close_all(descriptors)
        self._prepared.pop(az, None)
        with contextlib.suppress(EOFError):
            self._prepared[az] = self._want(az, None)
        return False

    def _want(self, az: str, activity: Activity | None) -> _Wanted:
        if self.alone:
            return _Wanted(activity, (az, []))  # who needs it asks again
        wanted = _Wanted(activity)
        self._wanted.append(wanted)
        try:
            self.tell(NeedAdjudicator(az))
        except OSError as error:
            raise EOFError("the agent is gone") from error
        return wanted

    def _await_answer(self, wanted: _Wanted) -> Answer:
        wanted.activity = self._waiter.current
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


def _connection_of(answer: Answer | None) -> tuple[str, socket.socket] | None:
    return (answer[0], socket.socket(fileno=answer[1][0])) if answer and answer[1] else None


def _has_ended(descriptor: int) -> bool:
    """Return whether the other end is gone. Notices may wait on a connection on which nothing was asked."""
    connection = socket.socket(fileno=descriptor)
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.detach()
