"""What the functions for advisory locks do with those of their session (`dsql.locks`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dsql.catalog.wait_events import ADVISORY_LOCK, ON_CPU
from dsql.locks.lock import Claim, LockMode, Tag
from dsql.locks.session import SessionLocks

if TYPE_CHECKING:
    from dsql.session.state import SessionState


class Entry(NamedTuple):
    """A lock of a session, or one that it waits for, behind the `blockers`."""

    tag: Tag
    claim: Claim
    granted: bool
    blockers: tuple[Claim, ...]


def locks_of(state: SessionState) -> SessionLocks:
    """Return a session's locks, made with the first one."""
    found = state.block.locks
    if found is None:
        server = state.environment.locks
        assert server is not None, "the profile has no locks where there is no server of them"
        found = SessionLocks(server, state.client.process_id, state.interrupts.end)
        state.block.locks = found
    return found


def take(
    state: SessionState, tag: Tag, *, shared: bool, for_transaction: bool, waits: bool
) -> bool:
    """Take a lock; return whether it was taken. Raises SqlError 55P03, 40P01."""
    mode = LockMode.SHARE if shared else LockMode.EXCLUSIVE
    statement = state.block.transaction.statement if for_transaction else None
    locks, taken = locks_of(state), True
    if waits:
        seconds = state.settings.lock_timeout_seconds or math.inf
        database = state.block.catalog.database.oid
        state.interrupts.wait_event = ADVISORY_LOCK
        try:
            locks.take(tag, mode, statement, state.interrupts.attend, seconds, database)
        finally:
            state.interrupts.wait_event = ON_CPU
    else:
        taken = locks.try_to_take(tag, mode, statement)
    if taken:
        state.block.look_anew()  # at what was committed under the lock
    return taken


def give_up(state: SessionState, tag: Tag, *, shared: bool) -> bool:
    """Give up a lock of the session's own; return whether it had it. Who had not is warned."""
    mode = LockMode.SHARE if shared else LockMode.EXCLUSIVE
    had = locks_of(state).give_up(tag, mode)
    if not had:
        state.notice("WARNING", "01000", f"you don't own a lock of type {mode.title}")
    return had


def give_all_up(state: SessionState) -> None:
    """Give up all of the session's own."""
    if state.block.locks is not None:
        state.block.locks.give_all_up()


def entries(state: SessionState) -> Iterator[Entry]:
    """Yield who has which lock now, whatever the statement's snapshot, and who waits for it."""
    server = state.environment.locks
    for tag, lock in (server.now() if server is not None else {}).items():
        for claim in lock.holders:
            yield Entry(tag, claim, True, ())
        for claim in lock.line:
            yield Entry(tag, claim, False, tuple(lock.blockers(claim)))
