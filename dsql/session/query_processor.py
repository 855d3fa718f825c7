"""The life of a query processor: one cluster for life, and as many of its sessions as it is given.

    warm --Assign--> sandbox --> Ready
         --Serve, Resume--> a task of the hub runs the session until its end --> Ended
                            or until its client has been silent for a while --> Parked
         --Shed--> some of the sessions whose clients' turn it is depart as well --> Moved
         --RunJobs--> likewise
         --Cancel--> interrupts what a session runs
         --Ping--> in the hub's next turn --> Pong
         --Evacuate--> it gave no sign: sessions that wait for their clients --> Moved
         --Deserted--> sessions go on without an agent --Adopt--> Surviving ... Adopted: as before
         --Retire, SIGTERM, the end of agent and seed--> exit, as soon as nothing runs

It is forked from the seed with everything imported. What a session needs from the outside later, a new
connection to the adjudicator, is asked of the agent (`dsql.session.agent_line`), because the sandbox lets
nobody in here open one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import NamedTuple, Protocol

from dsql.hub.hub import Hub
from dsql.rpc import packets
from dsql.session import signals
from dsql.session.agent_line import AgentLine
from dsql.session.control import (
    TOLD_AT_ONCE,
    Adopt,
    Adopted,
    Assign,
    Cancel,
    Deserted,
    Ended,
    Evacuate,
    Full,
    Gone,
    Moved,
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
    Started,
    Surveyed,
    Surviving,
    Terminate,
    Told,
    ToQueryProcessor,
    Used,
)
from dsql.session.departure import Departure
from dsql.session.load_meter import LoadMeter
from dsql.session.log_names import named
from dsql.session.lost_transactions import LostTransactions
from dsql.session.moving import Moving
from dsql.session.own_memory import OwnMemory
from dsql.session.roster import Roster
from dsql.sql import large_texts
from dsql.transaction.usage import Usage

# Python's heap seldom gives back what large statements took, which later sessions have no use for. What is
# mapped of the replicas is not meant: a process that has read much of a large one is as good as new.
RESIDENT_BYTES_MAX = 256 * 1024 * 1024

_WATCH_SECONDS = 1.0
_ROOM_SECONDS = 0.001

Confine = Callable[[Assign, Callable[[], object]], list[str]]  # given what starts the only thread


class Tenant(Protocol):
    """A cluster's data within reach of this process."""

    def open(self) -> None:
        """Open all that is opened by name, which is otherwise done when it is first needed.

        Raises SqlError 57P03 or 58000 if a role does not answer in time.
        """
        ...

    def serve(self, number: int, session: bytes, client: socket.socket) -> Departure | None:
        """Run an encoded HandedSession to its end, in a task; raises nothing a client can cause.

        If it departs before, the socket is still open.
        """
        ...

    def resume(
        self,
        number: int,
        record: bytes,
        client: socket.socket,
        arrived: Callable[[], None],
        *,
        parks: bool,
        heard: int = 0,
    ) -> Departure | None:
        """Go on with a session that has departed somewhere; one that does not park stays to its end.

        `arrived` is called when it is whole. Up to the timestamp `heard` it has nothing to hear. Raises
        InvalidRecordError.
        """
        ...

    def run_jobs(self, number: int) -> bool:
        """Work off the cluster's background jobs, in a task; return whether that came to its end."""
        ...

    def mourn(self, process_ids: tuple[int, ...]) -> None:
        """Sessions of the cluster have ended with their process."""
        ...

    @property
    def temporary_sizes(self) -> list[int]:
        """The bytes of temporary tables of each session that has made some."""
        ...

    @property
    def lost(self) -> LostTransactions:
        """Which of its transactions have lost a conflict lately."""
        ...

    @property
    def usage(self) -> Usage:
        """What its transactions have done, and nobody was told yet."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


OpenTenant = Callable[[Assign, list[int], AgentLine, Hub, Roster], Tenant]


class _Given(NamedTuple):
    """What the agent has given, for the next one: a voucher, and a session's socket."""

    voucher: bytes
    client: socket.socket | None


