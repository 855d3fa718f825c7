"""The advisory locks of one session: what it has of each, for itself or for its transaction.

The cluster knows that a session has a lock in a mode (`dsql.locks.server`); how often it has taken it, and
until when, only the session does. What its transaction has taken goes with that, or with the savepoint
behind which it was taken.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from typing import Annotated

import msgspec

from dsql.errors import FatalError, SqlError
from dsql.locks.lock import OWNER_BYTES, LockMode, Tag
from dsql.locks.server import Held, LockServer, lost_error
from dsql.transaction.interface import Transaction

logger = logging.getLogger(__name__)

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class LocksRecord(msgspec.Struct, array_like=True, frozen=True):
    """A session's locks, for another process: how often it has taken each, and in which statements."""

    owner: Annotated[bytes, msgspec.Meta(min_length=OWNER_BYTES, max_length=OWNER_BYTES)]
    session: tuple[tuple[Tag, LockMode, _Count], ...]
    transaction: tuple[tuple[Tag, LockMode, _Count], ...]


class SessionLocks:
    """See the module. It is a `dsql.locks.server.Owner`; `end` ends the session with an error."""

    __slots__ = ("_end", "_server", "_session", "_transaction", "owner", "process_id")

    def __init__(
        self, server: LockServer, process_id: int, end: Callable[[FatalError], None]
    ) -> None:
        self.owner = os.urandom(OWNER_BYTES)
        self.process_id = process_id
        self._server = server
        self._end = end
        self._session: Counter[Held] = Counter()
        self._transaction: list[tuple[Held, int]] = []  # with the statement that has taken it

    def lost(self) -> None:
        """See Owner."""
        self._end(lost_error())

    @property
    def any(self) -> bool:
        """Whether the session has a lock."""
        return bool(self._session) or bool(self._transaction)

    # ------------------------------------------------------------ from statements

    def try_to_take(self, tag: Tag, mode: LockMode, statement: int | None) -> bool:
        """Take a lock if that is possible at once; return whether it was.

        `statement`: its transaction's; None: the session has it until it gives it up.
        """
        return self._take(
            (tag, mode),
            statement,
            lambda: self._server.try_to_take(tag, self._server.claim(self, mode)),
        )

    def take(
        self,
        tag: Tag,
        mode: LockMode,
        statement: int | None,
        attend: Callable[[], None],
        wait_seconds: float,
        database: int,
    ) -> None:
        """Take a lock: see `LockServer.take`."""

        def wait() -> bool:
            claim = self._server.claim(self, mode)
            self._server.take(tag, claim, attend, wait_seconds, database)
            return True

        self._take((tag, mode), statement, wait)

    def _take(self, held: Held, statement: int | None, take: Callable[[], bool]) -> bool:
        if not self._has(held) and not self._ask(held, take):
            return False
        if statement is None:
            self._session[held] += 1
        else:
            self._transaction.append((held, statement))
        return True

    def _ask(self, held: Held, take: Callable[[], bool]) -> bool:
        """Take what the session has in no way yet; return whether it has it now."""
        if not self.any:
            self._server.enter(self)
        try:
            taken = take()
        except BaseException:
            self._forget([held])
            raise
        if not taken and not self.any:
            self._server.leave(self.owner)
        return taken

    def give_up(self, tag: Tag, mode: LockMode) -> bool:
        """Give up one of the session's own; return whether it has it."""
        held = tag, mode
        if not self._session[held]:
            del self._session[held]
            return False
        self._session[held] -= 1
        if not self._session[held]:
            del self._session[held]
            self._forget([held])
        return True

    def give_all_up(self) -> None:
        """Give up all of the session's own."""
        gone = list(self._session)
        self._session.clear()
        self._forget(gone)

    # ------------------------------------------------------------ from the session

    def fence(self, transaction: Transaction) -> None:
        """Have a commit fail if the locks are another one's by then. Raises FatalError 57P01."""
        if self.any:
            self._server.fence(transaction, self.owner)

    def end_transaction(self) -> None:
        """The transaction is over, and with it what it had."""
        if self._transaction:
            gone = [held for held, _ in self._transaction]
            self._transaction.clear()
            self._forget(gone)

    def rewind(self, statement: int) -> None:
        """Give up what the transaction has taken in this statement and later ones."""
        gone = [held for held, taken in self._transaction if taken >= statement]
        self._transaction = [one for one in self._transaction if one[1] < statement]
        self._forget(gone)

    def close(self) -> None:
        """The session ends."""
        gone = [*self._session, *(held for held, _ in self._transaction)]
        self._session.clear()
        self._transaction.clear()
        self._forget(gone)

    # ------------------------------------------------------------ moves

    def record(self) -> LocksRecord | None:
        """Return them for another process; this one shows no more that the session lives."""
        if not self.any:
            return None
        self._server.leave(self.owner)
        return LocksRecord(
            self.owner,
            tuple((*held, count) for held, count in self._session.items()),
            tuple((*held, statement) for held, statement in self._transaction),
        )

    def take_up(self, record: LocksRecord) -> None:
        """Become what another process had."""
        self.owner = record.owner
        self._session.update({(tag, mode): count for tag, mode, count in record.session})
        self._transaction = [((tag, mode), number) for tag, mode, number in record.transaction]
        self._server.enter(self)

    # ------------------------------------------------------------ inside

    def _has(self, held: Held) -> bool:
        return self._session.get(held, 0) > 0 or any(one == held for one, _ in self._transaction)

    def _forget(self, gone: list[Held]) -> None:
        """Let go of what the session has no more in any way."""
        gone = [held for held in dict.fromkeys(gone) if not self._has(held)]
        last = not self.any
        try:
            if gone:
                self._server.give_up(self.owner, gone, last=last)
        except SqlError as error:
            # Nobody gets them as long as nothing can be committed. Then the session has to go for it.
            logger.warning("locks cannot be given up", extra={"reason": error.message})
            self._end(lost_error())
        if last:
            self._server.leave(self.owner)
