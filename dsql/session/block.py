"""The transaction a session is in: none, an implicit one, a block, or a failed block.

    IDLE     --statement--> IMPLICIT --Sync, end of the query--> commit --> IDLE
    IDLE, IMPLICIT --BEGIN--> OPEN --COMMIT--> IDLE
    OPEN     --error--> FAILED --COMMIT, ROLLBACK--> IDLE;  --ROLLBACK TO--> OPEN
    IMPLICIT --error--> rollback --> IDLE

In the dsql profile a transaction has at most one DDL statement and never both DDL and DML.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from itertools import islice
from typing import Any

from dsql.catalog.catalog import Catalog
from dsql.catalog.jobs import Job
from dsql.catalog.schema import ForeignKey
from dsql.errors import (
    ConflictError,
    FatalError,
    Interrupted,
    SqlError,
)
from dsql.locks.session import SessionLocks
from dsql.sequences.session import SessionSequences
from dsql.session import attempts
from dsql.session.compiled import CompiledQuery
from dsql.session.environment import Environment, SessionTransaction, do_nothing
from dsql.session.interrupts import HELD, Interrupts
from dsql.session.isolation import RENEWING, SERIALIZABLE, Modes, check_change
from dsql.session.listening import Listening
from dsql.session.progress import WRITERS_MAX, Again, Progress
from dsql.session.record import BlockRecord, InvalidRecordError, UsedRecord
from dsql.session.savepoints import Savepoint, find, restored
from dsql.session.settings import Settings
from dsql.session.snapshot_catalog import SnapshotCatalog
from dsql.session.temporary_objects import TemporaryObjects
from dsql.transaction.interface import Mode

KeyChanges = dict[tuple[Any, ...], tuple[Any, ...] | None]  # see dsql.executor.key_changes


class State(enum.Enum):
    """Where a session stands."""

    IDLE = "idle"
    IMPLICIT = "implicit"
    OPEN = "open"
    FAILED = "failed"


# A member of an enum costs two look-ups each time.
_IDLE, _IMPLICIT, _OPEN, _FAILED = State.IDLE, State.IMPLICIT, State.OPEN, State.FAILED
_NOTHING_SAID = Modes()


class TransactionBlock:
    """Begins, commits and rolls back, and answers for the rules of a block.

    What begins or ends a transaction holds the interrupts: a commit that was asked for is told as it came
    out, and nothing is left half undone. Only what runs on behalf of a commit, the checks and replays
    before it and the jobs behind it, may be interrupted. `on_end` is called after every transaction
    (portals die with theirs), `hold_cursors` before the commit of one that has cursors which outlive it.

    `renews`: each statement has a snapshot of its own, which it gets by `look_again`.
    `key_changes` is what the running statement has noted for foreign keys. `check_deferred` checks what
    the `progress` has deferred of that.
    """

    def __init__(
        self,
        environment: Environment,
        settings: Settings,
        interrupts: Interrupts,
        recording: attempts.Recording,
        sequences: SessionSequences,
        check_deferred: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._environment = environment
        self._settings = settings
        self._interrupts = interrupts
        self._sequences = sequences
        self._attempts = attempts.Attempts(
            self, settings, interrupts, recording, sequences, check_deferred
        )
        self._on_end = on_end
        self.hold_cursors: Callable[[], None] = (
            do_nothing  # `dsql.session.cursors`, says the session
        )
        self.process_id = 0  # of the session, says that
        self.on_conflict: Callable[[ConflictError], None] = lambda _: None  # the same
        self.key_changes: KeyChanges = {}
        self.state = State.IDLE
        self.in_script = False  # one of several statements of a simple query runs
        self.started_at = 0  # microseconds since 1970, 0 before the first statement
        self._transaction: SessionTransaction | None = None
        self._own: SessionTransaction | None = None  # the one that is used again and again
        self._catalog = SnapshotCatalog(environment.catalogs)
        self._savepoints: list[Savepoint] = []
        self.progress = Progress()
        self.renews = False
        settings.belong_to(self)
        self.listening: Listening | None = None  # from the session's first LISTEN on
        self.locks: SessionLocks | None = None  # from its first advisory lock on

    @property
    def transaction(self) -> SessionTransaction:
        """The running transaction; an implicit one is begun if there is none."""
        transaction = self._transaction
        if transaction is None:
            transaction = self._own or self._environment.begin()
            self._transaction = self._own = transaction
            self.started_at = 0
            if self.state is _IDLE:
                self.state = _IMPLICIT
            self.become(transaction, self._settings.default_modes)
        return transaction

    def become(self, transaction: SessionTransaction, modes: Modes) -> None:
        """Be as the modes say, which can be."""
        self.progress.modes = modes
        self.renews = modes.isolation in RENEWING
        if modes.isolation == SERIALIZABLE:
            transaction.trace_reads()

    @property
    def modes(self) -> Modes:
        """What the running transaction is, or one that would begin now."""
        return self._settings.default_modes if self._transaction is None else self.progress.modes

    def set_modes(self, said: Modes) -> None:
        """Say what the running transaction is. Raises SqlError 25001 for what it cannot become any more."""
        transaction, progress = self.transaction, self.progress
        check_change(
            progress.modes,
            said,
            has_queried=self.has_queried,
            has_savepoints=self.has_savepoints,
        )
        if said.isolation not in (None, SERIALIZABLE):
            transaction.forget_reads()
        self.become(transaction, progress.modes.and_then(said))

    @property
    def catalog(self) -> Catalog:
        """The catalog at the transaction's snapshot, its own DDL included."""
        return self._catalog.found or self._catalog.find(self.transaction)

    @property
    def is_block(self) -> bool:
        """Whether more than the running statement belongs to the transaction, said by BEGIN or not."""
        return self.state is _OPEN or self.in_script

    @property
    def has_looked(self) -> bool:
        """Whether a statement of the transaction has looked at the catalog."""
        return self._catalog.found is not None

    def give_id(self) -> None:
        """Give the running transaction an id though it may write nothing."""
        self.progress.is_identified = True

    @property
    def has_id(self) -> bool:
        """Whether the running transaction has an id: it writes, or has asked for one."""
        has_writes = self._transaction is not None and self._transaction.has_writes
        return self.progress.is_identified or has_writes

    def age_error(self) -> SqlError | None:
        """Return the error of a running transaction that is too old, else None."""
        if self._transaction is None:
            return None
        if self._settings.transaction_timeout_seconds and self.seconds_left() <= 0:
            return FatalError("25P04", "terminating connection due to transaction timeout")
        try:
            self._transaction.check_age()
        except SqlError as error:
            return error
        return None

    def seconds_left(self) -> float:
        """Return what is left of transaction_timeout, which is set, for the running transaction."""
        timeout = self._settings.transaction_timeout_seconds
        if not self.started_at:
            return timeout
        return timeout - (self._environment.now() - self.started_at) / 1_000_000

    @property
    def temporary(self) -> TemporaryObjects | None:
        """The session's temporary objects, if it has had any."""
        return self._catalog.temporary

    def open_temporary(self) -> TemporaryObjects:
        """Return the session's temporary objects; from the first time on its catalog has their schema.

        Raises SqlError 53100, 58030 if there can be none.
        """
        found = self._catalog.temporary
        if found is None:
            self._interrupts.state = HELD
            local, bounds = self._environment.local, self._settings
            found = self._catalog.open_temporary(
                self.transaction, lambda: local.new_store(lambda: bounds.bounds.temporary_max)
            )
            self._interrupts.resume()
        return found

    def take_apart(self) -> None:
        """Let go of all that knows this block: the session is over. What `release` needs stays."""
        self._attempts.take_apart()
        self.hold_cursors = self._on_end = do_nothing

    def close_temporary(self) -> None:
        """Remove the session's temporary objects, between two transactions."""
        if self._own is not None:
            self._catalog.close_temporary(self._own)

    @property
    def has_queried(self) -> bool:
        """Whether the running transaction has run anything but what is said of it."""
        return bool(self.progress.queries or self.progress.ddl_statements)

    @property
    def has_savepoints(self) -> bool:
        """Whether it has savepoints."""
        return bool(self._savepoints)

    def export_snapshot(self) -> int:
        """Return the timestamp of the running transaction's snapshot, which it keeps from now on."""
        self.progress.exported_snapshot = timestamp = self.transaction.start_timestamp
        self.renews = False
        return timestamp

    def import_snapshot(self, timestamp: int) -> None:
        """Have the running transaction, which has done nothing, see what another one sees."""
        self.transaction.import_snapshot(timestamp)
        self._catalog.found = None

    def begin(self, modes: Modes) -> bool:
        """Open a block. Return False if there was one already, of which the modes are said then."""
        self._interrupts.state = HELD
        already = self.state is State.OPEN
        if not already:
            _ = self.transaction
            self.state = State.OPEN
            self.started_at = self.started_at or self._environment.now()
        if modes != _NOTHING_SAID:
            self.set_modes(modes)
        return not already

    def look_again(self) -> None:
        """Have the statement that begins see what is committed by now, unless DDL of its own is before it.

        Raises SqlError 40001 if something was overtaken that the transaction has written, and it cannot run
        again.
        """
        transaction, progress = self._transaction, self.progress
        if transaction is None or not self.has_looked or progress.ddl_statements:
            return
        if self.state is not _OPEN and not (self.state is _IMPLICIT and progress.queries):
            return
        before = transaction.start_timestamp
        if not transaction.look_again():
            self._attempts.begin_again(transaction)
        elif transaction.start_timestamp != before:
            self._catalog.found = None
            progress.note_uses(before)

    def use(self, query: CompiledQuery) -> bool:
        """Announce that a query runs now. Return whether it counts as a statement of the transaction.

        An implicit transaction that only reads has no own writes to hide and no age.
        """
        progress = self.progress
        if query.writes:
            progress.note_write(query, self._settings.profile)
            if query.watches:
                self.key_changes = {}
        elif query.locks:
            progress.note_locks(query)
        progress.queries.add(query)
        if progress.writes or self.state is _OPEN:
            number = self.transaction.begin_statement()
            if query.writes and len(progress.writers) < WRITERS_MAX:
                progress.writers[number] = query.text
            return True
        progress.has_read = True
        return False

    def follow(self, query: CompiledQuery) -> None:
        """Announce a statement that follows from the running one: it sees what that has written."""
        transaction = self.transaction
        transaction.begin_inner()
        for key in query.version_keys:
            transaction.check(key, Mode.CATALOG)

    def is_deferred(self, key: ForeignKey) -> bool:
        """Return whether a foreign key is checked at the commit only, as things are."""
        if not key.deferrable:
            return False
        modes = self.progress.constraint_modes
        return modes.get(key.oid, modes.get(0, key.initially_deferred))

    def use_inside(self, query: CompiledQuery, *, volatile: bool) -> int:
        """Announce a query that a function of the running statement runs.

        Return the number of the statement around it (`Transaction.end_inner`); 0 where it sees the same,
        because it is not `volatile` or nothing can have been written.
        """
        progress = self.progress
        if query.writes:
            progress.note_write(query, self._settings.profile)
            if query.watches:
                self.key_changes = {}
        progress.queries.add(query)
        if volatile and (progress.writes or self.state is _OPEN):
            return self.transaction.begin_inner()
        return 0

    def note_ddl(self, command: str) -> None:
        """Count a DDL statement, against the profile's rules. `command`: as its command tag has it."""
        transaction = self.transaction
        is_first = not transaction.statements
        self.progress.note_ddl(command, self._settings.profile, is_first=is_first)
        transaction.begin_statement()

    def repeat_by(self, again: Again) -> None:
        """Say how the statement that has just run is run again; `again` returns whether no client can tell.

        That is done to DDL that is all of its transaction and has lost (OC001). Any job that ends changes
        the catalog, too, so who makes a table would lose to an index that is built meanwhile.
        """
        progress = self.progress
        alone = progress.begins_with_ddl and self.state is _IMPLICIT and not self.in_script
        if alone and self.temporary is None:
            progress.again = again, self.transaction.statements

    def forget_look(self) -> None:
        """Be one that has done nothing to the catalog and has not looked at it."""
        self._catalog.found, self._catalog.is_changed = None, False

    def forget_catalog(self) -> None:
        """Look the catalog up again: the transaction itself has changed it.

        The reading is a statement of its own, because a statement does not see what it writes itself.
        """
        self._catalog.found = None
        self._catalog.is_changed = self.progress.writes = True
        self.transaction.begin_statement()

    def look_anew(self) -> None:
        """Have the next statement see what is committed by now, if only the first one has looked yet."""
        transaction = self.transaction
        if self.is_block and transaction.statements <= 1 and not transaction.has_writes:
            transaction.look_anew()
            self._catalog.found = None

    def request_jobs(self) -> None:
        """Have the background jobs looked at after the commit."""
        self.progress.jobs_requested = True

    def run_after_commit(self, job: Job) -> None:
        """Run a job after the commit and wait for it."""
        self.progress.jobs.append(job)

    def commit(self) -> None:
        """End the transaction; what was failed is rolled back. Raises what the commit raises."""
        self._interrupts.state = HELD
        transaction, progress = self._transaction, self.progress
        if transaction is None or self.state is _FAILED:
            self.rollback()
            return
        try:
            if progress.holds_cursors:
                self._interrupts.resume()
                self.hold_cursors()
                self._interrupts.state = HELD
            if self.listening is not None:
                self.listening.prepare(transaction)
            if progress.writes or transaction.has_writes:
                self._attempts.commit(transaction)
            else:  # nobody has to agree
                transaction.rollback()
        except BaseException as error:
            try:
                if isinstance(error, ConflictError):
                    self.on_conflict(error)
            finally:
                self.rollback()
            raise
        if self.progress.writes:
            self._environment.lost.committed(
                transaction.commit_timestamp, self.process_id, self._settings.session_role
            )
        self._settings.commit()
        if self._sequences.made:
            self._sequences.settle()
        if self.listening is not None:
            self.listening.commit(transaction.commit_timestamp)
        progress = self.progress  # another one if it was run again
        self._end()
        if progress.jobs_requested:
            self._environment.request_jobs()
        for job in progress.jobs:
            self._run_job(job)

    def _run_job(self, job: Job) -> None:
        """Run a job for the statement that waits for it; an interrupt undoes it, or came too late."""
        try:
            self._interrupts.resume()
            self._environment.run_job(job, self._interrupts.pause)
            self._interrupts.state = HELD
        except Interrupted as interrupt:
            if self._environment.give_up_job(job, str(interrupt)) or interrupt.ends_session:
                raise
            self._interrupts.caught()

    def renew(self) -> None:
        """Commit what there is and go on in a fresh transaction of the same block (COPY's batches)."""
        state, modes, started_at = self.state, self.progress.modes, self.started_at
        self.commit()
        self.become(self.transaction, modes)
        self.started_at = started_at
        self.state, self.progress.writes = state, True
        self._interrupts.resume()

    def rollback(self) -> None:
        """End the transaction without effect."""
        self._interrupts.state = HELD
        if self._transaction is not None:
            self._transaction.rollback()
        self._settings.rollback()
        if self._sequences.made:
            self._sequences.undo()
        if self.listening is not None:
            self.listening.rollback()
        self._end()

    def _end(self) -> None:
        self._transaction = None
        self._catalog.found = None
        self.state = _IDLE
        self.renews = False
        if self._savepoints or not self.progress.forget_reads():
            self.progress = Progress()
            self._catalog.is_changed = False
            self._savepoints.clear()
        self._on_end()

    def fail(self) -> None:
        """React to an error: a block waits for its end, an implicit transaction is over."""
        if self.state in (State.OPEN, State.FAILED):
            self.state = State.FAILED
        else:
            self.rollback()

    # ------------------------------------------------------------ moves

    @property
    def waits_for_jobs(self) -> bool:
        """Whether the commit has to run jobs, whose statements are of this process."""
        return bool(self.progress.jobs)

    @property
    def written_bytes(self) -> int:
        """About how much the transaction has written."""
        return 0 if self._transaction is None else self._transaction.size

    def record(self) -> BlockRecord | None:
        """Return the transaction for another process, None if there is none. Call `release` later."""
        transaction, progress = self._transaction, self.progress
        if self.state is State.IDLE:
            return None
        return BlockRecord(
            self.state.value,
            None if transaction is None else transaction.record(),
            self.started_at,
            progress.modes.record(),
            progress.ddl_statements,
            self._catalog.is_changed,
            progress.writes,
            progress.has_read,
            progress.jobs_requested,
            self.has_looked,
            tuple(
                {
                    UsedRecord(query.version_keys, query.role, progress.used_at.get(query, 0))
                    for query in progress.queries
                }
            ),
            tuple(savepoint.record(self._settings) for savepoint in self._savepoints),
            self._settings.transaction_record(),
            has_id=progress.is_identified,
        )

    def release(self) -> None:
        """Show the snapshot no more that `record` has told of."""
        if self._transaction is not None:
            self._transaction.leave()

    def take_up(self, record: BlockRecord) -> None:
        """Go on with a transaction of another process.

        Raises InvalidRecordError, and SqlError 58000 or 57P03 if its snapshot is out of reach.
        """
        if record.transaction is not None:
            try:
                self.transaction.take_up(record.transaction)
            except ValueError as error:
                raise InvalidRecordError(str(error)) from None
        self.state = State(record.state)
        self.started_at, self._catalog.is_changed = record.started_at, record.catalog_changed
        progress = self.progress
        self.become(self.transaction, Modes(*record.modes))
        progress.ddl_statements = record.ddl_statements
        progress.writes, progress.has_read = record.writes, record.has_read
        progress.jobs_requested = record.jobs_requested
        progress.queries.update(record.used)
        progress.used_at = {used: used.used_at for used in record.used if used.used_at}
        self._settings.take_up_transaction(record.settings)
        self._savepoints = [restored(found, self._settings) for found in record.savepoints]
        if record.has_id:
            self.give_id()
        if record.looked:
            self._catalog.find(self.transaction)

    # ------------------------------------------------------------ savepoints

    def define_savepoint(self, name: str) -> None:
        """SAVEPOINT."""
        self._interrupts.state = HELD
        number, progress = self.transaction.begin_statement(), self.progress
        self._savepoints.append(
            Savepoint(
                name,
                number,
                self._settings.snapshot(),
                progress.ddl_statements,
                progress.writes,
                progress.deferred,
                len(progress.deferred),
                progress.constraint_modes,
                progress.modes,
            )
        )

    def release_savepoint(self, name: str) -> None:
        """RELEASE: forget the savepoint and those after it."""
        del self._savepoints[find(self._savepoints, name) :]

    def rollback_to_savepoint(self, name: str) -> int:
        """ROLLBACK TO: undo what came after the savepoint, which stays. Return the savepoint's number."""
        self._interrupts.state = HELD
        index = find(self._savepoints, name)
        savepoint = self._savepoints[index]
        del self._savepoints[index + 1 :]
        transaction = self.transaction
        transaction.rewind(savepoint.statement)
        transaction.begin_statement()
        self._settings.restore(savepoint.settings)
        if self.listening is not None:
            self.listening.rewind(savepoint.statement)
        if self.locks is not None:
            self.locks.rewind(savepoint.statement)
        progress = self.progress
        progress.ddl_statements = savepoint.ddl_statements
        progress.deferred = dict.fromkeys(islice(savepoint.deferred, savepoint.deferred_count))
        progress.constraint_modes, progress.modes = savepoint.constraint_modes, savepoint.modes
        self._catalog.found = None
        if self._sequences.made:
            self._sequences.rewind(transaction, self.catalog)
        self.state = State.OPEN
        return savepoint.statement
