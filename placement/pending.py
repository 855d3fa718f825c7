"""What waits for a query processor: a session that a relay handed over, or a run of background jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from dsql.session.handed import HandedSession
from placement.messages import Accepted, HandOver, Message, Refused
from placement.sessions import Keys
from placement.worker import Worker

START_SECONDS_MAX = 10.0
STARTS_MAX = 3  # a session that this many query processors died under is not given to another one


class Pending(Protocol):
    """One piece of work for one query processor of `cluster`."""

    cluster: str
    starts: int

    @property
    def start_seconds(self) -> float:
        """A query processor that does not take it up for so long hangs."""
        ...

    def start(self, worker: Worker, number: int) -> None:
        """Pass the work on, as this number. Raises ConnectionError if the query processor is gone."""
        ...

    def settle(self) -> None:
        """It is in hand."""
        ...

    def refuse(self, sqlstate: str, text: str) -> None:
        """Give the work up, and say why."""
        ...


class PendingSession:
    """A session between a relay's HandOver and a query processor's Started. Owns the client's socket."""

    start_seconds = START_SECONDS_MAX

    def __init__(
        self,
        message: HandOver,
        session: HandedSession,
        client: int,
        answer: Callable[[Message], None],
    ) -> None:
        self.cluster = session.cluster
        self.starts = 0
        self.settled = False
        self.keys = Keys(session.process_id, session.secret_key)
        self._message = message
        self._client = client
        self._answer = answer

    def start(self, worker: Worker, number: int) -> None:
        """See Pending."""
        self.starts += 1
        worker.serve(number, self._message.handed, self._client, self.keys)

    def settle(self) -> None:
        """See Pending."""
        self.drop()
        self._answer(Accepted(self._message.request))

    def refuse(self, sqlstate: str, text: str) -> None:
        """See Pending."""
        self.drop()
        self._answer(Refused(self._message.request, sqlstate, text))

    def drop(self) -> None:
        """Close our copy of the client's socket."""
        self.settled = True
        os.close(self._client)


class PendingJobs:
    """A run of a cluster's background jobs. `refused` is called if there is no query processor for it."""

    start_seconds = START_SECONDS_MAX

    def __init__(self, cluster: str, refused: Callable[[str], None]) -> None:
        self.cluster = cluster
        self.starts = 0
        self._refused = refused

    def start(self, worker: Worker, number: int) -> None:
        """See Pending."""
        self.starts += 1
        worker.run_jobs(number)

    def settle(self) -> None:
        """See Pending."""

    def refuse(self, sqlstate: str, text: str) -> None:  # noqa: ARG002 (nobody to tell)
        """See Pending."""
        self._refused(self.cluster)
