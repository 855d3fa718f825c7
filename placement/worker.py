"""One query processor, as its agent sees it: control socket, pidfd, and all that it serves."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from dsql.rpc.packets import PacketChannel, close_all
from dsql.rpc.watchdog import DUMP_SIGNAL
from dsql.session.control import (
    Adjudicator,
    Adopt,
    Adopted,
    Assign,
    Busy,
    Cancel,
    Ended,
    Full,
    Moved,
    NeedAdjudicator,
    Parked,
    Ping,
    Pong,
    Ready,
    Release,
    Resume,
    Retire,
    RunJobs,
    Serve,
    Shed,
    Started,
    Surviving,
    ToAgent,
    ToQueryProcessor,
    WantJobs,
    decode_from_query_processor,
    encode,
)
from dsql.session.record import MOVED_BYTES_MAX, RECORD_BYTES_MAX
from placement.vouchers import Voucher, Vouchers

logger = logging.getLogger(__name__)

# Given a zone, or "" for the likely leader: the zone and a connection; None if it does not answer.
ConnectAdjudicator = Callable[[str], tuple[str, socket.socket] | None]

# Who finds no adjudicator asks again every few milliseconds. Each session adds one more: it may want jobs.
# Starts, parkings and ends of sessions do not count: each follows one that we have sent.
MESSAGES_PER_SECOND_MAX = 500
DUMP_SECONDS = 1.0


class Keys(NamedTuple):
    """A session's BackendKeyData. `process_key` is unique among the sessions that live."""

    process_key: int
    secret_key: int

    def allow(self, secret_key: int) -> bool:
        """Return whether a cancellation with this key is meant for the session."""
        return hmac.compare_digest(_eight_bytes(self.secret_key), _eight_bytes(secret_key))


