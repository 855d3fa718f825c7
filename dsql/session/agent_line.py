"""A query processor's end of the control socket: what it hears from its agent and asks of it."""

from __future__ import annotations

import contextlib
import socket
from collections import deque

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
from dsql.tls.connection import set_receive_timeout


class AgentLine:
    """The query processor's end of the control socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self.ended = False  # by `end_input`
        self._offered: tuple[str, list[int]] = (
            "",
            [],
        )  # an adjudicator's connection that came unasked
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
            packets.close_all(self._offered[1])
            self._offered = message.az, descriptors
            message, descriptors = self._receive()
        return message, descriptors

    def end_input(self) -> None:
        """Have `wait`, now or next, find the agent's end."""
        self.ended = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RD)

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

    def new_adjudicator(self, az: str) -> tuple[str, socket.socket] | None:
        """Return a zone, and the agent's connection to its adjudicator; None if that does not answer now.

        `az` "" stands for the one that most likely leads. Raises EOFError if the agent is gone: then
        there never will be a connection.
        """
        offered, descriptors = self._offered
        if descriptors and az in ("", offered):
            self._offered = "", []
            return offered, socket.socket(fileno=descriptors[0])
        try:
            self.tell(NeedAdjudicator(az))
            message, descriptors = self._receive()
            while not isinstance(message, Adjudicator):
                # The first session follows the assignment at once, and Retire may come at any time.
                self._deferred.append((message, descriptors))
                message, descriptors = self._receive()
        except OSError as error:
            raise EOFError("the agent is gone") from error
        return (message.az, socket.socket(fileno=descriptors[0])) if descriptors else None
