"""Sessions that wait for each other in a circle. Pure."""

from __future__ import annotations

from typing import NamedTuple

from dsql.errors import SqlError
from dsql.locks.lock import Claim, Locks, Tag, waiting


class Wait(NamedTuple):
    """A session that waits for a lock, and one that is in its way."""

    tag: Tag
    claim: Claim
    blocker: Claim


def find_circle(locks: Locks, owner: bytes) -> list[Wait]:
    """Return the waits that lead from a session back to itself, none if none do."""
    seen: set[bytes] = set()
    path: list[Wait] = []

    def leads_back(of: bytes) -> bool:
        for tag, claim in waiting(locks, of):
            for blocker in locks[tag].blockers(claim):
                path.append(Wait(tag, claim, blocker))
                if blocker.owner == owner:
                    return True
                if blocker.owner not in seen:
                    seen.add(blocker.owner)
                    if leads_back(blocker.owner):
                        return True
                path.pop()
        return False

    leads_back(owner)
    return path


def is_victim(circle: list[Wait], owner: bytes) -> bool:
    """Return whether a session has to give way: of each circle one does, who has waited longest.

    All find the same circle, at whatever time they look.
    """
    return min((wait.claim.since, wait.claim.owner) for wait in circle)[1] == owner


def deadlock_error(circle: list[Wait], database: int) -> SqlError:
    """Return what the victim is told, as PostgreSQL words it."""
    lines = [
        f"Process {wait.claim.process_id} waits for {wait.claim.mode.title} on advisory lock "
        f"[{database},{wait.tag.high},{wait.tag.low},{wait.tag.kind}]; "
        f"blocked by process {wait.blocker.process_id}."
        for wait in circle
    ]
    return SqlError(
        "40P01",
        "deadlock detected",
        detail="\n".join(lines),
        hint="See server log for query details.",
    )
