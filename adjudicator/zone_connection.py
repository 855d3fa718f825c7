"""A connection to one zone's adjudicator: the questions of many, each answered under its transaction's id.

A request goes out at once while nobody could add another, else together with all others of its round.
What the kernel does not take then goes out with the next rounds; who waits sees to it that there are some.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from adjudicator.messages import REQUESTS_BYTES_MAX, REQUESTS_MAX, Verdict, decode_reply
from dsql.hub.waiter import Activity, Source, Waiter
from dsql.rpc.client import set_timeout
from dsql.rpc.framing import FrameDecoder, FrameError, frame

logger = logging.getLogger(__name__)

_SEND_SECONDS = 0.25  # without a byte being taken: that zone stands still
_RETRY_SECONDS = 0.001  # to send what the kernel did not take
_READ_BYTES = 64 * 1024  # some two thousand answers

Reply = tuple[int, int]  # verdict, timestamp
LOST: Final = 0  # a verdict of our own: the connection broke, the request may have been done
UNSENT: Final = -1  # another: the request never went out as a whole, so nobody has looked at it


class ZoneFeed(Protocol):
    """Who has asked a zone to tell of commits: see `adjudicator.listening`."""

    def said(self, az: str, feed: bytes, verdict: int, timestamp: int, body: bytes) -> None:
        """The zone says something of a feed. Raises msgspec.DecodeError."""
        ...

    def lost(self, az: str) -> None:
        """The connection to the zone has ended."""
        ...


class Question:
    """A transaction whose outcome is asked for, by one activity.

    `answers` are by zone, for the asker to take out. `waiting`: whom they are awaited from, and how many
    answers each had given by the time it was asked.
    """

    __slots__ = ("activity", "answers", "transaction_id", "waiting")

    def __init__(self, transaction_id: bytes, activity: Activity | None) -> None:
        self.transaction_id = transaction_id
        self.activity = activity
        self.answers: dict[str, Reply] = {}
        self.waiting: dict[ZoneConnection, int] = {}


class ZoneConnection:
    """Owns the socket. It ends with `lose`: whoever waits for an answer then gets LOST or UNSENT."""

    def __init__(
        self,
        az: str,
        connected: socket.socket,
        waiter: Waiter,
        patience_seconds: float,
        died: Callable[[int], None],
    ) -> None:
        """`patience_seconds`: so long `wait` may block where nobody else would run.

        `died(index)` is called when the zone says that another one has died, counted from 1.
        """
        self.az = az
        self._died = died
        with contextlib.suppress(BlockingIOError):  # what was said before anybody listened is old
            connected.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        self.feed: ZoneFeed | None = None  # who listens to what the zone tells of commits
        self.answers = 0  # so many have come
        self.is_open = True
        self._socket = connected
        self._waiter = waiter
        self._decoder = FrameDecoder()
        self._asked: dict[bytes, tuple[Question, int]] = {}  # and where its request ends
        self._unanswered: dict[bytes, int] = {}  # sizes of requests, whoever still asks
        self._unanswered_bytes = 0
        self._unsent = bytearray()
        self._gathered = self._sent = 0  # bytes since the beginning
        self._is_stuck = False
        self._taken_at = 0.0  # when the kernel last took something
        self._source: Source | None = None
        connected.setblocking(True)
        set_timeout(connected, socket.SO_SNDTIMEO, _SEND_SECONDS)
        set_timeout(connected, socket.SO_RCVTIMEO, patience_seconds)

    def has_room(self, size: int) -> bool:
        """Return whether the zone takes a request of so many bytes besides those that it has."""
        return (
            len(self._unanswered) < REQUESTS_MAX
            and self._unanswered_bytes + size <= REQUESTS_BYTES_MAX
        )

    def ask(self, question: Question, request: bytes) -> None:
        """Send a request, or have it sent at the round's end. One of a transaction at a time."""
        assert self.is_open
        assert question.transaction_id not in self._asked, "it waits for an answer already"
        framed = frame(request)
        self._gathered += len(framed)
        self._asked[question.transaction_id] = question, self._gathered
        self._unanswered_bytes += len(request) - self._unanswered.get(question.transaction_id, 0)
        self._unanswered[question.transaction_id] = len(request)
        question.waiting[self] = self.answers
        unsent = self._unsent
        if self._waiter.alone:
            self._send_all(framed if not unsent else bytes(unsent) + framed)
        else:
            if not unsent:
                self._taken_at = self._waiter.monotonic()
            unsent += framed

    def tell(self, request: bytes) -> None:
        """Send a request that nobody waits for the answer of."""
        framed = frame(request)
        self._gathered += len(framed)
        if not self._unsent:
            self._taken_at = self._waiter.monotonic()
        self._unsent += framed
        if self._waiter.alone:
            self.flush()

    def flush(self) -> None:
        """Send what has gathered: all of it, or what the kernel takes now if others would run."""
        if self._unsent:
            if self._waiter.alone:
                self._send_all(self._unsent)
            else:
                self._send_some()

    def _send_all(self, data: bytes | bytearray) -> None:
        try:
            self._socket.sendall(data)
        except OSError:  # a part of it may be on its way
            self.lose()
            return
        self._sent = self._gathered
        self._unsent.clear()
        self._is_stuck = False

    def _send_some(self) -> None:
        unsent, now = self._unsent, self._waiter.monotonic
        try:
            taken = self._socket.send(unsent, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._is_stuck = True
            if now() > self._taken_at + _SEND_SECONDS:
                self.lose()
            return
        except OSError:
            self.lose()
            return
        self._sent += taken
        del unsent[:taken]
        self._is_stuck = bool(unsent)
        if unsent:
            self._taken_at = now()

    def has_sent(self, question: Question) -> bool:
        """Return whether the request of a question that waits has gone out as a whole."""
        return self._asked[question.transaction_id][1] <= self._sent

    def wait(self, deadline: float) -> None:
        """Give answers the time to come, up to the deadline or, if that blocks, `patience_seconds`."""
        if self._waiter.alone:
            if self._unsent:
                self.flush()
            self.receive()
        else:
            self._waiter.wait(self.watch(deadline))

    def watch(self, deadline: float) -> float:
        """Have answers taken as they come; return until when one may wait for them at most."""
        if self._source is None and self.is_open:
            self._source = self._waiter.watch(self._socket.fileno(), self._on_change)
        if not self._is_stuck:
            return deadline
        return min(deadline, self._waiter.monotonic() + _RETRY_SECONDS)

    def receive(self) -> None:
        """Take the answers that are there or come in time. Blocks."""
        if self.is_open:
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return  # none in time
            except OSError:
                data = b""
            self._take(data)

    def fileno(self) -> int:
        """Return the socket's descriptor, to be polled; -1 once it is lost."""
        return self._socket.fileno()

    def forget(self, question: Question) -> None:
        """Take no answer to a question any more."""
        self._asked.pop(question.transaction_id, None)

    def lose(self) -> None:
        """Close the socket, and tell everyone who waits."""
        if not self.is_open:
            return
        self.is_open = False
        if self._source is not None:
            self._waiter.forget(self._source)
        self._socket.close()
        self._unsent.clear()
        for question, end in list(self._asked.values()):
            self._settle(question, (LOST if end <= self._sent else UNSENT, 0))
        if self.feed is not None:
            self.feed.lost(self.az)

    def _on_change(self) -> None:
        """Take what has come; a read that is not full has emptied the socket."""
        assert self._source is not None
        while self.is_open:
            try:
                data = self._socket.recv(_READ_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self._take(data)
            if len(data) < _READ_BYTES and not self._source.gone:
                return

    def _take(self, data: bytes) -> None:
        if not data:
            self.lose()
            return
        try:
            for body in self._decoder.feed(data):
                about, verdict, timestamp = decode_reply(body)
                if verdict >= Verdict.DIED:
                    self._hear(about, verdict, timestamp, body)
                    continue
                self.answers += 1
                self._unanswered_bytes -= self._unanswered.pop(about, 0)
                asked = self._asked.get(about)
                if asked is not None:  # else it came too late
                    self._settle(asked[0], (verdict, timestamp))
        except (FrameError, struct.error, msgspec.DecodeError) as error:
            logger.warning("no answer", extra={"az": self.az, "reason": str(error)})
            self.lose()

    def _hear(self, about: bytes, verdict: int, timestamp: int, body: bytes) -> None:
        """Pass on what the zone says unasked."""
        if verdict == Verdict.DIED:
            self._died(timestamp)
        elif self.feed is not None:
            self.feed.said(self.az, about, verdict, timestamp, body)

    def _settle(self, question: Question, reply: Reply) -> None:
        del self._asked[question.transaction_id]
        del question.waiting[self]
        question.answers[self.az] = reply
        self._waiter.wake(question.activity)
