"""The leader's side of a journal, free of I/O: claiming an epoch, copying the log, committing.

Claiming: a candidate asks every replica to promise its epoch. With enough promises (a majority, and
enough to meet every write quorum) it is the only one that can append under this epoch, and it takes
over the most advanced log among the answers, by (last epoch, last sequence): whatever was committed
is in there. It appends a record of kind EPOCH; when that is committed, so is all before it, and the
leader is open. A record of an older epoch is never counted as committed by itself: it might still
be replaced by a log of a higher epoch.

Copying: each replica has a position. Frames of the recent window are sent straight from memory, older
ones are fetched from a replica that has them. Every new connection begins with the claim again; the
answer tells where that replica's log parts from ours, and copying goes on from there.

Only as many replicas as a commit needs get new frames at once, the *eager* ones: the nearest, and those
that have lately been ahead. The others get them with the next `catch_up`, many in one message and one
write. A message, a sync and an answer cost the same for one frame as for ten, and a third copy makes no
commit earlier, unless an eager replica is slow. Then it loses its place to the one that answers a
`catch_up` before it; the nearest gets its place back at the next `tick`, to show whether it still is slow.

Any sign of a higher promise deposes the leader for good; whoever wants to lead again starts anew.
"""

from __future__ import annotations

import enum
import logging
from collections import OrderedDict
from dataclasses import dataclass

from dsql.rpc.clock import Clock
from journal.codec import Append, Fetched
from journal.extent import EMPTY_LOG, LogExtent, common_prefix
from journal.messages import (
    AppendReply,
    AppendStatus,
    Claim,
    ClaimReply,
    Fetch,
    Record,
    RecordKind,
)
from journal.segment import Frame, make_frame

log = logging.getLogger(__name__)

WINDOW_BYTES = 32 * 1024 * 1024
FETCH_BYTES = 1024 * 1024
APPENDS_OUTSTANDING_MAX = 32  # to one replica, without an answer


class Phase(enum.Enum):
    """How far a leader has come."""

    CLAIMING = 0
    OPENING = 1  # elected; the EPOCH record is not committed yet
    OPEN = 2
    DEPOSED = 3


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


LeaderMessage = Claim | Append | Fetch
Send = tuple[int, LeaderMessage]  # replica, message


class _Follower:
    """What the leader knows of one replica. Sequences in terms of the leader's log."""

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
        self.extent: LogExtent | None = None
        self.matched = 0  # is on its disk
        self.next = 1  # is sent next
        self.outstanding = 0
        self.full = False  # its disk
        self.fetching: tuple[int, int] | None = None  # (from replica, from sequence)
        self.told_commit = 0
        self.checkpoint = 0
        self.stalled_at = -1

    def reset(self) -> None:
        self.joined = False
        self.outstanding = 0
        self.fetching = None
        self.stalled_at = -1


