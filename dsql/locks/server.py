"""Takes advisory locks for the sessions of a process, and lets go of them: each change is a commit.

    take --granted--> held ... give up --the same commit gives it to who is next--> held by that
      '--in line--> wait: a notification, or a look now and then, shows that it is held

A process writes the `beat_key` of each of its sessions that has a lock, or waits for one, every
BEAT_SECONDS. Who is in somebody's way and has not been seen to beat for EXPIRY_SECONDS is taken for dead:
whoever waits takes it out of all locks and writes its `burial_key`. A process that could not beat for
FENCE_SECONDS, which is less, ends its sessions that have locks, so nobody believes to hold what another one
has by now. What a session commits fails if it was buried meanwhile, or before (`fence`).

All these times are elapsed ones, each by the clock of one process.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from adjudicator.client import NotificationFeed
from dsql.errors import FatalError, SqlError
from dsql.hub.waiter import NEVER, Activity, Waiter
from dsql.limits import CONNECTION_SECONDS_MAX
from dsql.locks.deadlock import deadlock_error, find_circle, is_victim
from dsql.locks.lock import (
    BURIAL,
    Claim,
    Lock,
    LockMode,
    Locks,
    Tag,
    beat_key,
    burial_key,
    decode,
    encode,
    lock_key,
    lock_range,
    owner_range,
    tag_of,
)
from dsql.transaction.interface import Mode, Notification, Transaction
from dsql.transaction.own_changes import commit_change

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
FENCE_SECONDS = 8.0
EXPIRY_SECONDS = 12.0  # one beat more than the fence and a move: that may fall between two beats
DEADLOCK_SECONDS = 1.0  # PostgreSQL's deadlock_timeout; as often it is seen whether others live
_BURIAL_MICROSECONDS = 2 * CONNECTION_SECONDS_MAX * 1_000_000  # longer than any session lives
_OBSERVED_MAX = 1_000
_PUBLISHED_SECONDS = 0.001  # between two looks whether a commit is published
_LOOK_SECONDS = 0.05  # between two looks at what may end a statement that waits
_CHANNEL = "\0lock"  # which no LISTEN can name
_BEAT_BYTES = 8

Result = TypeVar("Result")
Held = tuple[Tag, LockMode]
Spawn = Callable[[Callable[[], None]], Activity]


class Owner(Protocol):
    """A session that has locks, or waits for one; `owner` are 16 bytes that no other one has."""

    owner: bytes
    process_id: int

    def lost(self) -> None:
        """Its locks may be another one's: it has to end."""
        ...


class _Bell:
    """Wakes a session that waits when locks have changed hands."""

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter
        self._activity: Activity | None = waiter.current
        self.timestamp = 0  # of the last commit that rang

    def hear(self, timestamp: int, notification: Notification) -> None:
        """See `adjudicator.listening.Listener`."""
        del notification
        self.timestamp = timestamp
        self._waiter.wake(self._activity)

    def forgotten(self) -> None:
        """See Listener. Who waits looks now and then all the same."""


