"""The seed process: everything imported and warmed up once, then forked for every query processor.

A fork shares the seed's memory until it writes to it, so that a new query processor costs about a
millisecond and one megabyte instead of a second of imports. `gc.freeze` keeps the collector from touching
the shared pages. The seed has one thread and no event loop, because a fork copies only one thread.

A query processor outlives a seed that was killed, and its sessions do not notice: the agent has its control
socket and its pidfd, by which it ends it. It outlives an agent as well: the seed has both, too, tells it
that the agent is gone, and gives them to the next one. A seed that is told to stop ends its children; one
that is told to leave, because another one with newer code is to take its place, does not. What they write
is lost then.

What must not be equal in two forks: signal handlers and the set of open descriptors (reset), whom the
control socket sends SIGIO (set), and random numbers. `random` is seeded anew by Python, each session's own
generator by the session; `os.urandom`, `secrets` and OpenSSL's generator are safe by themselves.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from dsql.control.layout import Layout
from dsql.rpc import packets
from dsql.rpc.accepting import accept_or_pause
from dsql.session.control import Deserted
from dsql.session.control import encode as encode_for_child
from dsql.session.query_processor import OpenTenant, QueryProcessor
from placement import kernel
from placement.child_output import (
    ChildOutput,
    Pace,
)
from placement.messages import (
    Died,
    Fork,
    Forked,
    Leave,
    Message,
    NotForked,
    SeedHello,
    Survivor,
    decode,
    encode,
)
from placement.sandbox import Sandbox, leave_open, prepare

logger = logging.getLogger(__name__)

TURN_SECONDS = 1
TERMINATE_SECONDS = 1.0
_AGAIN_SECONDS = 0.1
_DESERTED = encode_for_child(Deserted())
_STDOUT, _STDERR = 1, 2
_FIRST_OWN_DESCRIPTOR = 3
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Child(NamedTuple):
    """A query processor. `control` is the agent's end of its control socket, kept for the next agent."""

    process_id: int
    control: socket.socket