class Leader:
    """A candidate, then a leader, of one epoch of one journal.

    `floor` is the timestamp of the last record that was taken over; `commit` the last committed
    sequence; `retain_from` keeps records from being trimmed that this leader still wants to read;
    `full` is True while so many disks are full that nothing can be committed. `near` is the replica
    that is cheapest to reach.
    """

    def __init__(
        self,
        candidate: bytes,
        name: str,
        quorum: Quorum,
        clock: Clock,
        *,
        epoch: int = 1,
        near: int = 0,
    ) -> None:
        self.phase = Phase.CLAIMING
        self.epoch = epoch
        self.commit = 0
        self.floor = 0
        self.epoch_sequence = 0
        self.retain_from = 0
        self.full = False
        self._candidate = candidate
        self._name = name
        self._quorum = quorum
        self._clock = clock
        self._near = near
        self._followers = [_Follower() for _ in range(quorum.copies)]
        self._nearest_first = True
        self._eager: list[int] = []
        self._log = LogExtent(EMPTY_LOG)
        # Ordered: taking the first key off a dict walks over the places of all that went before it.
        self._window: OrderedDict[int, Frame] = OrderedDict()
        self._window_bytes = 0
        self._last_append: Append | None = None

    @property
    def last_sequence(self) -> int:
        """The last sequence given to a record."""
        return self._log.last

    @property
    def last_timestamp(self) -> int:
        """The last timestamp given to a record."""
        return self._log.last_timestamp

    @property
    def deposed(self) -> bool:
        """True once a higher epoch was seen. Nothing more will be committed by this leader."""
        return self.phase is Phase.DEPOSED

    def connected(self, replica: int) -> list[Send]:
        """A connection to a replica stands: claim on it."""
        follower = self._followers[replica]
        follower.connected = True
        follower.reset()
        return [] if self.deposed else [(replica, Claim(self.epoch, self._candidate))]

    def disconnected(self, replica: int) -> list[Send]:
        """A connection is lost; whoever waited for frames from there gets them elsewhere."""
        follower = self._followers[replica]
        follower.connected = False
        follower.reset()
        self._choose_eager()
        sends: list[Send] = []
        for index in self._eager:
            sends += self._pump(index)
        for index, waiting in enumerate(self._followers):
            if waiting.fetching is not None and waiting.fetching[0] == replica:
                waiting.fetching = None
                sends += self._pump(index)
        return sends

    def step(self, replica: int, message: ClaimReply | AppendReply | Fetched) -> list[Send]:
        """Handle a replica's answer."""
        if self.deposed:
            return []
        if isinstance(message, AppendReply):
            return self._appended(replica, message)
        if isinstance(message, ClaimReply):
            return self._claimed(replica, message)
        return self._fetched(replica, message)

    def append(self, entries: list[tuple[int, int, bytes]]) -> list[Send]:
        """Append records, given as (timestamp, kind, payload), as one frame.

        Call `catch_up` some milliseconds later.
        """
        assert self.phase in (Phase.OPENING, Phase.OPEN), "only an elected leader appends"
        epoch = self.epoch
        sequence = self._log.last
        records = []
        for timestamp, kind, payload in entries:
            sequence += 1
            records.append(Record(sequence, epoch, timestamp, kind, payload))
        frame = make_frame(records)
        self._log.add(frame)
        self._remember(frame)
        sends: list[Send] = []
        for index in self._eager:
            sends += self._pump(index)
        return sends

    def catch_up(self) -> list[Send]:
        """Send to every replica what it lacks, be it only the commit index."""
        sends: list[Send] = []
        for index in range(self._quorum.copies):
            sends += self._pump(index)
            sends += self.notice(index)
        return sends

    def notice(self, replica: int) -> list[Send]:
        """Tell the commit index to a replica that does not know it yet."""
        follower = self._followers[replica]
        if not follower.joined or follower.told_commit >= self.commit:
            return []
        follower.told_commit = self.commit
        return [(replica, self._make_append(follower.next - 1, []))]

    def tick(self) -> list[Send]:
        """Claim again where an answer is overdue. Called every second or so: two ticks make overdue."""
        sends: list[Send] = []
        if not self._nearest_first:
            self._nearest_first = True
            self._choose_eager()
        for index, follower in enumerate(self._followers):
            if not follower.connected or self.deposed:
                continue
            waiting = not follower.joined or follower.matched < self._log.last
            if waiting and follower.stalled_at == follower.matched:
                sends += self.connected(index)
            follower.stalled_at = follower.matched if waiting else -1
        return sends

    # Claiming

    def _claimed(self, replica: int, reply: ClaimReply) -> list[Send]:
        if not reply.granted:
            return self._refused(max(reply.promised, reply.epoch))
        if reply.epoch != self.epoch:
            return []
        follower = self._followers[replica]
        follower.joined = True
        follower.extent = LogExtent(reply.extent)
        follower.checkpoint = max(follower.checkpoint, reply.extent.checkpoint)
        if self.phase is Phase.CLAIMING:
            if sum(other.joined for other in self._followers) < self._quorum.claims:
                return []
            return self._take_over()
        return self._join(replica)

    def _refused(self, promised: int) -> list[Send]:
        if promised < self.epoch:
            return []
        if self.phase is not Phase.CLAIMING:
            log.info("epoch %d of %s is over: %d is promised", self.epoch, self._name, promised)
            self.phase = Phase.DEPOSED
            return []
        self.epoch = promised + 1
        sends: list[Send] = []
        for index, follower in enumerate(self._followers):
            if follower.connected:
                sends += self.connected(index)
        return sends

    def _take_over(self) -> list[Send]:
        extents = [follower.extent for follower in self._followers if follower.joined]
        best = max(
            (extent for extent in extents if extent is not None),
            key=lambda extent: (extent.last_epoch, extent.last),
        )
        self._log = LogExtent(best.describe(0))
        self.floor = best.last_timestamp
        self.phase = Phase.OPENING
        sends: list[Send] = []
        for index, follower in enumerate(self._followers):
            if follower.joined:
                sends += self._join(index)
        self.epoch_sequence = self._log.last + 1
        timestamp = max(self._clock.now(), self._log.last_timestamp + 1)
        return sends + self.append([(timestamp, RecordKind.EPOCH, self._name.encode())])

    def _join(self, replica: int) -> list[Send]:
        follower = self._followers[replica]
        assert follower.extent is not None
        follower.matched = common_prefix(self._log, follower.extent)
        follower.next = follower.matched + 1
        follower.told_commit = 0
        self._choose_eager()
        self._advance()
        return self._pump(replica)

    # Copying

    def _pump(self, replica: int) -> list[Send]:
        """Send what a replica lacks, as far as it may be sent now."""
        follower = self._followers[replica]
        sends: list[Send] = []
        while (
            follower.joined
            and follower.next <= self._log.last
            and follower.fetching is None
            and follower.outstanding < APPENDS_OUTSTANDING_MAX
        ):
            frames = self._recent(follower.next)
            if not frames:
                return sends + self._fetch_for(follower)
            sends.append((replica, self._send_frames(follower, frames)))
        return sends

    def _recent(self, sequence: int) -> list[Frame]:
        """Return the frames of the window from `sequence` on, about FETCH_BYTES of them."""
        frames: list[Frame] = []
        size = 0
        while size < FETCH_BYTES and (frame := self._window.get(sequence)) is not None:
            frames.append(frame)
            size += len(frame.data)
            sequence = frame.last + 1
        return frames

    def _choose_eager(self) -> None:
        """Have the next frames sent at once to as many replicas as it takes, the best ones."""
        followers = self._followers
        joined = [index for index, follower in enumerate(followers) if follower.joined]
        joined.sort(key=self._worth)
        self._eager = joined[: self._quorum.writes]

    def _worth(self, replica: int) -> tuple[bool, bool, int]:
        follower = self._followers[replica]
        first = self._nearest_first and replica == self._near
        return follower.full, not first, -follower.matched

    def _send_frames(self, follower: _Follower, frames: list[Frame]) -> Append:
        message = self._make_append(follower.next - 1, frames)
        follower.next = frames[-1].last + 1
        follower.outstanding += 1
        follower.told_commit = self.commit
        return message

    def _make_append(self, previous: int, frames: list[Frame]) -> Append:
        last = self._last_append
        if (
            last is not None
            and last.previous_sequence == previous
            and last.commit == self.commit
            and last.frames == frames
        ):
            return last  # the same object for all replicas: it is encoded once
        epoch = self._log.epoch_at(previous)
        made = Append(self.epoch, previous, epoch, self.commit, self._trim_before(), frames)
        self._last_append = made
        return made

    def _fetch_for(self, follower: _Follower) -> list[Send]:
        for index, source in enumerate(self._followers):
            if source.joined and source.matched >= follower.next:
                follower.fetching = (index, follower.next)
                return [(index, Fetch(follower.next, FETCH_BYTES))]
        return []

    def _fetched(self, replica: int, fetched: Fetched) -> list[Send]:
        # A source may hold more than it shares with us: frames that it still has to cut off.
        shared = self._followers[replica].matched
        frames = [frame for frame in fetched.frames if frame.last <= shared]
        sends: list[Send] = []
        for index, follower in enumerate(self._followers):
            if follower.fetching == (replica, fetched.from_sequence):
                follower.fetching = None
                if frames and frames[0].first == follower.next:
                    sends.append((index, self._send_frames(follower, frames)))
                    sends += self._pump(index)
        return sends

    def _remember(self, frame: Frame) -> None:
        window = self._window
        window[frame.first] = frame
        self._window_bytes += len(frame.data)
        while self._window_bytes > WINDOW_BYTES:
            oldest = window[next(iter(window))]
            if oldest.last > self.commit:
                break  # nobody else may have it yet
            del window[oldest.first]
            self._window_bytes -= len(oldest.data)

    def _trim_before(self) -> int:
        kept = min(follower.checkpoint for follower in self._followers) + 1
        return min(kept, self.retain_from)

    # Committing

    def _appended(self, replica: int, reply: AppendReply) -> list[Send]:
        if reply.status == AppendStatus.FENCED:
            return self._refused(reply.promised)
        follower = self._followers[replica]
        if reply.epoch != self.epoch or not follower.joined:
            return []
        follower.checkpoint = max(follower.checkpoint, reply.checkpoint)
        if reply.status == AppendStatus.MISMATCH:
            return self.connected(replica)
        follower.outstanding = max(0, follower.outstanding - 1)
        full = reply.status == AppendStatus.FULL
        if full != follower.full:
            follower.full = full
            writable = sum(not other.full for other in self._followers)
            self.full = writable < self._quorum.writes
            self._choose_eager()
        if full:
            return []  # `tick` tries again
        if reply.sequence > follower.matched:
            follower.matched = reply.sequence
            self._advance()
        if replica in self._eager:
            return self._pump(replica) if follower.next <= self._log.last else []
        if any(self._followers[index].matched < reply.sequence for index in self._eager):
            self._nearest_first = False
            self._choose_eager()  # one of them is slower than this one, which was asked later
        return []

    def _advance(self) -> None:
        matched = sorted((follower.matched for follower in self._followers), reverse=True)
        reached = matched[self._quorum.writes - 1]
        if self.epoch_sequence and reached >= max(self.epoch_sequence, self.commit + 1):
            self.commit = reached
            if self.phase is Phase.OPENING:
                self.phase = Phase.OPEN
