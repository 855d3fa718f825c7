"""One query processor, as its agent sees it: control socket, pidfd, and all that it serves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
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
    Adopt,
    Adopted,
    Assign,
    Busy,
    Cancel,
    Ended,
    Evacuate,
    Full,
    Gone,
    LookAround,
    Moved,
    NeedAdjudicator,
    Parked,
    Ping,
    Pong,
    Ready,
    Release,
    Report,
    Resume,
    Retire,
    RunJobs,
    Serve,
    Shed,
    Signal,
    Started,
    Surveyed,
    Surviving,
    Terminate,
    ToAgent,
    Told,
    ToQueryProcessor,
    Used,
    WantJobs,
    decode_from_query_processor,
    encode,
)
from dsql.transaction.usage import Usage
from placement.adjudicator_lines import AdjudicatorLines, ConnectAdjudicator
from placement.ledger import Ledger
from placement.sessions import Keys, ParkedRecord
from placement.vouchers import Voucher, Vouchers

logger = logging.getLogger(__name__)

DUMP_SECONDS = 1.0


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

    def on_look_around(self, worker: Worker, inquiry: int) -> None:
        """It asks what the sessions of its cluster do."""
        ...

    def on_told(self, worker: Worker, told: Told) -> None:
        """It has said what some of its sessions do."""
        ...

    def on_signal(self, worker: Worker, wanted: Signal) -> None:
        """It asks to have a session of its cluster interrupted."""
        ...

    def on_pong(self, worker: Worker) -> None:
        """Its hub turns."""
        ...

    def on_used(self, worker: Worker, usage: Usage) -> None:
        """Its sessions have done this since it said so last."""
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
    """A process that a seed forked.

    One that says what it may not (`placement.ledger`), closes its control socket or does not read it is
    killed.
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
        self._pidfd = pidfd
        self._events = events
        self._vouchers = vouchers
        self._adopting = False
        self._returned: list[_Returned] = []  # to an agent that has gone: it gets them back
        self._assigned_at = 0.0
        self._aborting = False
        self._ledger = Ledger()
        self.temporary = (
            0,
            0,
        )  # sessions with temporary tables, and the bytes of these, as it last said
        self._channel = PacketChannel(control, self._received, self._closed)
        self._adjudicators = AdjudicatorLines(self._channel)

    @property
    def cluster(self) -> str | None:
        """Whose it is, None if it is nobody's yet."""
        return self._ledger.cluster

    @property
    def work(self) -> dict[int, Keys | None]:
        """Its sessions by number, and perhaps a run of jobs, which has no keys."""
        return self._ledger.work

    def assign(
        self,
        assignment: Assign,
        slots: list[int],
        connect_adjudicator: ConnectAdjudicator,
    ) -> None:
        """Bind the process to a cluster for life; `connect_adjudicator` is called again as needed.

        `slots` are given away.
        """
        self._ledger.cluster = assignment.cluster
        self._settle(assignment, connect_adjudicator)
        voucher = self._vouchers.seal(Voucher(self.process_id, assignment.cluster))
        with contextlib.suppress(ConnectionError):  # its end is reported by `on_lost`
            self._channel.send(encode(replace(assignment, voucher=voucher)), slots)
            self._adjudicators.send("")
        close_all(slots)

    def _settle(self, assignment: Assign, connect_adjudicator: ConnectAdjudicator) -> None:
        self._adjudicators.azs = assignment.azs
        self._adjudicators.connect = connect_adjudicator
        self._ledger.park_seconds = assignment.park_seconds
        self._assigned_at = time.monotonic()

    def adopt(self) -> None:
        """Have a process that served an earlier agent show what it was given: `on_adopted` follows."""
        self._adopting = True
        self._tell(Adopt())

    def readopt(self, assignment: Assign, connect_adjudicator: ConnectAdjudicator) -> None:
        """Go on with the cluster that it has: what `assign` has told it is still so."""
        self._settle(assignment, connect_adjudicator)
        self._ledger.ready_at = self._assigned_at

    def serve(self, number: int, packet: bytes, client: int, keys: Keys) -> None:
        """Pass a session on. Raises ConnectionError if the process is gone; then nothing was passed."""
        self._give(number, client, keys, lambda voucher: Serve(number, packet, voucher))

    def resume(
        self,
        number: int,
        record: bytes,
        client: int,
        keys: Keys,
        *,
        parks: bool = True,
        heard: int = 0,
    ) -> None:
        """Pass on a session that was parked. Raises ConnectionError as `serve` does."""
        self._give(
            number, client, keys, lambda voucher: Resume(number, record, parks, voucher, heard)
        )

    def _give(
        self, number: int, client: int, keys: Keys, message: Callable[[bytes], Serve | Resume]
    ) -> None:
        assert self.cluster is not None, "it was assigned"
        assert number not in self.work, "what is given is given once"
        inode, now = os.fstat(client).st_ino, time.monotonic()  # not later than the process has it
        voucher = Voucher(self.process_id, self.cluster, number, keys, inode)
        self._channel.send(encode(message(self._vouchers.seal(voucher))), (client,))
        self._ledger.give(number, keys, inode, now)

    @property
    def full(self) -> bool:
        """Whether it wants no more sessions."""
        return self._ledger.full

    @property
    def ready(self) -> bool:
        """Whether it is its cluster's, sandbox included."""
        return self._ledger.ready_at is not None

    def hangs(self, since: float, now: float, seconds: float) -> bool:
        """Return whether it has had so much time for what it was given at `since`.

        It takes nothing up before its sandbox is closed, which may take as long.
        """
        ready_at = self._ledger.ready_at
        begun = since + seconds if ready_at is None else max(since, ready_at)
        return now - begun > seconds

    def run_jobs(self, number: int) -> None:
        """Have it work off its cluster's background jobs. Raises ConnectionError if it is gone."""
        assert self.cluster is not None, "it was assigned"
        voucher = self._vouchers.seal(Voucher(self.process_id, self.cluster, number))
        self._channel.send(encode(RunJobs(number, voucher)))
        self._ledger.give_run(number)

    def cancel(self, number: int, secret_key: int) -> None:
        """Cancel the statement that a session runs, if this is its key."""
        keys = self.work.get(number)
        if keys is not None and keys.allow(secret_key):
            self.interrupt(number)

    def interrupt(self, number: int) -> None:
        """Cancel the statement that a session runs."""
        self._tell(Cancel(number))

    def end_session(self, number: int) -> None:
        """End one of its sessions."""
        self._tell(Terminate(number))

    def report(self, inquiry: int) -> None:
        """Ask what its sessions do: `on_told` follows, until that was the last."""
        self._ledger.ask(inquiry)
        self._tell(Report(inquiry))

    def survey(self, inquiry: int, activities: tuple[bytes, ...], *, last: bool) -> None:
        """Tell it what sessions of its cluster do, in answer to `on_look_around`."""
        if last:
            self._ledger.looks_around = False
        self._tell(Surveyed(inquiry, activities, last))

    def mourn(self, process_ids: tuple[int, ...]) -> None:
        """Tell it that sessions of its cluster have ended with their process."""
        self._tell(Gone(process_ids))

    def shed(self, count: int) -> None:
        """Ask so many of its sessions to leave."""
        self._ledger.ask_to_leave(count)
        self._tell(Shed(count))

    def release(self, number: int) -> None:
        """Tell it that a session that it let go is in other hands."""
        self._tell(Release(number))

    def equip(self) -> None:
        """Give it what it needs to go on without an agent: a connection to each adjudicator."""
        with contextlib.suppress(ConnectionError):  # its end is reported by `on_lost`
            self._adjudicators.complete()

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
        """End a process that hangs; before that it says where, and gives back the sessions that it can.

        One that was stopped goes on for that.
        """
        if not self._aborting:
            self._aborting = True
            details = {"process_id": self.process_id, "cluster": self.cluster}
            logger.error("query processor hangs; its stacks are in the seed's log", extra=details)
            self._signal(DUMP_SIGNAL)
            self._ledger.ask_to_leave(len(self.work))
            self._tell(Evacuate())
            self._signal(signal.SIGCONT)
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
        now, sockets = time.monotonic(), [os.fstat(found).st_ino for found in descriptors]
        try:
            message = decode_from_query_processor(packet)
            if self._adopting:
                complaint = self._ledger.take_over(message, self._opened(message), sockets, now)
            else:
                complaint = self._ledger.complaint(message, sockets, now)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            complaint = f"makes no sense: {error}"
        if complaint:
            close_all(descriptors)
            self._refuse(f"query processor {complaint}")
        elif isinstance(message, Parked | Moved):
            self._take_back(message, *descriptors)
        else:
            close_all(descriptors)
            if isinstance(message, Adopted):
                self._adopting = False
                self._events.on_adopted(self)
                self._give_back()
            elif not self._adopting:
                self._heed(message, now)

    def _opened(self, message: ToAgent) -> Voucher | None:
        if isinstance(message, Surviving | Parked | Moved | Adopted):
            return self._vouchers.open(message.voucher, self.process_id)
        return None

    def _heed(self, message: ToAgent, now: float) -> None:
        match message:
            case Started(number):
                self._ledger.started(number)
                self._events.on_started(self, number)
            case Ended(number, cut):
                if cut:
                    self._events.on_cut(self, number)
                self._events.on_ended(self, number, self._ledger.ended(number))
            case Busy():
                self._events.on_busy(self, message)
            case LookAround(inquiry):
                self._ledger.looks_around = True
                self._events.on_look_around(self, inquiry)
            case Told(inquiry, _, last):
                self._ledger.told(inquiry, last=last)
                self._events.on_told(self, message)
            case Signal():
                self._events.on_signal(self, message)
            case Pong(sessions, size):
                self.temporary = sessions, size
                self._events.on_pong(self)
            case Used(usage):
                self._events.on_used(self, usage)
            case Full():
                self._ledger.full = True
                self._events.on_full(self)
            case WantJobs():
                self._events.on_jobs_wanted(self)
            case NeedAdjudicator(az):
                with contextlib.suppress(ConnectionError):
                    self._adjudicators.send(az)
            case Ready(missing):
                self._ledger.ready_at = now
                self._events.on_ready(self, now - self._assigned_at)
                if missing:
                    details = {"missing": missing, "cluster": self.cluster}
                    logger.warning("sandbox incomplete", extra=details)

    def _take_back(self, message: Parked | Moved, client: int) -> None:
        if self._adopting:
            self._returned.append(_Returned(message, client))
            return
        number, record, keys = message.number, message.record, self._ledger.departed(message)
        if isinstance(message, Parked):
            said = message.deadline, message.activity, message.ears
            self._events.on_parked(self, ParkedRecord(number, keys, client, record, *said))
        else:
            self._events.on_moved(self, ParkedRecord(number, keys, client, record))

    def _give_back(self) -> None:
        """Have it go on with what it has let go when nobody was there to take it."""
        for session, client in self._returned:
            resume = Resume(session.number, session.record, voucher=session.voucher)
            self._ledger.give_back(session.number)
            with contextlib.suppress(ConnectionError):  # its end is reported by `on_lost`
                self._channel.send(encode(resume), (client,))
        self._forget_returned()

    def _forget_returned(self) -> None:
        close_all(returned.client for returned in self._returned)
        self._returned.clear()

    def _refuse(self, reason: str) -> None:
        logger.error(reason, extra={"process_id": self.process_id, "cluster": self.cluster})
        self._signal(signal.SIGKILL)
        self._channel.close()  # its last words are worth nothing

    def _closed(self) -> None:
        self._signal(signal.SIGKILL)  # without us nobody counts it any more
        self._adjudicators.end()
        self._forget_returned()
        self._events.on_lost(self)
        os.close(self._pidfd)
        self._pidfd = -1
