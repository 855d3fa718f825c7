"""One query processor, as its agent sees it: control socket, pidfd, and what it serves."""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from dsql.rpc.packets import PacketChannel, close_all
from dsql.session.control import (
    Adjudicator,
    Assign,
    Idle,
    NeedAdjudicator,
    Ready,
    Retire,
    RunJobs,
    Serve,
    WantJobs,
    decode_from_query_processor,
    encode,
)

logger = logging.getLogger(__name__)

# Given a zone, or "" for the likely leader: the zone and a connection; None if it does not answer.
ConnectAdjudicator = Callable[[str], tuple[str, socket.socket] | None]

MESSAGES_PER_SECOND_MAX = 500  # who finds no adjudicator asks again every few milliseconds


class WorkerEvents(Protocol):
    """Who is told what becomes of a query processor."""

    def on_ready(self, worker: Worker, seconds: float) -> None:
        """It is its cluster's, sandbox included, so long after `assign`."""
        ...

    def on_idle(self, worker: Worker) -> None:
        """Its session, or its run of background jobs, has ended."""
        ...

    def on_jobs_wanted(self, worker: Worker) -> None:
        """Its session has left background jobs behind."""
        ...

    def on_lost(self, worker: Worker) -> None:
        """It is gone."""
        ...


class Worker:
    """A process that a seed forked. `process_key` and `secret_key` are those of its running session.

    It may be hostile. One that says what nobody says here, or more than anybody has to say, is killed, as
    is one that closes its control socket or does not read it, or falls idle without having had work.
    It has one connection to each adjudicator at most.
    """

    def __init__(
        self,
        process_id: int,
        control: socket.socket,
        pidfd: int,
        events: WorkerEvents,
    ) -> None:
        self.process_id = process_id
        self.cluster: str | None = None
        self.process_key = 0
        self.secret_key = 0
        self._pidfd = pidfd
        self._events = events
        self._connect: ConnectAdjudicator = lambda _: None
        self._assigned_at = 0.0
        self._ready = False
        self._works = False  # on what it was given last
        self._adjudicators: dict[str, socket.socket] = {}  # by zone
        self._counting_from = 0.0  # and since then it has said
        self._messages = 0
        self._channel = PacketChannel(control, self._received, self._closed)

    def assign(
        self,
        assignment: Assign,
        slots: list[int],
        connect_adjudicator: ConnectAdjudicator,
    ) -> None:
        """Bind the process to a cluster for life; `connect_adjudicator` is called again as needed.

        `slots` are given away.
        """
        self.cluster = assignment.cluster
        self._connect = connect_adjudicator
        self._assigned_at = time.monotonic()
        with contextlib.suppress(ConnectionError):  # its end is reported by `on_lost`
            self._channel.send(encode(assignment), slots)
            self._send_adjudicator("")
        close_all(slots)

    def serve(self, packet: bytes, client: int, process_key: int, secret_key: int) -> None:
        """Pass a session on. Raises ConnectionError if the process is gone; then nothing was passed."""
        self._channel.send(encode(Serve(packet)), (client,))
        self._works = True
        self.process_key, self.secret_key = process_key, secret_key

    def serves(self, process_key: int, secret_key: int) -> bool:
        """Return whether a client with this BackendKeyData is the one being served."""
        return self.process_key == process_key and hmac.compare_digest(
            self.secret_key.to_bytes(8, "big", signed=True),
            secret_key.to_bytes(8, "big", signed=True),
        )

    def run_jobs(self) -> None:
        """Have it work off its cluster's background jobs. Raises ConnectionError if it is gone."""
        self._channel.send(encode(RunJobs()))
        self._works = True

    def interrupt(self) -> None:
        """Cancel the running statement."""
        self._signal(signal.SIGINT)

    def retire(self) -> None:
        """Have the process end after its session."""
        with contextlib.suppress(ConnectionError):
            self._channel.send(encode(Retire()))

    def terminate(self) -> None:
        """End its session, with a word to the client, and the process."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process now."""
        self._signal(signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Forget the process; `on_lost` is called if it was not before."""
        self._channel.close()

    def _signal(self, number: signal.Signals) -> None:
        # A pidfd, unlike a process id, never means another process later.
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _received(self, packet: bytes, descriptors: list[int]) -> None:
        close_all(descriptors)
        try:
            message = decode_from_query_processor(packet)
        except (msgspec.DecodeError, RecursionError):
            self._refuse("query processor makes no sense")
            return
        if self._says_too_much() or (self._ready and isinstance(message, Ready)):
            self._refuse("query processor says too much")
            return
        match message:
            case Idle() if not self._works:
                self._refuse("query processor has finished what it was not given")
            case Idle():
                self._works = False
                self.process_key = self.secret_key = 0
                self._events.on_idle(self)
            case WantJobs():
                self._events.on_jobs_wanted(self)
            case NeedAdjudicator(az):
                with contextlib.suppress(ConnectionError):
                    self._send_adjudicator(az)
            case Ready(missing):
                self._ready = True
                self._events.on_ready(self, time.monotonic() - self._assigned_at)
                if missing:
                    details = {"missing": missing, "cluster": self.cluster}
                    logger.warning("sandbox incomplete", extra=details)

    def _says_too_much(self) -> bool:
        now = time.monotonic()
        if now >= self._counting_from + 1:
            self._counting_from, self._messages = now, 0
        self._messages += 1
        return self._messages > MESSAGES_PER_SECOND_MAX

    def _refuse(self, reason: str) -> None:
        logger.error(reason, extra={"process_id": self.process_id, "cluster": self.cluster})
        self.kill()

    def _send_adjudicator(self, az: str) -> None:
        self._end_adjudicator(az)
        connected = self._connect(az)
        if connected is None:
            self._channel.send(encode(Adjudicator(az)))
            return
        az, connection = connected
        self._end_adjudicator(az)
        self._adjudicators[az] = connection
        self._channel.send(encode(Adjudicator(az)), (connection.fileno(),))

    def _end_adjudicator(self, az: str) -> None:
        """End the connection to a zone that it was given last, for whoever has it by now."""
        if az in self._adjudicators:
            with contextlib.suppress(OSError), self._adjudicators.pop(az) as connection:
                connection.shutdown(socket.SHUT_RDWR)

    def _closed(self) -> None:
        self._signal(signal.SIGKILL)  # without us nobody counts it any more
        for az in list(self._adjudicators):
            self._end_adjudicator(az)
        os.close(self._pidfd)
        self._pidfd = -1
        self._events.on_lost(self)
