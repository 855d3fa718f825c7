"""Commits, and the statements that are run again once one has lost.

Two things can: a recording of queries (`dsql.session.replay`), and the one DDL statement that is all of an
implicit transaction (`dsql.session.portal.ResultPortal`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dsql.catalog.catalog import Catalog
from dsql.encoding.keyspace import role_version_key
from dsql.errors import DataConflictError, SchemaConflictError
from dsql.locks.session import SessionLocks
from dsql.sequences.session import SessionSequences
from dsql.session.environment import SessionTransaction
from dsql.session.interrupts import HELD, Interrupts
from dsql.session.isolation import Modes
from dsql.session.progress import Progress
from dsql.session.settings import Settings
from dsql.session.temporary_objects import TemporaryObjects
from dsql.transaction.interface import Mode

REPLAYS_MAX = 50
DDL_REPEATS_MAX = 8
DDL_REPEAT_SECONDS = 0.001  # twice as long each time: who has won may not be published yet


class Recording(Protocol):
    """What can run a transaction again; see `dsql.session.replay`."""

    def covers(self, statements: int) -> bool:
        """Return whether it can, for a transaction of so many statements."""
        ...

    def replay(self) -> bool:
        """Run everything again in a fresh transaction; False if the client could tell."""
        ...


class Block(Protocol):
    """The transaction block whose commits these are: `dsql.session.block`."""

    progress: Progress
    renews: bool
    locks: SessionLocks | None

    @property
    def transaction(self) -> SessionTransaction:
        """The running transaction."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The catalog that it sees."""
        ...

    @property
    def has_looked(self) -> bool:
        """Whether it has looked at that."""
        ...

    @property
    def temporary(self) -> TemporaryObjects | None:
        """The session's temporary objects."""
        ...

    def become(self, transaction: SessionTransaction, modes: Modes) -> None:
        """Be as the modes say."""
        ...

    def look_again(self) -> None:
        """Have the statement that begins see what is committed by now."""
        ...

    def forget_look(self) -> None:
        """Be one that has not looked at the catalog."""
        ...


class Attempts:
    """Of one session. Interrupts are held, but for what runs on behalf of a commit."""

    def __init__(
        self,
        block: Block,
        settings: Settings,
        interrupts: Interrupts,
        recording: Recording,
        sequences: SessionSequences,
        check_deferred: Callable[[], None],
    ) -> None:
        self._block = block
        self._settings = settings
        self._interrupts = interrupts
        self._recording = recording
        self._sequences = sequences
        self._check_deferred = check_deferred

    def take_apart(self) -> None:
        """Let go of the block, which knows these: the session is over."""
        vars(self).clear()

    def commit(self, transaction: SessionTransaction) -> None:
        """Commit; a transaction that lost is run again where that is allowed and possible.

        Only what was asked for and lost counts: who is outdated before has met another one's commit, not
        a refusal, and that is so every second time where all sessions of a process take turns.
        """
        refusals = 0
        while True:
            progress = self._block.progress
            if progress.deferred:
                self._interrupts.resume()
                if self._block.renews:
                    self._block.look_again()
                self._check_deferred()
                self._interrupts.state = HELD
            if progress.writes and transaction.has_writes:
                self._check_versions(transaction)
                if self._block.temporary is not None:
                    self._block.temporary.before_commit(self._block.catalog, transaction)
            if self._block.locks is not None and transaction.has_writes:
                self._block.locks.fence(transaction)
            statements = transaction.statements
            replayable = not progress.has_read and self._recording.covers(statements)
            repeatable = progress.again is not None and progress.again[1] == statements
            try:
                if replayable and transaction.is_outdated():
                    transaction.rollback()
                    raise DataConflictError  # no need to ask
                refusals += 1  # unless it returns
                transaction.commit()
                return
            except DataConflictError:
                if not replayable or refusals > REPLAYS_MAX or not self._replay():
                    raise
            except SchemaConflictError:
                if not repeatable or refusals > DDL_REPEATS_MAX or not self._repeat(refusals):
                    raise

    def begin_again(self, transaction: SessionTransaction) -> None:
        """Run all statements again of a transaction that is known to lose. Raises SqlError 40001."""
        if self._block.progress.has_read or not self._recording.covers(transaction.statements):
            raise DataConflictError
        self._interrupts.state = HELD
        transaction.rollback()
        if not self._replay():
            raise DataConflictError
        self._interrupts.resume()

    def _check_versions(self, transaction: SessionTransaction) -> None:
        """Have the commit fail (OC001) if what allowed the queries has changed meanwhile."""
        session_role, became_another = self._settings.session_role, False
        used_at, now = self._block.progress.used_at, transaction.start_timestamp
        for query in self._block.progress.queries:
            timestamp = used_at.get(query, now)
            for key in query.version_keys:
                _check_version(transaction, key, timestamp)
            became_another |= query.role != session_role
        if became_another:
            timestamp = min(used_at.values(), default=now)
            for role in self._block.catalog.memberships.settable(session_role):
                _check_version(transaction, role_version_key(role), timestamp)

    def _repeat(self, times: int) -> bool:
        """Run the DDL statement again that is all of the transaction; False if the client could tell."""
        assert self._block.progress.again is not None, "it can be repeated"
        again, _ = self._block.progress.again
        if self._sequences.made:
            self._sequences.undo()
        modes, self._block.progress = self._block.progress.modes, Progress()
        self._block.become(self._block.transaction, modes)
        self._block.forget_look()
        self._interrupts.resume()
        self._interrupts.pause(DDL_REPEAT_SECONDS * 2**times)
        same = again()
        self._interrupts.state = HELD
        return same

    def _replay(self) -> bool:
        catalog = self._block.catalog if self._block.has_looked else None
        self._block.forget_look()
        self._block.progress.deferred = {}
        self._block.progress.used_at.clear()
        self._block.become(self._block.transaction, self._block.progress.modes)
        self._interrupts.resume()
        same = self._block.catalog is catalog and self._recording.replay()
        self._interrupts.state = HELD
        return same


def _check_version(transaction: SessionTransaction, key: bytes, timestamp: int) -> None:
    """Have the commit fail if a catalog version has changed since a snapshot of the transaction's."""
    if timestamp == transaction.start_timestamp:
        transaction.check(key, Mode.CATALOG)
    else:
        transaction.check_since(key, Mode.CATALOG, timestamp)