class LockServer:
    """One per process. `begin` returns a transaction without any write.

    `spawn` starts a task. Without one nothing beats, and who gives a lock up does so himself.
    """

    def __init__(
        self,
        begin: Callable[[], Transaction],
        waiter: Waiter,
        feed: NotificationFeed,
        spawn: Spawn | None,
    ) -> None:
        self._begin = begin
        self._waiter = waiter
        self._feed = feed
        self._spawn = spawn
        self._owners: dict[bytes, Owner] = {}
        self._tasks: list[Activity] | None = None  # which see to it that they live
        self._beaten_at = 0.0
        self._observed: dict[
            bytes, tuple[bytes | None, float]
        ] = {}  # others' beats, and since when
        self._gone: dict[int, int] = {}  # process ids of who has died, and by which timestamp

    # ------------------------------------------------------------ from sessions

    def enter(self, owner: Owner) -> None:
        """Beat for a session from now on."""
        if not self._owners:
            self._beaten_at = self._waiter.monotonic()
        self._owners[owner.owner] = owner
        if self._tasks is None and self._spawn is not None:
            tasks: list[Activity] = []
            self._tasks = tasks
            tasks.append(self._spawn(lambda: self._keep_beating(tasks)))
            tasks.append(self._spawn(lambda: self._keep_guard(tasks)))

    def leave(self, owner: bytes) -> None:
        """Do so no more."""
        self._owners.pop(owner, None)
        if not self._owners and self._tasks is not None:
            for task in self._tasks:
                self._waiter.wake(task)
            self._tasks = None

    def now(self) -> Locks:
        """Return all locks as they are."""
        transaction = self._begin()
        try:
            return read_locks(transaction)
        finally:
            transaction.rollback()

    def mourn(self, process_ids: Iterable[int]) -> None:
        """Sessions have ended with their process: what they have claimed before now is nobody's."""
        now = self._feed.latest()
        for process_id in process_ids:
            while len(self._gone) >= _OBSERVED_MAX:
                del self._gone[next(iter(self._gone))]
            self._gone[process_id] = now

    def claim(self, owner: Owner, mode: LockMode) -> Claim:
        """Return what a session wants of a lock."""
        return Claim(owner.owner, owner.process_id, mode, self._feed.latest())

    def try_to_take(self, tag: Tag, claim: Claim) -> bool:
        """Take a lock that nobody else has or waits for; return whether it was so."""
        return self._change(lambda found: self._ask(found, tag, claim, waits=False))

    def take(
        self,
        tag: Tag,
        claim: Claim,
        attend: Callable[[], None],
        wait_seconds: float,
        database: int,
    ) -> None:
        """Take a lock, after others if need be.

        Waits for so many seconds at most, inf for ever, calling `attend` meanwhile, which may raise. Raises
        SqlError 55P03 if that is not enough, 40P01 with the `database` in it, and what a commit raises. Who
        meets an error may stand in line, or have the lock.
        """
        bell = _Bell(self._waiter)
        self._feed.join(bell, claim.since)
        self._feed.listen(bell, _CHANNEL)
        try:
            if not self._change(lambda found: self._ask(found, tag, claim, waits=True)):
                self._await(tag, claim, bell, attend, wait_seconds, database)
        finally:
            self._feed.unlisten(bell, _CHANNEL)
            self._feed.leave(bell)

    def give_up(self, owner: bytes, held: Iterable[Held], *, last: bool) -> None:
        """Let go of locks, or places in line; with the `last` one nothing is left of the session.

        Nothing interrupts that. Raises what a commit raises.
        """

        def release(transaction: Transaction) -> None:
            for tag, mode in held:
                before = decode(transaction.get(lock_key(tag)))
                self._write(transaction, tag, before.released(owner, mode))
            if last:
                transaction.delete(beat_key(owner), Mode.EXCLUSIVE)

        self._apart(lambda: self._change(release))

    def _apart(self, work: Callable[[], None]) -> None:
        """Do work in a task of its own, where no interrupt of the session comes; wait for its end."""
        if self._spawn is None:
            work()
            return
        activity, ended = self._waiter.current, False
        failure: Exception | None = None

        def run() -> None:
            nonlocal failure, ended
            try:
                work()
            except Exception as error:
                failure = error
            finally:
                ended = True
                self._waiter.wake(activity)

        self._spawn(run)
        while not ended:
            self._waiter.wait(NEVER)
        if failure is not None:
            raise failure

    @staticmethod
    def fence(transaction: Transaction, owner: bytes) -> None:
        """Have the commit of a session that has locks fail if it is taken for dead by then.

        Raises FatalError 57P01 if it was before.
        """
        if transaction.get(burial_key(owner)) is not None:
            raise lost_error()
        transaction.check(burial_key(owner), Mode.CATALOG)

    # ------------------------------------------------------------ one lock

    def _ask(self, transaction: Transaction, tag: Tag, claim: Claim, *, waits: bool) -> bool:
        """Take a lock, or stand in line if the claim `waits`; return whether it is taken."""
        owner, key = claim.owner, lock_key(tag)
        if transaction.get(burial_key(owner)) is not None:
            raise lost_error()
        lock = decode(transaction.get(key))
        if lock.taken(claim) is None and self._bury(transaction, lock.blockers(claim)):
            lock = decode(transaction.get(key))
        taken = lock.taken(claim)
        if taken is not None or waits:
            self._write(transaction, tag, taken or lock.awaited(claim))
            transaction.check(burial_key(owner), Mode.SHARE)
            if transaction.get(beat_key(owner)) is None:
                transaction.put(beat_key(owner), os.urandom(_BEAT_BYTES), Mode.EXCLUSIVE)
        return taken is not None

    @staticmethod
    def _write(transaction: Transaction, tag: Tag, lock: Lock) -> None:
        """Write a lock, and ring for who has it now and had to wait."""
        key = lock_key(tag)
        before = decode(transaction.get(key))
        if lock == before:
            return
        value = encode(lock)
        if value is None:
            transaction.delete(key, Mode.EXCLUSIVE)
        else:
            transaction.put(key, value, Mode.EXCLUSIVE)
        if any(claim in before.line for claim in lock.holders):
            transaction.notify((0, _CHANNEL, ""))

    def _await(
        self,
        tag: Tag,
        claim: Claim,
        bell: _Bell,
        attend: Callable[[], None],
        wait_seconds: float,
        database: int,
    ) -> None:
        """Wait in line until the lock is the claim's."""
        now = self._waiter.monotonic
        deadline, examine_at = now() + wait_seconds, now() + DEADLOCK_SECONDS
        rung = bell.timestamp
        while True:
            until = min(deadline, examine_at)
            while bell.timestamp == rung and now() < until:
                self._waiter.wait(min(until, now() + _LOOK_SECONDS))
                attend()
            while (
                bell.timestamp > self._feed.latest()
            ):  # it is in the journal, and not published yet
                self._waiter.wait(now() + _PUBLISHED_SECONDS)
                attend()
            rung = bell.timestamp
            if self._has(tag, claim):
                return
            if now() >= deadline:
                raise SqlError("55P03", "canceling statement due to lock timeout")
            if now() >= examine_at:
                if self._examine(tag, claim, database):
                    return
                examine_at = now() + DEADLOCK_SECONDS

    def _has(self, tag: Tag, claim: Claim) -> bool:
        transaction = self._begin()
        try:
            lock = decode(transaction.get(lock_key(tag)))
            if not (lock.holds(claim.owner, claim.mode) or lock.waits(claim.owner)):
                raise lost_error()  # it was taken for dead
            return lock.holds(claim.owner, claim.mode)
        finally:
            transaction.rollback()

    def _examine(self, tag: Tag, claim: Claim, database: int) -> bool:
        """See why a lock is not ours yet; return whether it is now. Raises SqlError 40P01."""
        transaction = self._begin()
        try:
            circle = find_circle(read_locks(transaction), claim.owner)
        finally:
            transaction.rollback()
        if circle and is_victim(circle, claim.owner):
            raise deadlock_error(circle, database)
        return self._change(lambda found: self._ask(found, tag, claim, waits=True))

    # ------------------------------------------------------------ life and death

    def _keep_beating(self, tasks: list[Activity]) -> None:
        """Show now and then that the sessions live that have locks. One of these tasks."""
        while tasks is self._tasks:
            next_at = self._waiter.monotonic() + BEAT_SECONDS
            self.beat()
            while tasks is self._tasks and self._waiter.monotonic() < next_at:
                self._waiter.wait(next_at)

    def _keep_guard(self, tasks: list[Activity]) -> None:
        """End the sessions that have locks when others may have them soon: a commit may hang."""
        while tasks is self._tasks:
            self._waiter.wait(self.guard())

    def beat(self) -> None:
        """Show that the sessions live, if that is possible now, and end those that were taken for dead."""
        now = self._waiter.monotonic()
        try:
            lost = self._change(self._write_beats)
        except SqlError as error:
            logger.warning("locks cannot be kept", extra={"reason": error.message})
            return
        self._beaten_at = now
        for owner in lost:
            owner.lost()

    def guard(self) -> float:
        """End the sessions if they were not shown to live for too long; return when to look again."""
        now, fence_at = self._waiter.monotonic(), self._beaten_at + FENCE_SECONDS
        if now < fence_at:
            return fence_at
        for owner in list(self._owners.values()):
            owner.lost()
        return now + BEAT_SECONDS

    def _write_beats(self, transaction: Transaction) -> list[Owner]:
        """Return who was taken for dead."""
        lost = []
        for key, owner in list(self._owners.items()):
            if transaction.get(burial_key(key)) is not None:
                lost.append(owner)
            elif transaction.get(beat_key(key)) is not None:
                transaction.put(beat_key(key), os.urandom(_BEAT_BYTES), Mode.EXCLUSIVE)
        return lost

    def _bury(self, transaction: Transaction, suspects: Iterable[Claim]) -> bool:
        """Take those out of all locks who seem to be dead; return whether any does."""
        dead = {one.owner for one in suspects if self._seems_dead(transaction, one)}
        if not dead:
            return False
        for tag, lock in read_locks(transaction).items():
            for owner in dead:
                lock = lock.abandoned(owner)
            self._write(transaction, tag, lock)
        now = self._feed.latest()
        for owner in dead:
            transaction.delete(beat_key(owner), Mode.EXCLUSIVE)
            transaction.put(burial_key(owner), now.to_bytes(8, "big"), Mode.EXCLUSIVE)
        for key, value in list(transaction.scan(*owner_range())):
            if key.endswith(BURIAL) and int.from_bytes(value, "big") < now - _BURIAL_MICROSECONDS:
                transaction.delete(key, Mode.EXCLUSIVE)
        return True

    def _seems_dead(self, transaction: Transaction, claim: Claim) -> bool:
        owner = claim.owner
        if owner in self._owners:
            return False
        if claim.since < self._gone.get(claim.process_id, 0):
            return True  # and no later session of that number: it would have claimed later
        beat, now = transaction.get(beat_key(owner)), self._waiter.monotonic()
        observed = self._observed.get(owner)
        if observed is None or observed[0] != beat:
            while len(self._observed) >= _OBSERVED_MAX:
                del self._observed[next(iter(self._observed))]
            self._observed[owner] = beat, now
            return False
        return now - observed[1] > EXPIRY_SECONDS

    def _change(self, change: Callable[[Transaction], Result]) -> Result:
        return commit_change(self._begin, change, self._waiter)


def read_locks(transaction: Transaction) -> Locks:
    """Return all locks at a transaction's snapshot."""
    return {tag_of(key): decode(value) for key, value in list(transaction.scan(*lock_range()))}


def lost_error() -> FatalError:
    """Return what a session ends with whose locks another one may have."""
    return FatalError(
        "57P01",
        "terminating connection because its advisory locks were lost",
        detail="The session's process could not show in time that it lives.",
    )
