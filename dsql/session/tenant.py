"""A cluster's data within reach of this process: replicas mapped, clock mapped, adjudicator connected.

All sessions of the process share it. The replicas are opened inside the sandbox, with the first
transaction or, where there is time for it, between the greeting and the client's first message. What breaks
later is replaced through the agent.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from adjudicator.client import AdjudicatorClient, NotificationFeed
from dsql.catalog.jobs import Job
from dsql.catalog.wait_events import ON_CPU, START_TRANSACTION
from dsql.control.layout import Layout
from dsql.ddl.job_runner import JobRunner, Store
from dsql.errors import FatalError, Interrupted, SqlError, outcome_unknown
from dsql.executor.temporary import TemporarySpace, unnamed_file
from dsql.hub.hub import Hub
from dsql.hub.waiter import BRIEF_SECONDS, NEVER
from dsql.rpc.boot import current_boot
from dsql.rpc.clock import ClockUnavailableError, PublishedClock
from dsql.session import handed
from dsql.session.agent_line import AgentLine
from dsql.session.control import Assign
from dsql.session.departure import Departure
from dsql.session.environment import Environment, SessionTransaction, do_nothing
from dsql.session.handed import HandedSession
from dsql.session.interrupts import Alone, Interrupts, Untimed
from dsql.session.lost_transactions import LostTransactions
from dsql.session.pipeline import review
from dsql.session.record import SessionRecord, decode
from dsql.session.roster import JobRun, Roster
from dsql.session.session import Session
from dsql.sql import collection, large_texts
from dsql.tls.connection import open_connection
from dsql.transaction.local_store import LocalSpace
from dsql.transaction.manager import POSTGRES_LIMITS, TransactionManager
from dsql.transaction.usage import Usage
from storage.client import LocalReplica, ReaderSlot

logger = logging.getLogger(__name__)

OPEN_SECONDS = 10.0
_RETRY_SECONDS = 0.005
_MICROSECONDS_TO_2000 = 946_684_800_000_000

Opened = TypeVar("Opened")


class ClusterTenant:
    """Implements `dsql.session.query_processor.Tenant`."""

    def __init__(
        self, assignment: Assign, slots: list[int], line: AgentLine, hub: Hub, roster: Roster
    ) -> None:
        """`slots`: the descriptors that came with the assignment."""
        self.usage = Usage()
        self.lost = LostTransactions()
        self._assignment = assignment
        self._layout = Layout(Path())
        self._line = line
        self._hub = hub
        self._roster = roster
        self._opening = False
        self._committer = AdjudicatorClient(
            sorted(assignment.azs), self._connect, prepare=line.prepare_adjudicator, waiter=hub
        )
        hub.at_round_end = self._committer.flush
        large_texts.thread.pause = functools.partial(self._pause, event=ON_CPU)
        self._clock: PublishedClock | None = None
        self._opened = contextlib.ExitStack()
        self._opened.callback(self._committer.close)
        temporary = self._make_room()
        local = self._make_local_room()
        pairs = zip(slots[::2], slots[1::2], strict=True)
        self._slots = [self._opened.enter_context(closing(ReaderSlot(pair))) for pair in pairs]
        self._environment = environment = Environment(
            cluster=assignment.cluster,
            profile=assignment.profile,
            temporary=temporary,
            local=local,
            profile_changes=assignment.profile_changes,
            since=assignment.since,
            begin=self._open_and_begin,
            prepare=self._prepare,
            request_jobs=line.want_jobs,
            run_job=self._run_job,
            give_up_job=self._give_up_job,
            lost=self.lost,
            look_around=line.surveys.look_around,
            look_for_lost=line.surveys.look_for_lost,
            signal=line.surveys.signal,
            waiter=hub,
            spawn=hub.spawn,
            feed=NotificationFeed(
                sorted(assignment.azs), self._committer.zones.reach, hub, hub.spawn, self._latest
            ),
        )
        self._jobs = JobRunner(
            Store(
                begin=lambda: environment.begin(),
                catalog=environment.catalogs.current,
                now=lambda: environment.now() - _MICROSECONDS_TO_2000,
            )
        )

    def _make_room(self) -> TemporarySpace:
        """Return the process's temporary space, made now: the sandbox lets nobody in here make a file."""
        temporary = TemporarySpace(lambda: unnamed_file(self._layout.root))
        self._opened.callback(temporary.close)
        try:
            temporary.open()
        except SqlError as error:  # then statements that need it fail, and no others
            logger.warning("no temporary space", extra={"reason": error.message})
        return temporary

    def _make_local_room(self) -> LocalSpace:
        """Return where sessions have temporary tables, made now for the same reason."""
        local = LocalSpace(lambda: unnamed_file(self._layout.root))
        self._opened.callback(local.close)
        if self._assignment.profile == "postgres" or self._assignment.profile_changes:
            try:
                local.open()
            except SqlError as error:
                logger.warning("no room for temporary tables", extra={"reason": error.message})
        return local

    def open(self) -> None:
        """See `dsql.session.query_processor.Tenant`."""
        while self._opening:  # by another session, which waits for something
            self._pause(_RETRY_SECONDS)
        if self._is_open:
            return
        self._opening = True
        try:
            self._open()
        finally:
            self._opening = False

    @property
    def _is_open(self) -> bool:
        return self._environment.prepare is do_nothing

    def _open(self) -> None:
        assignment, environment = self._assignment, self._environment
        if self._clock is None:
            self._clock = self._open_clock()
            self._opened.callback(self._clock.close)
        replicas = [self._layout.storage(az, assignment.cluster) for az in assignment.azs]
        replica = LocalReplica(
            replicas,
            self._slots,
            deadline_seconds=OPEN_SECONDS,
            waiter=self._hub,
            pause=self._pause,
        )
        self._opened.callback(replica.close)
        limits = POSTGRES_LIMITS if assignment.profile == "postgres" else None
        manager = TransactionManager(
            replica, self._committer, self._clock, limits, usage=self.usage
        )
        environment.begin, environment.prepare = manager.begin, do_nothing
        environment.stored_bytes = lambda: replica.stored_bytes
        environment.plans.row_counts.count = replica.count_rows

    def _open_clock(self) -> PublishedClock:
        path = self._layout.clock(self._assignment.cluster)

        def open_it() -> PublishedClock:
            try:
                return PublishedClock(path, current_boot(), pause=self._pause)
            except ClockUnavailableError:
                # Nobody leads it: who connects wakes it, if that could not be done before.
                self._line.prepare_adjudicator("")
                raise

        try:
            return self._eventually(open_it)
        except ClockUnavailableError:
            raise SqlError(
                "57P03", "the cluster is starting up", detail="No adjudicator leads it yet."
            ) from None

    def serve(self, number: int, session: bytes, client: socket.socket) -> Departure | None:
        """See `dsql.session.query_processor.Tenant`."""
        return self._run(number, handed.decode(session), client, self._assignment.park_seconds)

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
        """See `dsql.session.query_processor.Tenant`."""
        park_seconds = self._assignment.park_seconds if parks else NEVER
        return self._run(number, decode(record, heard), client, park_seconds, arrived)

    def _run(
        self,
        number: int,
        origin: HandedSession | SessionRecord,
        client: socket.socket,
        park_seconds: float,
        arrived: Callable[[], None] = do_nothing,
    ) -> Departure | None:
        connection = open_connection(client, origin.tls, self._hub)
        if park_seconds < BRIEF_SECONDS:
            connection.never_block()
        self._hub.on_hurry(connection.hurry)
        review(self._environment.plans)
        session = Session(origin, connection, self._environment, park_seconds, arrived)
        with self._roster.entered(number, session):
            departure = session.run()
        session.take_apart()
        return departure

    def run_jobs(self, number: int) -> bool:
        """See `dsql.session.query_processor.Tenant`."""
        interrupts = Interrupts(Untimed(), Alone(), self._hub)
        interrupts.adopt()
        with self._roster.entered(number, JobRun(interrupts)):
            try:
                done = self._run_jobs(interrupts)
                interrupts.rest()
                return done
            except Interrupted as interrupt:
                interrupts.caught()
                collection.resume()
                logger.info("background jobs interrupted", extra={"reason": str(interrupt)})
                return False

    def _run_jobs(self, interrupts: Interrupts) -> bool:
        try:
            interrupts.resume()
            self._jobs.run_pending(interrupts.pause)
        except SqlError as error:
            logger.warning("background jobs stopped", extra={"reason": error.message})
            return False
        return True

    def mourn(self, process_ids: tuple[int, ...]) -> None:
        """See `dsql.session.query_processor.Tenant`."""
        if self._environment.locks is not None:
            with contextlib.suppress(SqlError):  # then what they had is free somewhat later
                self.open()
                self._environment.locks.mourn(process_ids)

    @property
    def temporary_sizes(self) -> list[int]:
        """See `dsql.session.query_processor.Tenant`."""
        return self._environment.local.sizes

    def close(self) -> None:
        """See `dsql.session.query_processor.Tenant`."""
        self._opened.close()

    def _open_and_begin(self) -> SessionTransaction:
        self.open()
        return self._environment.begin()

    def _latest(self) -> int:
        """Return the cluster's clock, opened for who has come from elsewhere and hears something first."""
        if self._clock is None:
            self.open()
        assert self._clock is not None, "it was opened"
        return self._clock.latest()

    def _prepare(self) -> None:
        with contextlib.suppress(SqlError):  # the first transaction tries again, and says why not
            self.open()

    def _connect(self, az: str) -> tuple[str, socket.socket]:
        try:
            connection = self._line.new_adjudicator(az)
        except EOFError:
            # Nothing can be committed here any more, and nobody can be asked what was.
            unknown = outcome_unknown()
            raise FatalError(unknown.sqlstate, unknown.message, hint=unknown.hint) from None
        if connection is None:
            raise ConnectionRefusedError("no adjudicator answers")
        return connection

    def _run_job(self, job: Job, pause: Callable[[float], None]) -> None:
        self._environment.request_jobs()  # who watches it takes it back if this process is killed
        try:
            self._jobs.run_and_report(job.identifier, pause)
        finally:
            self._environment.request_jobs()  # it may have left rows for another job to remove

    def _give_up_job(self, job: Job, reason: str) -> bool:
        return self._jobs.give_up(job.identifier, reason)

    def _pause(self, seconds: float, event: str = START_TRANSACTION) -> None:
        running, hub = self._roster.running, self._hub
        if running is not None:
            running.interrupts.pause(seconds, event)
        elif hub.current is not None:  # a task of the process's own
            hub.wait(hub.monotonic() + seconds)
        else:  # nothing runs yet
            time.sleep(seconds)

    def _eventually(self, open_it: Callable[[], Opened]) -> Opened:
        """Return what `open_it` returns once what it needs is there, or raise why it is not."""
        deadline = time.monotonic() + OPEN_SECONDS
        while True:
            try:
                return open_it()
            except (OSError, ClockUnavailableError):
                if time.monotonic() >= deadline:
                    raise
                self._pause(_RETRY_SECONDS)
