"""A cluster's data within reach of this process: replicas mapped, clock mapped, adjudicator connected.

Opened once, before the sandbox closes; what breaks later is replaced through the agent.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from adjudicator.client import AdjudicatorClient
from dsql.catalog.jobs import Job
from dsql.control.layout import Layout
from dsql.ddl.job_runner import JobRunner, Store
from dsql.errors import FatalError, SqlError, outcome_unknown
from dsql.rpc.boot import current_boot
from dsql.rpc.clock import ClockUnavailableError, PublishedClock
from dsql.session.control import Assign
from dsql.session.environment import Environment
from dsql.session.handed import HandedSession
from dsql.session.query_processor import AgentLine
from dsql.session.session import Session
from dsql.tls.connection import open_connection
from dsql.transaction.manager import POSTGRES_LIMITS, TransactionManager
from storage.client import LocalReplica

logger = logging.getLogger(__name__)

OPEN_SECONDS = 10.0
_RETRY_SECONDS = 0.005
_MICROSECONDS_TO_2000 = 946_684_800_000_000

Opened = TypeVar("Opened")


class ClusterTenant:
    """Implements `dsql.session.query_processor.Tenant`."""

    def __init__(
        self, assignment: Assign, adjudicator: socket.socket | None, line: AgentLine
    ) -> None:
        """Raises SqlError, OSError or ClockUnavailableError if the cluster's roles do not answer."""
        cluster, layout = assignment.cluster, Layout(Path())

        def reconnect() -> socket.socket:
            try:
                connection = line.new_adjudicator()
            except EOFError:
                # Nothing can be committed here any more, and nobody can be asked what was.
                unknown = outcome_unknown()
                raise FatalError(unknown.sqlstate, unknown.message, hint=unknown.hint) from None
            if connection is None:
                raise ConnectionRefusedError("no adjudicator answers")
            return connection

        def open_clock() -> PublishedClock:
            return PublishedClock(layout.clock(cluster), current_boot())

        try:
            clock = open_clock()
        except ClockUnavailableError:  # a cluster is led, and publishes, once it has been asked for
            adjudicator = adjudicator or _eventually(reconnect)
            clock = _eventually(open_clock)
        manager = TransactionManager(
            LocalReplica(
                [layout.storage(az, cluster) for az in assignment.azs],
                deadline_seconds=OPEN_SECONDS,
            ),
            AdjudicatorClient(adjudicator, reconnect),
            clock,
            POSTGRES_LIMITS if assignment.profile == "postgres" else None,
        )
        self._environment = environment = Environment(
            cluster=cluster,
            profile=assignment.profile,
            begin=manager.begin,
            request_jobs=line.want_jobs,
            run_job=self._run_job,
        )
        self._jobs = JobRunner(
            Store(
                begin=environment.begin,
                catalog=environment.catalogs.current,
                now=lambda: environment.now() - _MICROSECONDS_TO_2000,
                check_cancel=self._check_cancel,
            )
        )

    def serve(self, session: HandedSession, client: socket.socket) -> None:
        """Run a session to its end."""
        self._environment.cancellation.requested = False
        Session(session, open_connection(client, session.tls), self._environment).run()

    def run_jobs(self) -> None:
        """Run the cluster's background jobs; what fails now is tried again with the next request."""
        self._environment.cancellation.requested = False
        try:
            self._jobs.run_pending()
        except SqlError as error:
            logger.warning("background jobs stopped", extra={"reason": error.message})

    def cancel(self) -> None:
        """Cancel the running statement."""
        self._environment.cancellation.request()

    def _run_job(self, job: Job) -> None:
        try:
            self._jobs.run_and_report(job.identifier)
        finally:
            self._environment.request_jobs()  # it may have left rows for another job to remove

    def _check_cancel(self) -> None:
        if self._environment.cancellation.requested:
            raise SqlError("57014", "canceling statement due to user request")


def _eventually(open_it: Callable[[], Opened]) -> Opened:
    """Return what `open_it` returns once what it needs is there, or raise why it is not."""
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            return open_it()
        except (OSError, ClockUnavailableError):
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_SECONDS)
