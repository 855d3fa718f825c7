"""The life of a query processor: one cluster for life, one session at a time, blocking I/O.

    warm --Assign--> sandbox --> Ready
         --Serve--> run the session until its end --> Idle --> the next one
         --Retire, SIGTERM, the agent's end, or the end of its lifetime--> exit
         --a session that made the process large--> exit, without Idle

It is forked from the seed with everything imported. Signals interrupt what runs (`dsql.session.signals`).
What a session needs from the outside later, a new connection to the adjudicator, is asked of the agent
(`dsql.session.agent_line`), because the sandbox lets nobody in here open one.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Callable
from typing import Protocol

from dsql.rpc import packets
from dsql.session import handed, signals
from dsql.session.agent_line import AgentLine
from dsql.session.control import Assign, Idle, Ready, Retire, RunJobs, Serve
from dsql.session.handed import HandedSession
from dsql.session.interrupts import Interrupts
from dsql.sql import large_texts

# Python's heap seldom gives back what large statements took, which the next sessions have no use for.
RESIDENT_BYTES_MAX = 256 * 1024 * 1024

Confine = Callable[[Assign, Callable[[], object]], list[str]]  # given what starts the only thread


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

    @property
    def interrupts(self) -> Interrupts:
        """Those of the session or jobs that run, or ran last."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


OpenTenant = Callable[[Assign, list[int], AgentLine], Tenant]


class QueryProcessor:
    """Follows the agent's orders. `confine` closes the sandbox, `open_tenant` reaches the data."""

    def __init__(self, control: socket.socket, confine: Confine, open_tenant: OpenTenant) -> None:
        self._line = AgentLine(control)
        self._confine = confine
        self._open_tenant = open_tenant

    def run(self) -> None:
        """Live. Returns when the process should exit."""
        try:
            message, slots = self._line.wait()
            if isinstance(message, Assign):
                with contextlib.closing(self._settle(message, slots)) as tenant:
                    self._serve_all(tenant, message.lifetime_seconds)
        except (EOFError, ConnectionError):
            return  # without its agent a query processor has nothing to do

    def _settle(self, assignment: Assign, slots: list[int]) -> Tenant:
        """Become the cluster's."""
        tenant = self._open_tenant(assignment, slots, self._line)
        if assignment.uid is None:
            tenant.open()  # the sandbox then names single files, which have to be there
        signals.listen(lambda: tenant.interrupts, self._line.end_input)
        self._line.tell(Ready(self._confine(assignment, large_texts.thread.start)))
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
                if _most_resident() > RESIDENT_BYTES_MAX:
                    return  # another one is made faster than memory is found in this one
                self._line.tell(Idle())
            elif isinstance(message, RunJobs):
                tenant.run_jobs()
                self._line.tell(Idle())
            packets.close_all(descriptors)


def _most_resident() -> int:
    """Return the bytes that this process has had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