def _eight_bytes(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


class ParkedRecord(NamedTuple):
    """What a query processor gives back of a session, to be resumed elsewhere; `client` is the socket.

    `deadline` is when it has to be resumed at the latest.
    """

    number: int
    keys: Keys
    client: int
    record: bytes
    deadline: float = 0.0


class _Given(NamedTuple):
    """A session's socket, which no other one has, and since when the process has it."""

    socket: int  # its inode
    since: float


class _Returned(NamedTuple):
    """A session that it has let go, with its client's socket."""

    session: Parked | Moved
    client: int


class WorkerEvents(Protocol):
    """Who is told what becomes of a query processor."""

    def on_ready(self, worker: Worker, seconds: float) -> None:
        """It is its cluster's, sandbox included, so long after `assign`."""
        ...

    def on_cut(self, worker: Worker, number: int) -> None:
        """A run of background jobs is about to end before all of them are worked off."""
        ...

    def on_ended(self, worker: Worker, number: int, keys: Keys | None) -> None:
        """A session, or a run of background jobs (no keys), has ended."""
        ...

    def on_started(self, worker: Worker, number: int) -> None:
        """A session is in its hands."""
        ...

    def on_parked(self, worker: Worker, session: ParkedRecord) -> None:
        """A session has given its place up. Whoever is told owns the socket."""
        ...

    def on_moved(self, worker: Worker, session: ParkedRecord) -> None:
        """A session is to go on in another one. Whoever is told owns the socket."""
        ...

    def on_busy(self, worker: Worker, busy: Busy) -> None:
        """It has said how much it has to do."""
        ...

    def on_pong(self, worker: Worker) -> None:
        """Its hub turns."""
        ...

    def on_full(self, worker: Worker) -> None:
        """It has grown large, and wants no more sessions."""
        ...

    def on_jobs_wanted(self, worker: Worker) -> None:
        """One of its sessions has left background jobs behind."""
        ...

    def on_adopted(self, worker: Worker) -> None:
        """It has shown what earlier agents have given it: `cluster` and `work`."""
        ...

    def on_lost(self, worker: Worker) -> None:
        """It is gone, and with it all that `work` still has."""
        ...


class Worker:
    """A process that a seed forked. `work`: its sessions by number, and perhaps a run of jobs.

    It may be hostile. One that says what nobody says here, or more than anybody has to say, is killed, as
    is one that closes its control socket or does not read it, or says that something has started, parked
    or ended, or that it is full, and has not got it, or no cluster; or that gives back another socket than
    it was given, a session that cannot have been silent for long enough and was not asked to leave, or more
    than a session's record.
    It has one connection to each adjudicator at most.
    """

    def __init__(
        self,
        process_id: int,
        control: socket.socket,
        pidfd: int,
        events: WorkerEvents,
        vouchers: Vouchers,
    ) -> None:
        self.process_id = process_id
        self.cluster: str | None = None
        self.work: dict[int, Keys | None] = {}
        self._pidfd = pidfd
        self._events = events
        self._vouchers = vouchers
        self._adopting = False
        self._returned: list[_Returned] = []  # to an agent that has gone: it gets them back
        self._connect: ConnectAdjudicator = lambda _: None
        self._azs: list[str] = []  # the cluster's
        self._assigned_at = 0.0
        self._ready_at: float | None = None
        self._park_seconds = 0.0
        self._given: dict[int, _Given] = {}  # by session
        self._unstarted: set[int] = set()
        self._may_leave = 0  # sessions that were asked to, and have not
        self._full = False
        self._aborting = False
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
        self._azs = assignment.azs
        self._connect = connect_adjudicator
        self._assigned_at = time.monotonic()
        self._park_seconds = assignment.park_seconds
        voucher = self._seal(Voucher(self.process_id, self.cluster))
        with contextlib.suppress(ConnectionError):  # its end is reported by `on_lost`
            self._channel.send(encode(replace(assignment, voucher=voucher)), slots)
            self._send_adjudicator("")
        close_all(slots)

    def adopt(self) -> None:
        """Have a process that served an earlier agent show what it was given: `on_adopted` follows."""
        self._adopting = True
        self._tell(Adopt())

    def readopt(self, assignment: Assign, connect_adjudicator: ConnectAdjudicator) -> None:
        """Go on with the cluster that it has: what `assign` has told it is still so."""
        self._azs = assignment.azs
        self._connect = connect_adjudicator
        self._ready_at = self._assigned_at = time.monotonic()
        self._park_seconds = assignment.park_seconds

    def serve(self, number: int, packet: bytes, client: int, keys: Keys) -> None:
        """Pass a session on. Raises ConnectionError if the process is gone; then nothing was passed."""
        self._give(number, client, keys, lambda voucher: Serve(number, packet, voucher))

    def resume(
        self, number: int, record: bytes, client: int, keys: Keys, *, parks: bool = True
    ) -> None:
        """Pass on a session that was parked. Raises ConnectionError as `serve` does."""
        self._give(number, client, keys, lambda voucher: Resume(number, record, parks, voucher))

    def _give(
        self, number: int, client: int, keys: Keys, message: Callable[[bytes], Serve | Resume]
    ) -> None:
        assert self.cluster is not None, "it was assigned"
        assert number not in self.work, "what is given is given once"
        given = _Given(
            os.fstat(client).st_ino, time.monotonic()
        )  # not later than the process has it
        voucher = Voucher(self.process_id, self.cluster, number, keys, given.socket)
        self._channel.send(encode(message(self._seal(voucher))), (client,))
        self.work[number] = keys
        self._given[number] = given
        self._unstarted.add(number)

    @property
    def full(self) -> bool:
        """Whether it wants no more sessions."""
        return self._full

    @property
    def ready(self) -> bool:
        """Whether it is its cluster's, sandbox included."""
        return self._ready_at is not None

    def hangs(self, since: float, now: float, seconds: float) -> bool:
        """Return whether it has had so much time for what it was given at `since`.

        It takes nothing up before its sandbox is closed, which may take as long.
        """
        begun = since + seconds if self._ready_at is None else max(since, self._ready_at)
        return now - begun > seconds

    def run_jobs(self, number: int) -> None:
        """Have it work off its cluster's background jobs. Raises ConnectionError if it is gone."""
        assert None not in self.work.values(), "a cluster has one run at a time"
        assert self.cluster is not None, "it was assigned"
        voucher = self._seal(Voucher(self.process_id, self.cluster, number))
        self._channel.send(encode(RunJobs(number, voucher)))
        self.work[number] = None

    def cancel(self, number: int, secret_key: int) -> None:
        """Cancel the statement that a session runs, if this is its key."""
        keys = self.work.get(number)
        if keys is not None and keys.allow(secret_key):
            self._tell(Cancel(number))

    def shed(self, count: int) -> None:
        """Ask so many of its sessions to leave."""
        self._may_leave = min(len(self.work), self._may_leave + count)
        self._tell(Shed(count))

    def release(self, number: int) -> None:
        """Tell it that a session that it let go is in other hands."""
        self._tell(Release(number))

    def equip(self) -> None:
        """Give it what it needs to go on without an agent: a connection to each adjudicator."""
        for az in self._azs:
            if az not in self._adjudicators:
                with contextlib.suppress(ConnectionError):  # its end is reported by `on_lost`
                    self._send_adjudicator(az)

    def ping(self) -> None:
        """Ask for a sign, which `on_pong` tells of."""
        self._tell(Ping())

    def retire(self) -> None:
        """Have the process end after the last of its sessions."""
        self._tell(Retire())

    def terminate(self) -> None:
        """End its sessions, with a word to their clients, and the process."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process now."""
        self._signal(signal.SIGKILL)
        self.close()

    def abort(self) -> None:
        """End a process that hangs; before, it writes down where, if it still can."""
        if not self._aborting:
            self._aborting = True
            details = {"process_id": self.process_id, "cluster": self.cluster}
            logger.error("query processor hangs; its stacks are in the seed's log", extra=details)
            self._signal(DUMP_SIGNAL)
            asyncio.get_running_loop().call_later(DUMP_SECONDS, self.kill)

    def close(self) -> None:
        """Forget the process, after its last words; `on_lost` is called if it was not before."""
        self._channel.finish()

    def at_end(self, ended: Callable[[], None]) -> None:
        """Call `ended` once nothing is left of the process; to be asked for in `on_lost` at the latest.

        When that is called, the process may still be about to give up its files and their locks.
        """
        loop, watch = asyncio.get_running_loop(), os.dup(self._pidfd)

        def look() -> None:
            loop.remove_reader(watch)
            os.close(watch)
            ended()

        loop.add_reader(watch, look)

    def _tell(self, message: ToQueryProcessor) -> None:
        with contextlib.suppress(ConnectionError):  # its end is reported by `on_lost`
            self._channel.send(encode(message))

    def _signal(self, number: signal.Signals) -> None:
        # A pidfd, unlike a process id, never means another process later.
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _received(self, packet: bytes, descriptors: list[int]) -> None:
        try:
            message = decode_from_query_processor(packet)
            if self._adopting:
                complaint = self._take_over(message, descriptors)
            else:
                complaint = self._complaint(message, descriptors)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            complaint = "makes no sense"
        if complaint:
            close_all(descriptors)
            self._refuse(f"query processor {complaint}")
            return
        if self._adopting:
            close_all(descriptors)
            self._adopting = not isinstance(message, Adopted)
            if not self._adopting:
                self._events.on_adopted(self)
                self._give_back()
            return
        if isinstance(message, Parked | Moved):
            self._take_back(message, *descriptors)
            return
        close_all(descriptors)
        match message:
            case Started(number):
                self._unstarted.remove(number)
                self._events.on_started(self, number)
            case Ended(number, cut):
                if cut:
                    self._events.on_cut(self, number)
                self._given.pop(number, None)
                self._events.on_ended(self, number, self.work.pop(number))
            case Busy():
                self._events.on_busy(self, message)
            case Pong():
                self._events.on_pong(self)
            case Full():
                self._full = True
                self._events.on_full(self)
            case WantJobs():
                self._events.on_jobs_wanted(self)
            case NeedAdjudicator(az):
                with contextlib.suppress(ConnectionError):
                    self._send_adjudicator(az)
            case Ready(missing):
                self._ready_at = time.monotonic()
                self._events.on_ready(self, self._ready_at - self._assigned_at)
                if missing:
                    details = {"missing": missing, "cluster": self.cluster}
                    logger.warning("sandbox incomplete", extra=details)

    def _seal(self, voucher: Voucher) -> bytes:
        return self._vouchers.seal(voucher)

    def _take_over(self, message: ToAgent, descriptors: list[int]) -> str:
        """Note what it shows; return what is wrong with that, "" for nothing.

        What else it says is for the agent that has gone.
        """
        if not isinstance(message, Surviving | Parked | Moved | Adopted):
            return "says too much" if self._says_too_much() else ""
        if isinstance(message, Adopted):
            self._full = message.full
            if not message.voucher:
                return "shows work and no cluster" if self.work else ""
        voucher = self._vouchers.open(message.voucher, self.process_id)
        if voucher is None or self.cluster not in (None, voucher.cluster):
            return "shows what it was not given"
        self.cluster = voucher.cluster
        if isinstance(message, Adopted):
            return ""
        complaint = self._take_over_work(voucher, descriptors)
        if not complaint and isinstance(message, Parked | Moved):
            if voucher.number != message.number or voucher.keys is None:
                return "gives back what it was not given"
            self._returned.append(_Returned(message, os.dup(descriptors[0])))
        return complaint

    def _give_back(self) -> None:
        """Have it go on with what it has let go when nobody was there to take it."""
        for session, client in self._returned:
            resume = Resume(session.number, session.record, voucher=session.voucher)
            self._unstarted.add(session.number)
            with contextlib.suppress(ConnectionError):  # its end is reported by `on_lost`
                self._channel.send(encode(resume), (client,))
        self._forget_returned()

    def _forget_returned(self) -> None:
        close_all(returned.client for returned in self._returned)
        self._returned.clear()

    def _take_over_work(self, voucher: Voucher, descriptors: list[int]) -> str:
        number, keys = voucher.number, voucher.keys
        sockets = [os.fstat(descriptor).st_ino for descriptor in descriptors]
        if not number or number in self.work or sockets != ([voucher.socket] if keys else []):
            return "shows what it has not got"
        self.work[number] = None if keys is None else Keys(*keys)
        if keys is not None:
            self._given[number] = _Given(voucher.socket, float("-inf"))
        return ""

    def _take_back(self, message: Parked | Moved, client: int) -> None:
        number, record = message.number, message.record
        del self._given[number]
        keys = self.work.pop(number)
        assert keys is not None, "a run of jobs has no socket"
        if isinstance(message, Parked):
            parked = ParkedRecord(number, keys, client, record, message.deadline)
            self._events.on_parked(self, parked)
        else:
            self._may_leave = max(0, self._may_leave - 1)
            self._events.on_moved(self, ParkedRecord(number, keys, client, record))

    def _complaint(self, message: ToAgent, descriptors: list[int]) -> str:
        """Return what is wrong with a message at this moment, "" for nothing."""
        if isinstance(message, Started):
            return "" if message.number in self._unstarted else "has begun what it was not given"
        if isinstance(message, Parked | Moved):
            return self._complaint_of_departed(message, descriptors)
        if isinstance(message, Ended):
            begun = message.number in self.work and message.number not in self._unstarted
            return "" if begun else "has finished what it was not given"
        if isinstance(message, Surviving | Adopted):
            return "shows what nobody has asked for"
        if isinstance(message, Full | Busy) and self.cluster is None:
            return "is busy before it was assigned"
        twice = (self._ready_at is not None and isinstance(message, Ready)) or (
            self._full and isinstance(message, Full)
        )
        return "says too much" if twice or self._says_too_much() else ""

    def _complaint_of_departed(self, message: Parked | Moved, descriptors: list[int]) -> str:
        given = self._given.get(message.number)
        if given is None or message.number in self._unstarted:
            return "gives back what it was not given"
        if len(descriptors) != 1 or os.fstat(descriptors[0]).st_ino != given.socket:
            return "gives back another socket"
        most = MOVED_BYTES_MAX if isinstance(message, Moved) else RECORD_BYTES_MAX
        if len(message.record) > most:
            return "gives back what is no session"
        if isinstance(message, Moved):
            asked = self._may_leave > 0 or not self._park_seconds  # then all move all the time
            return "" if asked else "gives back a session unasked"
        if time.monotonic() - given.since < self._park_seconds:
            return "parks too soon"
        return "" if math.isfinite(message.deadline) else "parks for ever"

    def _says_too_much(self) -> bool:
        now = time.monotonic()
        if now >= self._counting_from + 1:
            self._counting_from, self._messages = now, 0
        self._messages += 1
        return self._messages > MESSAGES_PER_SECOND_MAX + len(self.work)

    def _refuse(self, reason: str) -> None:
        logger.error(reason, extra={"process_id": self.process_id, "cluster": self.cluster})
        self._signal(signal.SIGKILL)
        self._channel.close()  # its last words are worth nothing

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
        self._forget_returned()
        self._events.on_lost(self)
        os.close(self._pidfd)
        self._pidfd = -1
