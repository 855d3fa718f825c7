"""The life of a query processor: one cluster for life, one session at a time, blocking I/O.

    warm --Assign--> sandbox --> Ready
         --Serve--> run the session until its end --> Idle --> the next one
         --Retire, the agent's end, or the end of its lifetime--> exit

It is forked from the seed with everything imported. SIGINT (and SIGUSR1) cancel the running statement.
What a session needs from the outside later, a new connection to the adjudicator, is asked of the agent,
because the sandbox lets nobody in here open one.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from dsql.rpc import packets
from dsql.session import handed
from dsql.session.control import (
    Adjudicator,
    Assign,
    Idle,
    NeedAdjudicator,
    Ready,
    Retire,
    RunJobs,
    Serve,
    ToAgent,
    ToQueryProcessor,
    WantJobs,
    decode_from_agent,
    encode,
)
from dsql.session.handed import HandedSession
from dsql.tls.connection import set_receive_timeout

Confine = Callable[[Assign], list[str]]


class Tenant(Protocol):
    """A cluster's data within reach of this process."""

    def open(self) -> None:
        """Open all that is opened by name, which is otherwise done when it is first needed.

        Raises SqlError 57P03 or 58000 if a role does not answer in time.
        """
        ...

    def serve(self, session: HandedSession, client: socket.socket) -> None:
        """Run a session to its end. Owns the socket; raises nothing a client can cause."""
        ...

    def run_jobs(self) -> None:
        """Work off the cluster's background jobs."""
        ...

    def cancel(self) -> None:
        """Cancel the running statement; called from a signal handler."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class AgentLine:
    """The query processor's end of the control socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._offered: list[int] = []  # a connection to the adjudicator that came unasked
        self._deferred: deque[tuple[ToQueryProcessor, list[int]]] = deque()

    def tell(self, message: ToAgent) -> None:
        """Send a message. Raises OSError if the agent is gone."""
        packets.send(self._control, encode(message))

    def set_timeout(self, seconds: float) -> None:
        """Let every later `wait` take so long at most."""
        set_receive_timeout(self._control, seconds)

    def wait(self) -> tuple[ToQueryProcessor, list[int]]:
        """Return the next message and its descriptors.

        Raises EOFError at the agent's end, TimeoutError.
        """
        if self._deferred:
            return self._deferred.popleft()
        message, descriptors = self._receive()
        while isinstance(message, Adjudicator):
            packets.close_all(self._offered)
            self._offered = descriptors
            message, descriptors = self._receive()
        return message, descriptors

    def _receive(self) -> tuple[ToQueryProcessor, list[int]]:
        try:
            packet, descriptors = packets.receive(self._control)
        except BlockingIOError:
            raise TimeoutError from None
        if not packet:
            raise EOFError("the agent is gone")
        return decode_from_agent(packet), descriptors

    def want_jobs(self) -> None:
        """Have the agent see to the cluster's background jobs."""
        with contextlib.suppress(OSError):  # without an agent, the next one will
            self.tell(WantJobs())

    def new_adjudicator(self) -> socket.socket | None:
        """Return the agent's connection to the adjudicator, or ask for one; None: nobody answers now.

        Raises EOFError if the agent is gone: then there never will be one.
        """
        if self._offered:
            return socket.socket(fileno=self._offered.pop())
        try:
            self.tell(NeedAdjudicator())
            message, descriptors = self._receive()
            while not isinstance(message, Adjudicator):
                # The first session follows the assignment at once, and Retire may come at any time.
                self._deferred.append((message, descriptors))
                message, descriptors = self._receive()
        except OSError as error:
            raise EOFError("the agent is gone") from error
        return socket.socket(fileno=descriptors[0]) if descriptors else None


OpenTenant = Callable[[Assign, AgentLine], Tenant]


class QueryProcessor:
    """Follows the agent's orders. `confine` closes the sandbox, `open_tenant` reaches the data."""

    def __init__(self, control: socket.socket, confine: Confine, open_tenant: OpenTenant) -> None:
        self._line = AgentLine(control)
        self._confine = confine
        self._open_tenant = open_tenant

    def run(self) -> None:
        """Live. Returns when the process should exit."""
        try:
            message, _ = self._line.wait()
            if isinstance(message, Assign):
                with contextlib.closing(self._settle(message)) as tenant:
                    self._serve_all(tenant, message.lifetime_seconds)
        except (EOFError, ConnectionError):
            return  # without its agent a query processor has nothing to do

    def _settle(self, assignment: Assign) -> Tenant:
        """Become the cluster's."""
        tenant = self._open_tenant(assignment, self._line)
        if assignment.uid is None:
            tenant.open()  # the sandbox then names single files, which have to be there
        for number in (signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, lambda *_: tenant.cancel())
        self._line.tell(Ready(self._confine(assignment)))
        return tenant

    def _serve_all(self, tenant: Tenant, lifetime_seconds: float) -> None:
        """Serve until told to end, or too old: the agent sees to that, unless it is stuck."""
        deadline = time.monotonic() + lifetime_seconds
        self._line.set_timeout(lifetime_seconds)
        while time.monotonic() < deadline:
            try:
                message, descriptors = self._line.wait()
            except TimeoutError:
                return
            if isinstance(message, Retire):
                return
            if isinstance(message, Serve):
                with socket.socket(fileno=descriptors.pop()) as client:
                    tenant.serve(handed.decode(message.handed), client)
                self._line.tell(Idle())
            elif isinstance(message, RunJobs):
                tenant.run_jobs()
                self._line.tell(Idle())
            packets.close_all(descriptors)
