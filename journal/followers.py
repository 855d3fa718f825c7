"""What a leader knows of its replicas, free of I/O: who has what, who counts, who gets frames first.

Only as many replicas as a commit needs get new frames at once, the *eager* ones: the nearest, and those
that have lately been ahead. The others get them with the leader's next `catch_up`, many in one message and
one write. A message, a sync and an answer cost the same for one frame as for ten, and a third copy makes no
commit earlier, unless an eager replica is slow. Then it loses its place to the one that answers a
`catch_up` before it; the nearest gets its place back at the next tick, to show whether it still is slow.
"""

from __future__ import annotations

from dataclasses import dataclass

from journal.extent import EMPTY_LOG, LogExtent


@dataclass(slots=True, frozen=True)
class Quorum:
    """How many copies there are, and how many must have a record before it counts as committed."""

    copies: int = 3
    writes: int = 2

    def __post_init__(self) -> None:
        if not self.copies // 2 < self.writes <= self.copies:
            raise ValueError("a write quorum is a majority of the copies")

    @property
    def claims(self) -> int:
        """Promises that make a leader: a majority, which also meets every write quorum."""
        return max(self.copies - self.writes, self.copies // 2) + 1


class Follower:
    """One replica. Sequences in terms of the leader's log."""

    __slots__ = (
        "checkpoint",
        "connected",
        "extent",
        "fetching",
        "full",
        "joined",
        "matched",
        "next",
        "outstanding",
        "stalled_at",
        "told_commit",
    )

    def __init__(self) -> None:
        self.connected = False
        self.joined = False  # has promised our epoch on this connection
        self.extent = LogExtent(EMPTY_LOG)  # when it joined
        self.matched = 0  # is on its disk
        self.next = 1  # is sent next
        self.outstanding = 0
        self.full = False  # its disk
        self.fetching: tuple[int, int] | None = None  # (from replica, from sequence)
        self.told_commit = 0
        self.checkpoint = 0
        self.stalled_at = -1

    def reset(self) -> None:
        """Forget what only the last claim's answer, or the last connection, has told."""
        self.joined = False
        self.outstanding = 0
        self.fetching = None
        self.stalled_at = -1


class Followers:
    """All replicas of one journal: `every` by index, `eager` the indexes of those asked at once."""

    def __init__(self, quorum: Quorum, near: int) -> None:
        self.quorum = quorum
        self.every = [Follower() for _ in range(quorum.copies)]
        self.eager: list[int] = []
        self._near = near
        self._nearest_first = True

    @property
    def joined(self) -> list[int]:
        """Those that have promised the leader's epoch."""
        return [index for index, follower in enumerate(self.every) if follower.joined]

    @property
    def too_full(self) -> bool:
        """True while so many disks are full that no write quorum is left."""
        return sum(not follower.full for follower in self.every) < self.quorum.writes

    @property
    def checkpoint(self) -> int:
        """Every AZ's storage has the records up to here."""
        return min(follower.checkpoint for follower in self.every)

    def elect(self) -> bool:
        """Return whether there are promises enough to lead."""
        return len(self.joined) >= self.quorum.claims

    def most_advanced(self) -> LogExtent:
        """Return the log that has everything that may have been committed."""
        return max(
            (self.every[index].extent for index in self.joined),
            key=lambda extent: (extent.last_epoch, extent.last),
        )

    def reached(self) -> int:
        """Return the last sequence that a write quorum has on disk."""
        matched = sorted([follower.matched for follower in self.every], reverse=True)
        return matched[self.quorum.writes - 1]

    def choose_eager(self) -> None:
        """Have the next frames sent at once to as many replicas as it takes, the best ones."""
        self.eager = sorted(self.joined, key=self._worth)[: self.quorum.writes]

    def retry_nearest(self) -> None:
        """Give the nearest its place back, if it has lost it."""
        if not self._nearest_first:
            self._nearest_first = True
            self.choose_eager()

    def overtaken(self, sequence: int) -> None:
        """Choose anew if an eager one is slower than the one that has `sequence`, asked later."""
        if any(self.every[index].matched < sequence for index in self.eager):
            self._nearest_first = False
            self.choose_eager()

    def source(self, sequence: int) -> int | None:
        """Return a replica from which a record of the leader's log can be fetched."""
        for index in self.joined:
            if self.every[index].matched >= sequence:
                return index
        return None

    def _worth(self, replica: int) -> tuple[bool, bool, int]:
        follower = self.every[replica]
        first = self._nearest_first and replica == self._near
        return follower.full, not first, -follower.matched