class QueryProcessor:
    """Follows the agent's orders. `confine` closes the sandbox, `open_tenant` reaches the data."""

    def __init__(self, control: socket.socket, confine: Confine, open_tenant: OpenTenant) -> None:
        self._line = AgentLine(control)
        self._confine = confine
        self._open_tenant = open_tenant
        self._hub = Hub()
        self._roster = Roster(self._hub)
        self._meter = LoadMeter(time.monotonic, time.process_time)
        self._seed = os.getppid()
        self._watches = 0  # tasks that are no session's
        self._unstarted: set[int] = set()  # sessions that the agent was not told of
        self._moving = Moving()
        self._voucher = b""  # of the assignment
        self._parks_late = False
        self._given: dict[int, _Given] = {}  # what runs, by number
        self._retiring = False
        self._full = False
        self._memory = OwnMemory()
        self._usage = Usage()  # the tenant's
        self._lost = LostTransactions()  # the same
        self._computed = 0  # processor time that was metered, in microseconds

    def run(self) -> None:
        """Live. Returns when the process should exit."""
        # Without agent and seed it has nothing to do.
        with contextlib.suppress(EOFError, ConnectionError), contextlib.closing(self._memory):
            message, slots = self._line.wait()
            while isinstance(message, Deserted | Adopt):
                if isinstance(message, Adopt):
                    self._line.tell(Adopted(b""))
                message, slots = self._line.wait()
            if isinstance(message, Assign):
                with (
                    named(message.cluster, self._roster),
                    contextlib.closing(self._settle(message, slots)) as tenant,
                ):
                    self._line.attach(
                        self._hub, lambda *heard: self._obey(tenant, *heard), self._go_on_alone
                    )
                    self._hub.run(self._is_over)
                    self._tell_usage()

    def _settle(self, assignment: Assign, slots: list[int]) -> Tenant:
        """Become the cluster's."""
        self._voucher = assignment.voucher
        self._parks_late = assignment.park_seconds > 0
        tenant = self._open_tenant(assignment, slots, self._line, self._hub, self._roster)
        if assignment.uid is None:
            tenant.open()  # the sandbox then names single files, which have to be there
        self._usage, self._lost = tenant.usage, tenant.lost
        signals.listen(self)
        self._line.tell(Ready(self._confine(assignment, large_texts.thread.start)))
        return tenant

    def _is_over(self) -> bool:
        over = self._line.ended or (self._retiring and not self._moving)
        return over and self._hub.tasks == self._watches

    def _go_on_alone(self) -> None:
        """Without an agent sessions go on to their ends, unless the seed has gone as well."""
        self._watches = 1
        self._hub.spawn(self._watch_seed)
        self._hub.spawn(self._moving.abandon)

    def _watch_seed(self) -> None:
        """End everything once nobody is left who knows of this process. Its last task."""
        while os.getppid() == self._seed:
            self._hub.wait(self._hub.monotonic() + _WATCH_SECONDS)
            if self._hub.tasks == self._watches:
                break
        self._roster.end()
        self._watches = 0

    def _obey(self, tenant: Tenant, message: ToQueryProcessor, descriptors: list[int]) -> None:
        """Follow an order of the agent. May be called in a signal handler, so it leaves work to tasks."""
        match message:
            case Serve(number, session, voucher):
                client = socket.socket(fileno=descriptors.pop())
                serve = partial(self._serve, tenant, number, session, client)
                self._start(number, client, voucher, serve)
            case Resume(number, record, parks, voucher, heard):
                client = socket.socket(fileno=descriptors.pop())
                resume = partial(
                    self._resume, tenant, number, record, client, parks=parks, heard=heard
                )
                self._start(number, client, voucher, resume)
            case RunJobs(number, voucher):
                self._given[number] = _Given(voucher, None)
                self._hub.spawn(lambda: self._run_jobs(tenant, number))
            case Cancel(number):
                self._roster.cancel(number)
            case Terminate(number):
                self._roster.terminate(number)
            case Report(inquiry):
                self._hub.spawn(partial(self._report, inquiry))
            case Surveyed(inquiry, activities, last):
                self._line.surveys.heard(inquiry, activities, last=last)
            case Gone(process_ids):
                self._hub.spawn(partial(tenant.mourn, process_ids))
            case Shed(count):
                self._roster.shed(count)
            case Release(number):
                self._hub.spawn(self._moving.arrived(number))
            case Evacuate():
                self._evacuate()
            case Ping():
                self._hub.spawn(partial(self._give_sign, tenant))
            case Retire():
                self._retiring = True
            case Deserted():
                self._line.desert()
                self._hub.spawn(self._moving.abandon)
            case Adopt():
                self._hub.spawn(self._show_vouchers)
        packets.close_all(descriptors)

    def _give_sign(self, tenant: Tenant) -> None:
        """A task, so that it proves that the hub turns and not only that signals come."""
        sizes = tenant.temporary_sizes
        with contextlib.suppress(OSError):
            self._line.tell(Pong(len(sizes), sum(sizes)))
        self._tell_usage()

    def _evacuate(self) -> None:
        """Give the agent what the hub's standstill has not spoilt, at whatever line that is.

        Nobody is given a turn meanwhile, because it is called by the agent's line (`interrupts._ATOMIC`).
        """
        self._retiring = True
        for number, departure in self._roster.evacuate(self._hub.replace):
            voucher, client = self._given.pop(number)
            assert client is not None, "a run of jobs does not depart"
            self._moving.departs(number, departure.release)
            self._hand_out(Moved(number, departure.record, voucher), client)
        self._tell_usage()

    def _hand_out(self, moved: Moved, client: socket.socket) -> None:
        """Tell the agent, waiting while too many descriptors are under way to it."""
        while True:
            try:
                self._line.tell(moved, (client.fileno(),))
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:
                    raise
                time.sleep(_ROOM_SECONDS)
            else:
                return

    def _tell_usage(self) -> None:
        """Have the agent meter what was done. A process that does nothing has nothing to say."""
        usage = self._usage
        if not usage:
            return
        computed = int(time.process_time() * 1_000_000)
        usage.compute_microseconds += computed - self._computed
        self._computed = computed
        told = usage.take()
        try:
            self._line.tell(Used(told))
        except OSError:  # the next agent hears of it
            usage.add(told)

    def _report(self, inquiry: int) -> None:
        """Say what the sessions do, and what they have lost, in packets of some."""
        found = self._roster.activities() + self._lost.told()
        with contextlib.suppress(OSError):  # without an agent nobody asks any more
            for start in range(0, len(found) or 1, TOLD_AT_ONCE):
                part = tuple(found[start : start + TOLD_AT_ONCE])
                self._line.tell(Told(inquiry, part, start + TOLD_AT_ONCE >= len(found)))

    def _show_vouchers(self) -> None:
        """Tell another agent what there is. Does not give way: it is the state of one moment."""
        self._line.adopt()
        self._unstarted.clear()  # what is shown has started
        with contextlib.suppress(OSError):  # it has gone again
            for voucher, client in self._given.values():
                self._line.tell(Surviving(voucher), () if client is None else (client.fileno(),))
            self._line.tell(Adopted(self._voucher, self._full or self._retiring))

    def _start(
        self, number: int, client: socket.socket, voucher: bytes, run: Callable[[], bool]
    ) -> None:
        self._given[number] = _Given(voucher, client)
        self._unstarted.add(number)
        self._hub.spawn(lambda: self._live(number, client, run))

    def _live(self, number: int, client: socket.socket, run: Callable[[], bool]) -> None:
        departed = False
        try:
            with client:
                departed = run()
        finally:
            given = self._given.get(number)
            # The agent may have given it here again already: SIGIO comes at any line.
            if given is not None and given.client is client:
                del self._given[number]
            if not departed:
                self._tell_start(number)
                self._tell_end(number)
            if not self._given:  # and who has no sessions is not asked for a sign
                self._tell_usage()

    def _serve(self, tenant: Tenant, number: int, session: bytes, client: socket.socket) -> bool:
        """Run a session to its end, or until the agent has it; return whether it has."""
        self._tell_start(number)
        departure = tenant.serve(number, session, client)
        return departure is not None and self._give_back(tenant, number, client, departure)

    def _resume(
        self,
        tenant: Tenant,
        number: int,
        record: bytes,
        client: socket.socket,
        *,
        parks: bool,
        heard: int = 0,
        release: Callable[[], None] | None = None,
    ) -> bool:
        """Do what `_serve` does with a session that has departed somewhere; from here: see Departure."""
        arrived = release or partial(self._tell_start, number)
        try:
            departure = tenant.resume(number, record, client, arrived, parks=parks, heard=heard)
        finally:
            if release is not None:
                release()  # for one that has not come as far as that
        return departure is not None and self._give_back(tenant, number, client, departure)

    def _give_back(
        self, tenant: Tenant, number: int, client: socket.socket, departure: Departure
    ) -> bool:
        """Give a session to the agent; where that is not possible, run it to its end and return False."""
        self._look_at_size()
        record, deadline, release, activity, ears = departure
        voucher = self._given[number].voucher
        leaving: Moved | Parked
        if deadline is None:
            leaving = Moved(number, record, voucher)
            self._moving.departs(number, release)
        else:
            leaving = Parked(number, record, deadline, voucher, activity, ears)
        try:
            self._line.tell(leaving, (client.fileno(),))
        except OSError:  # there is no agent any more, or too many descriptors are under way
            if deadline is None:
                self._moving.stays(number)
            # The next agent may let it park, unless it would try that all the time until then.
            parks = self._line.alone and self._parks_late
            return self._resume(tenant, number, record, client, parks=parks, release=release)
        return True

    def _tell_start(self, number: int) -> None:
        """Say that a session is in hand, once."""
        if number in self._unstarted:
            self._unstarted.remove(number)
            with contextlib.suppress(OSError):  # without an agent nobody waits for it
                self._line.tell(Started(number))

    def _run_jobs(self, tenant: Tenant, number: int) -> None:
        done = False
        try:
            done = tenant.run_jobs(number)
        finally:
            del self._given[number]
            self._tell_end(number, cut=not done)

    def _tell_end(self, number: int, *, cut: bool = False) -> None:
        self._look_at_size()
        with contextlib.suppress(OSError):  # without an agent nobody counts
            self._line.tell(Ended(number, cut))

    def _look_at_size(self) -> None:
        """Want no more sessions if the process has grown large."""
        if not self._full and self._memory.resident_bytes > RESIDENT_BYTES_MAX:
            self._full = True  # another one is made faster than memory is found in this one
            with contextlib.suppress(OSError):
                self._line.tell(Full())

    # ------------------------------------------------------------ dsql.session.signals.Listener

    def tick(self, frame: FrameType) -> None:
        """See Listener."""
        running = self._roster.running
        news = self._meter.tick(running, self._hub.ready)
        if news is not None:
            self._line.mention(news)
        if running is not None:
            running.interrupts.tick(frame)
            if self._hub.tasks == 1:
                self._line.hear()  # nobody else looks, and SIGIO may have come while it was heard
            if self._hub.tasks > 1:
                running.interrupts.give_way(self._hub.give_way, frame)

    def terminate(self, frame: FrameType) -> None:
        """See Listener."""
        self._line.end()
        self._roster.end(frame)

    def hear(self, frame: FrameType) -> None:
        """See Listener."""
        self._line.hear()
        running = self._roster.running
        if running is not None:
            running.interrupts.tick(frame)
