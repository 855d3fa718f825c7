"""One advisory lock: who holds it, who waits, and who gets it next. Pure.

A lock is the value of one key, which is there as long as anybody holds it or waits for it. Whoever changes
it reads it, makes a new value and commits that; of two who do so at once one meets a conflict and begins
again. So a lock passes from one state to the next as if by one hand, whatever becomes of leaders and zones.

Who waits stands in line, as in PostgreSQL: nobody gets a lock before those who came earlier and would be in
his way, unless he holds it in another mode already. Who lets go gives it to those whose turn it is.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterator
from typing import Annotated, NamedTuple

import msgspec

from dsql.encoding.keyspace import keyspace_range, prefix

_LOCKS = 60  # keyspaces that are no part of the catalog
_OWNERS = 61
_tag = struct.Struct(">IIB")
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

OWNER_BYTES = 16
BURIAL = b"\1"  # how a burial_key ends


class LockMode(enum.IntEnum):
    """Two exclude each other unless both are SHARE."""

    EXCLUSIVE = 0
    SHARE = 1

    @property
    def title(self) -> str:
        """What PostgreSQL calls it."""
        return "ExclusiveLock" if self is LockMode.EXCLUSIVE else "ShareLock"


class Tag(NamedTuple):
    """What is locked: `kind` 1 for one bigint, in halves, 2 for two integers, all unsigned here."""

    high: int
    low: int
    kind: int


class Claim(msgspec.Struct, array_like=True, frozen=True):
    """What a session holds, or waits for: `owner` are 16 bytes that name it, `since` is in microseconds."""

    owner: bytes
    process_id: int
    mode: LockMode
    since: _Count


class Lock(msgspec.Struct, array_like=True, frozen=True):
    """`holders` have it; `line` are those who wait, the first first. A session stands once in each mode."""

    holders: tuple[Claim, ...] = ()
    line: tuple[Claim, ...] = ()

    def holds(self, owner: bytes, mode: LockMode) -> bool:
        """Return whether a session has it in a mode."""
        return any(one.owner == owner and one.mode == mode for one in self.holders)

    def waits(self, owner: bytes) -> bool:
        """Return whether a session stands in line."""
        return any(one.owner == owner for one in self.line)

    def blockers(self, claim: Claim) -> list[Claim]:
        """Return who is in the way of a claim: who holds it, and who stands before it in line."""
        before = []
        for one in self.line:
            if (one.owner, one.mode) == (claim.owner, claim.mode):
                break
            before.append(one)
        if any(one.owner == claim.owner for one in self.holders):
            before = []  # nobody has to wait for those who wait for himself
        return [one for one in (*self.holders, *before) if _excludes(one, claim)]

    def taken(self, claim: Claim) -> Lock | None:
        """Return the lock once the claim is granted, None if it has to wait."""
        if self.holds(claim.owner, claim.mode):
            return self
        return None if self.blockers(claim) else Lock((*self.holders, claim), self.line)

    def awaited(self, claim: Claim) -> Lock:
        """Return the lock with a claim at the end of the line, where it stands once."""
        return self if self.waits(claim.owner) else Lock(self.holders, (*self.line, claim))

    def released(self, owner: bytes, mode: LockMode) -> Lock:
        """Return the lock without what a session holds of it in a mode, or waits for."""
        return self._without(lambda one: one.owner == owner and one.mode == mode)

    def abandoned(self, owner: bytes) -> Lock:
        """Return the lock without a session."""
        return self._without(lambda one: one.owner == owner)

    def _without(self, goes: Callable[[Claim], bool]) -> Lock:
        holders = tuple(one for one in self.holders if not goes(one))
        line = tuple(one for one in self.line if not goes(one))
        found = Lock(holders, line)
        for claim in line:
            if not found.blockers(claim):
                rest = tuple(one for one in found.line if one is not claim)
                found = Lock((*found.holders, claim), rest)
        return found


def _excludes(one: Claim, other: Claim) -> bool:
    both_share = one.mode == other.mode == LockMode.SHARE
    return one.owner != other.owner and not both_share


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Lock).decode
FREE = Lock()


def encode(lock: Lock) -> bytes | None:
    """Return what is stored of a lock, None for one that nobody has or wants."""
    return None if lock == FREE else _encode(lock)


def decode(value: bytes | None) -> Lock:
    """Return a stored lock."""
    return FREE if value is None else _decode(value)


def lock_key(tag: Tag) -> bytes:
    """Return where a lock is stored."""
    return prefix(_LOCKS) + _tag.pack(*tag)


def lock_range() -> tuple[bytes, bytes]:
    """Return the range of all of these keys."""
    return keyspace_range(_LOCKS)


def tag_of(key: bytes) -> Tag:
    """Return what is locked by a key."""
    return Tag(*_tag.unpack(key[-_tag.size :]))


def beat_key(owner: bytes) -> bytes:
    """Return the key that a session's process writes now and then, to show that it lives."""
    return prefix(_OWNERS) + owner + b"\0"


def burial_key(owner: bytes) -> bytes:
    """Return the key that is written when a session is taken for dead: it has no lock any more."""
    return prefix(_OWNERS) + owner + BURIAL


def owner_range() -> tuple[bytes, bytes]:
    """Return the range of both kinds of keys, of all sessions."""
    return keyspace_range(_OWNERS)


Locks = dict[Tag, Lock]


def waiting(locks: Locks, owner: bytes) -> Iterator[tuple[Tag, Claim]]:
    """Yield what a session waits for: one lock at most, unless it has died."""
    for tag, lock in locks.items():
        for claim in lock.line:
            if claim.owner == owner:
                yield tag, claim