class Seed:
    """Forks for one agent at a time. `run` returns only in the seed itself, never in a child.

    `turned` is called every TURN_SECONDS at least. `compiled` is told to agents.
    """

    def __init__(
        self,
        listener: socket.socket,
        child_main: Callable[[socket.socket, Fork], None],
        turned: Callable[[], None],
        *,
        compiled: bool,
    ) -> None:
        self._turned = turned
        self._compiled = compiled
        self._listener = listener
        self._child_main = child_main
        self._agent: socket.socket | None = None
        self._children: dict[int, _Child] = {}  # by pidfd
        self._outputs: dict[int, ChildOutput] = {}  # by the descriptor that is read
        self._pace = Pace(time.monotonic)
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self._stopping = False
        self._leaving = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then end the children; or until told to leave, and let them be."""
        wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(wake, select.POLLIN)
        for number in _STOP_SIGNALS:
            signal.signal(number, self._stop)
        while not (self._stopping or self._leaving):
            self._turned()
            self._listen_again()
            for descriptor, _ in self._poll.poll(TURN_SECONDS * 1000):
                self._on_ready(descriptor)
        if not self._leaving:
            self._end_children()

    def _stop(self, *_: object) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            os.write(self._woken, b"\0")

    def _on_ready(self, descriptor: int) -> None:
        if descriptor == self._listener.fileno():
            self._accept()
        elif descriptor in self._children:
            self._reap(descriptor)
        elif descriptor in self._outputs:
            self._pass_on(self._outputs[descriptor])
        elif self._agent is not None and descriptor == self._agent.fileno():
            self._serve_agent(self._agent)

    def _listen_again(self) -> None:
        """Once a second, also to those children who have written too much in the last one."""
        if self._pace.is_next_second(self._outputs.values()):
            for output in self._outputs.values():
                self._poll.register(output.descriptor, select.POLLIN)

    def _pass_on(self, output: ChildOutput) -> None:
        if not self._pace.allows(output):
            self._poll.unregister(output.descriptor)
            return
        lines = output.take()
        if lines is None:
            self._poll.unregister(output.descriptor)
            os.close(output.descriptor)
            del self._outputs[output.descriptor]
        else:
            self._pace.count(lines)
            with contextlib.suppress(OSError):
                os.write(_STDERR, lines)

    def _accept(self) -> None:
        """A new agent replaces the old one, and is given its query processors."""
        connection = accept_or_pause(self._listener, _AGAIN_SECONDS)
        if connection is None:
            return
        if self._agent is not None:
            self._drop_agent(self._agent)
        self._agent = connection
        self._poll.register(connection, select.POLLIN)
        self._tell(connection, SeedHello(self._compiled))
        for pidfd, child in self._children.items():
            self._tell(connection, Survivor(child.process_id), child.control.fileno(), pidfd)

    def _drop_agent(self, agent: socket.socket) -> None:
        self._poll.unregister(agent)
        agent.close()
        self._agent = None
        for child in self._children.values():
            with contextlib.suppress(OSError):  # it does not listen; the next agent will see to it
                child.control.send(_DESERTED, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def _serve_agent(self, agent: socket.socket) -> None:
        try:
            packet, descriptors = packets.receive(agent)
        except OSError:
            packet, descriptors = b"", []
        packets.close_all(descriptors)
        if not packet:
            self._drop_agent(agent)
            return
        message = decode(packet)
        if isinstance(message, Fork):
            self._fork(agent, message)
        elif isinstance(message, Leave):
            logger.info("leaving")
            self._leaving = True

    def _fork(self, agent: socket.socket, order: Fork) -> None:
        try:
            process_id, control = self._start_child(order)
        except OSError as error:
            logger.warning("cannot fork", extra={"reason": str(error)})
            self._tell(agent, NotForked())
            return
        pidfd = os.pidfd_open(process_id)
        self._children[pidfd] = _Child(process_id, control)
        self._poll.register(pidfd, select.POLLIN)
        self._tell(agent, Forked(process_id), control.fileno(), pidfd)

    def _start_child(self, order: Fork) -> tuple[int, socket.socket]:
        """Return a new child and the agent's end of its control socket.

        Raises OSError where the system is short of something. It leaves a descriptor free for the pidfd.
        """
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as always:
            own_end, child_end = packets.pair()
            undo.callback(own_end.close)
            always.callback(child_end.close)
            reading, writing = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, reading)
            always.callback(os.close, writing)
            process_id = os.fork()
            if process_id == 0:
                os.dup2(writing, _STDOUT)
                os.dup2(writing, _STDERR)
                self._become_query_processor(child_end, order)
            undo.pop_all()
        os.set_blocking(reading, False)
        self._outputs[reading] = ChildOutput(process_id, reading)
        self._poll.register(reading, select.POLLIN)
        return process_id, own_end

    def _become_query_processor(self, control: socket.socket, order: Fork) -> NoReturn:
        status = 1
        try:
            for number in _STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's, for all; we end by SIGTERM
            signal.signal(signal.SIGIO, signal.SIG_IGN)  # it ends who does not handle it (yet)
            # Whom the control socket sends it. The sandbox lets nobody say so later: it could be sent to
            # any process of the same user.
            fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())
            kernel.set_name("dsql: warm")
            os.closerange(_FIRST_OWN_DESCRIPTOR, control.fileno())
            os.closerange(control.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
            self._child_main(control, order)
            status = 0
        except Exception:
            logger.exception("query processor failed")
        finally:
            os._exit(status)  # no exit handlers: they are the seed's

    def _reap(self, pidfd: int) -> None:
        process_id, control = self._children.pop(pidfd)
        control.close()
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(process_id, 0)
        if self._agent is not None:
            self._tell(self._agent, Died(process_id, os.waitstatus_to_exitcode(status)))

    def _tell(self, agent: socket.socket, message: Message, *descriptors: int) -> None:
        with contextlib.suppress(OSError):  # its end shows in the poll
            packets.send(agent, encode(message), descriptors)

    def _end_children(self) -> None:
        """End the sessions with a word to their clients: in peace for a while, then by force."""
        deadline = time.monotonic() + TERMINATE_SECONDS
        while self._children and time.monotonic() < deadline:
            # Again and again: one that is just beginning a session may not have understood.
            self._signal_children(signal.SIGTERM)
            self._reap_ended(_AGAIN_SECONDS)
        self._signal_children(signal.SIGKILL)
        for child in self._children.values():
            os.waitpid(child.process_id, 0)

    def _signal_children(self, number: signal.Signals) -> None:
        for pidfd in self._children:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)

    def _reap_ended(self, seconds: float) -> None:
        """Wait so long at most until a child has ended, and see to all that have."""
        ends = select.poll()
        for pidfd in self._children:
            ends.register(pidfd, select.POLLIN)
        for pidfd, _ in ends.poll(seconds * 1000):
            self._reap(pidfd)


def run(
    layout: Layout,
    open_tenant: OpenTenant,
    *,
    on_ready: Callable[[], None],
    turned: Callable[[], None] = lambda: None,
    compiled: bool = False,
    name: str = "seed",
) -> None:
    """Fork query processors for the agent until SIGTERM. `name` is the socket's.

    The caller has imported and warmed up all that `open_tenant` and its sessions will use.
    """
    prepare()
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, "a fork would lose the other threads"
    listener = packets.listen(layout.socket(name))
    on_ready()
    Seed(
        listener,
        lambda control, order: QueryProcessor(
            control,
            Sandbox(order.memory_bytes).confine if order.sandbox else leave_open,
            open_tenant,
        ).run(),
        turned,
        compiled=compiled,
    ).run()
