"""One replica of a journal's log, free of I/O: messages in, things to do out.

A replica promises epochs and takes appends only under the epoch that it promised. What `step`
returns must be done in order: changes to the disk first, then one sync, and only then the replies
that stand among them. The driver may let many steps share a sync; that is the group commit.

The log is that of Raft: an append names the record it goes behind and is refused if that is
missing; frames that contradict the leader's are cut off. They belong to lower epochs and were never
committed, because a leader is chosen with a log that has everything that is committed.

A replica whose disk was replaced is *lost*: what it promised and acknowledged is forgotten, and others may
still rely on it. It takes part in everything, but tells that it is lost, and no leader counts it until one
has made it whole; see `journal.leader`. It is written down before it is told that it is whole again.
"""

from __future__ import annotations

import msgspec

from journal.codec import Append
from journal.extent import LogExtent
from journal.messages import AppendReply, AppendStatus, Claim, ClaimReply, Extent, StartAt
from journal.segment import Frame


class Promise(msgspec.Struct, frozen=True, array_like=True):
    """Every epoch below `epoch` is refused, and `epoch` belongs to `candidate`.

    Not `whole`: there were promises and records before that this replica does not know.
    """

    epoch: int
    candidate: bytes
    whole: bool = True


class SavePromise(msgspec.Struct, frozen=True, gc=False):
    """Replace the promise on disk."""

    promise: Promise


class Cut(msgspec.Struct, frozen=True, gc=False):
    """Remove every record behind `last` from the disk."""

    last: int


class Write(msgspec.Struct, frozen=True, gc=False):
    """Add frames at the end of the log on disk."""

    frames: list[Frame]


class Trim(msgspec.Struct, frozen=True, gc=False):
    """Records before `first` may go."""

    first: int


class Clear(msgspec.Struct, frozen=True, gc=False):
    """Remove every record from the disk; the next one will be `first`."""

    first: int


class Reply(msgspec.Struct, frozen=True, gc=False):
    """Answer the sender, after everything before this is synced."""

    message: ClaimReply | AppendReply


Output = SavePromise | Cut | Write | Trim | Clear | Reply


class Replica:
    """The state of one replica. `commit` is the highest sequence known to be on enough disks."""

    def __init__(self, promise: Promise, extent: Extent) -> None:
        self.promise = promise
        self.log = LogExtent(extent)
        self.commit = 0
        self.checkpoint = extent.checkpoint
        self._trimmed = extent.first_sequence

    def claim(self, claim: Claim) -> list[Output]:
        """Promise the epoch, or tell which higher one is promised. Saying it twice is harmless."""
        held = self.promise
        granted = claim.epoch == held.epoch and claim.candidate == held.candidate
        whole = held.whole or (granted and 0 < claim.whole_at <= self.log.last)
        outputs: list[Output] = []
        if claim.epoch > held.epoch or whole != held.whole:
            granted = True
            self.promise = Promise(claim.epoch, claim.candidate, whole)
            outputs.append(SavePromise(self.promise))
        extent = self.log.describe(self._dispensable)
        promised = self.promise.epoch
        outputs.append(
            Reply(ClaimReply(claim.epoch, granted, promised, extent, claim.round, not whole))
        )
        return outputs

    def start_at(self, start: StartAt) -> list[Output]:
        """Begin the log anew, further on. Only a lost replica does; nothing counts what it held."""
        first = start.first_sequence
        if start.epoch != self.promise.epoch or self.promise.whole or first <= self.log.first:
            return []
        self.log = LogExtent(Extent(first, first - 1, 0, [], 0))
        self._trimmed = first
        return [Clear(first)]

    def append(self, append: Append) -> list[Output]:
        """Take frames and the commit index from the leader of the promised epoch."""
        if append.epoch != self.promise.epoch:
            fenced = append.epoch < self.promise.epoch
            return [
                self._reply(append, AppendStatus.FENCED if fenced else AppendStatus.MISMATCH, 0)
            ]
        if not self._holds(append.previous_sequence, append.previous_epoch):
            return [self._reply(append, AppendStatus.MISMATCH, 0)]
        outputs = self._take(append.frames)
        matched = append.frames[-1].last if append.frames else append.previous_sequence
        self.commit = max(self.commit, min(append.commit, matched))
        if append.trim > self._trimmed:
            lacks = append.trim > self.log.last + 1
            assert not (lacks and self.promise.whole), "what a log lacks is kept for it"
            self._trimmed = append.trim
            outputs.append(Trim(append.trim))
        if append.frames:
            outputs.append(self._reply(append, AppendStatus.ACCEPTED, matched))
        return outputs

    @property
    def _dispensable(self) -> int:
        """Up to which record this zone needs no other's log: its storage has them, and its own log too.

        Storage is ahead of the own log if it was copied from another zone. What the log then lacks, others
        have to keep for it.
        """
        return min(self.checkpoint, self.log.last)

    def _holds(self, sequence: int, epoch: int) -> bool:
        if sequence < self.log.first:  # trimmed, hence committed, hence the same everywhere
            return sequence <= self.log.last
        return sequence <= self.log.last and self.log.epoch_at(sequence) == epoch

    def _take(self, frames: list[Frame]) -> list[Output]:
        outputs: list[Output] = []
        log = self.log
        fresh = []
        for frame in frames:
            if frame.first <= log.last:
                if frame.last < log.first or log.epoch_at(frame.first) == frame.epoch:
                    continue  # it is here already: a repeated append
                assert frame.first > self.commit, "a committed record is never cut off"
                log.cut(frame.first - 1)
                outputs.append(Cut(log.last))
            log.add(frame)
            fresh.append(frame)
        if fresh:
            outputs.append(Write(fresh))
        return outputs

    def _reply(self, append: Append, status: AppendStatus, sequence: int) -> Reply:
        promised = self.promise.epoch
        return Reply(AppendReply(append.epoch, status, promised, sequence, self._dispensable))
