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

_VOUCHED_FOR_MAX = 2  # the own promise, and one other


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

    @property
    def witnesses(self) -> int:
        """So many of the others meet every quorum of promises that a replica was part of."""
        return self.copies - self.claims + 1


class Follower:
    """One replica. Sequences in terms of the leader's log."""

    __slots__ = (
        "behind_own",
        "checkpoint",
        "connected",
        "extent",
        "fetching",
        "full",
        "joined",
        "lost",
        "lost_in",
        "matched",
        "next",
        "outstanding",
        "promised_in",
        "restore_to",
        "round",
        "stalled_at",
        "told_commit",
        "unreadable",
    )

    def __init__(self) -> None:
        self.connected = False
        self.joined = False  # has promised our epoch on this connection
        self.promised_in = 0  # the round in which it did
        self.behind_own = False  # it has stood by us when the candidate's own replica did
        self.round = 0  # the newest one that it has answered
        self.lost = False  # does not count
        self.lost_in = 0  # the round before the one that began when it said so on this connection
        self.restore_to = 0  # our log's end then
        self.extent = LogExtent(EMPTY_LOG)  # when it joined
        self.matched = 0  # is on its disk
        self.next = 1  # is sent next
        self.outstanding = 0
        self.full = False  # its disk
        self.fetching: tuple[int, int] | None = None  # (from replica, from sequence)
        self.told_commit = 0
        self.checkpoint = 0
        self.stalled_at = -1
        self.unreadable = 0  # a record that it could not give when it was asked last

    def reset(self) -> None:
        """Forget what only the last claim's answer, or the last connection, has told."""
        self.joined = False
        self.behind_own = False
        self.round = 0
        self.outstanding = 0
        self.fetching = None
        self.stalled_at = -1


class Followers:
    """All replicas of one journal: `every` by index, `eager` the indexes of those asked at once."""

    def __init__(self, quorum: Quorum, own: int | None) -> None:
        """`own`: the replica in the leader's own process; None if there is none."""
        self.quorum = quorum
        self.every = [Follower() for _ in range(quorum.copies)]
        self.eager: list[int] = []
        self._own = own
        self._own_round = 0  # in which the own replica was asked, if it was
        self._near = own or 0
        self._nearest_first = True

    @property
    def joined(self) -> list[int]:
        """Those that have promised the leader's epoch."""
        return [index for index, follower in enumerate(self.every) if follower.joined]

    @property
    def voters(self) -> list[Follower]:
        """Those whose promise of the leader's epoch counts."""
        return [follower for follower in self.every if follower.joined and not follower.lost]

    @property
    def too_full(self) -> bool:
        """True while disks are full and no write quorum is left without them."""
        usable = sum(not (follower.full or follower.lost) for follower in self.every)
        return usable < self.quorum.writes and any(follower.full for follower in self.every)

    @property
    def enough(self) -> bool:
        """True while as many as a commit needs are in reach and count."""
        return len(self.voters) >= self.quorum.writes

    @property
    def wants_nearest(self) -> bool:
        """True while the nearest has lost its place."""
        return not self._nearest_first

    @property
    def any_lost(self) -> bool:
        """True while a replica is not whole."""
        return any(follower.lost for follower in self.every)

    @property
    def too_lost(self) -> bool:
        """True while so many are lost that nobody can be elected."""
        whole = sum(not follower.lost for follower in self.every)
        return whole < self.quorum.claims

    @property
    def checkpoint(self) -> int:
        """Every AZ's storage has the records up to here."""
        return min(follower.checkpoint for follower in self.every)

    def begins_own(self, replica: int) -> bool:
        """Return whether to ask this replica is to ask the own one for its promise."""
        return replica == self._own and not self.every[replica].joined

    def asked(self, replica: int, round_: int) -> None:
        """A claim of a round is sent. The own one is the first of its round."""
        if self.begins_own(replica):
            self._forget_own()
            self._own_round = round_
        self.every[replica].reset()

    def answered(self, replica: int, round_: int) -> None:
        """A replica stands by us, as it says in answer to a claim of a round.

        The answer may have been under way for long: only the round tells which claim it belongs to.
        """
        follower = self.every[replica]
        follower.round = max(follower.round, round_)
        follower.behind_own |= 0 < self._own_round <= round_

    def disconnected(self, replica: int) -> None:
        """A connection is lost."""
        self.every[replica].connected = False
        self.every[replica].reset()
        if replica == self._own:
            self._forget_own()
        self.choose_eager()

    def _forget_own(self) -> None:
        """The own promise begins anew, or ends: what came behind the former one is no more."""
        self._own_round = 0
        for follower in self.every:
            follower.behind_own = False

    @property
    def vouched(self) -> bool:
        """True if the own replica's promise has stood since before the others that elect were asked for."""
        if self._own is None or self.every[self._own] not in self.voters:
            return False
        behind = sum(voter.behind_own for voter in self.voters)  # the own one among them
        return self.quorum.claims <= min(behind, _VOUCHED_FOR_MAX)

    def confirmed(self, round_: int) -> bool:
        """Return whether enough have promised before a round began and said so again in it."""
        voters = [f for f in self.voters if f.promised_in < round_ == f.round]
        return len(voters) >= self.quorum.claims

    def wants_round(self, round_: int) -> bool:
        """Return whether enough have promised, and too few of them before this round began."""
        voters = self.voters
        early = sum(follower.promised_in < round_ for follower in voters)
        return early < self.quorum.claims <= len(voters)

    def may_restore(self, follower: Follower, epoch_sequence: int) -> bool:
        """Return whether a lost replica has all that is needed to count again, and enough stand by us."""
        if not (follower.lost and follower.joined) or follower.matched < epoch_sequence:
            return False
        witnesses = sum(voter.round > follower.lost_in for voter in self.voters)
        return follower.matched >= follower.restore_to and witnesses >= self.quorum.witnesses

    def most_advanced(self) -> LogExtent:
        """Return the log that has everything that may have been committed."""
        extents = [follower.extent for follower in self.voters]
        return max(extents, key=lambda extent: (extent.last_epoch, extent.last))

    def reached(self) -> int:
        """Return the last sequence that a write quorum has on disk."""
        matched = sorted([0 if f.lost else f.matched for f in self.every], reverse=True)
        return matched[self.quorum.writes - 1]

    def choose_eager(self) -> None:
        """Have the next frames sent at once to as many replicas as it takes, the best ones."""
        counting = [index for index in self.joined if not self.every[index].lost]
        self.eager = sorted(counting, key=self._worth)[: self.quorum.writes]

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
        able = [index for index in self.joined if self.every[index].matched >= sequence]
        return min(able, key=lambda index: self.every[index].unreadable == sequence, default=None)

    def _worth(self, replica: int) -> tuple[bool, bool, int]:
        follower = self.every[replica]
        first = self._nearest_first and replica == self._near
        return follower.full, not first, -follower.matched
