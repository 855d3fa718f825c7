"""What a query processor gives to each of its sessions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from dsql.catalog.jobs import Job
from dsql.catalog.loader import CatalogCache
from dsql.executor.memory import ProcessMemory
from dsql.executor.temporary import TemporarySpace, unnamed_file
from dsql.hub.waiter import Blocking, Waiter
from dsql.limits import CONNECTION_SECONDS_MAX
from dsql.locks.server import LockServer, Spawn
from dsql.sequences.server import SequenceServer
from dsql.session.lost_transactions import LostTransaction, LostTransactions
from dsql.session.plan_cache import PlanCache
from dsql.transaction.interface import LocalHalf, Mode, Transaction
from dsql.transaction.local_store import LocalSpace
from dsql.transaction.record import TransactionRecord

if TYPE_CHECKING:
    from adjudicator.client import NotificationFeed
    from dsql.session.activity import Activity


class SessionTransaction(Transaction, Protocol):
    """A transaction whose statements are told apart, and whose age counts."""

    commit_timestamp: int  # of its last commit with writes

    @property
    def statement(self) -> int:
        """The number of the last statement, as `begin_statement` has returned it."""
        ...

    def look_anew(self) -> None:
        """Read at a new snapshot from now on. Nothing may have been written."""
        ...

    def import_snapshot(self, timestamp: int) -> None:
        """Read at the snapshot of another transaction, which keeps it. Raises SqlError 58000."""
        ...

    def look_again(self) -> bool:
        """Read what is committed by now from now on, below the own writes; False if one was overtaken."""
        ...

    def trace_reads(self) -> None:
        """Have the commit fail if anything that is read from now on is not so any more by then."""
        ...

    def forget_reads(self) -> None:
        """Let the commit depend on what is written only."""
        ...

    def check_since(self, key: bytes, mode: Mode, timestamp: int) -> None:
        """Verify `key` as it was found at an earlier snapshot of the transaction's."""
        ...

    def check_age(self) -> None:
        """Raise SqlError 54000 if it is too old."""
        ...

    def begin_statement(self) -> int:
        """Say that a statement begins; its scans leave out what it writes. Return its number."""
        ...

    def begin_inner(self) -> int:
        """Say that a function of the running statement begins one of its own; see `end_inner`."""
        ...

    def end_inner(self, outer: int) -> None:
        """Go on with the statement around it, whose number `begin_inner` has returned."""
        ...

    def rewind(self, statement: int) -> None:
        """Take back the writes made since `begin_statement` returned this number."""
        ...

    def join(self, local: LocalHalf | None) -> None:
        """Read and write local keys in `local` from now on; None: there are none any more."""
        ...

    def forget(self, prefixes: tuple[bytes, ...]) -> None:
        """Take back every write below one of these prefixes."""
        ...

    def record(self) -> TransactionRecord:
        """Return what another process needs to go on. The snapshot is shown on, until `rollback` here."""
        ...

    def take_up(self, record: TransactionRecord) -> None:
        """Go on with one of another process. Raises ValueError, SqlError 58000."""
        ...


Pause = Callable[[float], None]


class SendSignal(Protocol):
    """See `dsql.session.surveys.Surveys.signal`."""

    def __call__(self, process_id: int, pause: Pause, *, ends: bool) -> None:
        """Interrupt a session."""
        ...


def do_nothing() -> None:
    """Do nothing: there is nothing to prepare, or nobody to ask."""


def _nobody_else(_pause: Pause) -> list[Activity]:
    return []


def _no_signal(process_id: int, pause: Pause, *, ends: bool) -> None:
    raise AssertionError(f"no session {process_id} to signal: {pause}, {ends}")


def _cannot_run(job: Job, _: object) -> Any:
    raise AssertionError(f"no runner for job {job.text_id}")


@dataclass(slots=True)
class Environment:
    """One per query processor, for all of its sessions.

    `begin` returns a transaction, which may be used again when it has ended; `prepare` does beforehand
    what the first one needs, and is called when a client has just been greeted. `waiter` is how sessions
    wait. `now` is the time in microseconds since 1970. `request_jobs` has the cluster's background jobs
    looked at; `run_job` runs one to its end, for the statement whose `Interrupts.pause` it is given;
    `give_up_job` undoes one, for a reason, unless it was completed: then it returns False.
    `look_around`, `look_for_lost` and `signal` are those of `dsql.session.surveys`; `lost` is the process's
    own. `profile_changes`: sessions may set dsql.profile. `since` is when the host's agent began, in
    microseconds since 1970; `stored_bytes` what the cluster takes on disk in the zone that is read from. By
    the `feed` sessions hear what others notify; without one there is no LISTEN, and there are no `locks`.
    `spawn` starts a task of the process's own.
    """

    cluster: str
    profile: str
    begin: Callable[[], SessionTransaction]
    prepare: Callable[[], None] = do_nothing
    catalogs: CatalogCache = field(default_factory=CatalogCache)
    plans: PlanCache = field(default_factory=PlanCache)
    memory: ProcessMemory = field(default_factory=ProcessMemory)
    temporary: TemporarySpace = field(default_factory=lambda: TemporarySpace(unnamed_file))
    local: LocalSpace = field(default_factory=lambda: LocalSpace(unnamed_file))
    request_jobs: Callable[[], None] = do_nothing
    run_job: Callable[[Job, Callable[[float], None]], None] = _cannot_run
    give_up_job: Callable[[Job, str], bool] = _cannot_run
    look_around: Callable[[Pause], list[Activity]] = _nobody_else
    look_for_lost: Callable[[Pause], list[LostTransaction]] | None = None
    lost: LostTransactions = field(default_factory=LostTransactions)
    signal: SendSignal = _no_signal
    profile_changes: bool = False
    since: int = 0
    stored_bytes: Callable[[], int] = lambda: 0
    feed: NotificationFeed | None = None
    spawn: Spawn | None = None
    session_seconds_max: float = CONNECTION_SECONDS_MAX
    now: Callable[[], int] = lambda: time.time_ns() // 1000
    waiter: Waiter = field(default_factory=Blocking)
    sequences: SequenceServer = field(init=False)
    locks: LockServer | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.feed is not None:
            self.locks = LockServer(lambda: self.begin(), self.waiter, self.feed, self.spawn)
        self.sequences = SequenceServer(lambda: self.begin(), self.catalogs, self.waiter)

    @property
    def monotonic(self) -> Callable[[], float]:
        """The clock of deadlines, in seconds."""
        return self.waiter.monotonic
