"""The leader's side of a journal, free of I/O: claiming an epoch, copying the log, committing.

Claiming: a candidate asks every replica to promise its epoch. With enough promises (a majority, and
enough to meet every write quorum) it is the only one that can append under this epoch, and it takes
over the most advanced log among the answers, by (last epoch, last sequence): whatever was committed
is in there. It appends a record of kind EPOCH; when that is committed, so is all before it, and the
leader is open. A record of an older epoch is never counted as committed by itself: it might still
be replaced by a log of a higher epoch.

Copying (`journal.copier`): every new connection begins with the claim again; the answer tells where that
replica's log parts from ours, and copying goes on from there.

Lost replicas: one whose disk was replaced has forgotten what it promised and acknowledged, so it answers
as lost and is not counted: not as a vote, not as a copy. It gets the log like any other. It becomes whole
again when it holds our log up to where that ended when it said that it is lost, our EPOCH record at
least, and when so many others as meet every quorum (with three replicas: both others) have confirmed
after that moment that our epoch is the highest they know. So no leader of a higher epoch can have relied on
what was lost, and what one of a lower epoch committed is in our log. The replica takes a note of it first.

The confirmation is a claim of the same epoch in a new *round*. It elects too, if nothing better does:
promises count when all who gave them confirm them in a round that began after the last of them. A promise
that was under way while its giver lost its disk could otherwise elect a leader that knows less than the
others have committed meanwhile, with that very replica, whole again.

What matters is one moment in which a majority stands by the epoch. The candidate's own replica, in the
same process, shows it without another round: it is asked first, refuses lower epochs from within that call
on, and can forget nothing that the candidate survives. When another replica promises because of a claim
that was sent after that, both stand by the epoch in that moment. (Which claim an answer belongs to, its
round tells: to ask the own replica after others begins a new one.) Whatever the other loses later, it
cannot be made whole under a lower epoch: one of the two witnesses that this takes is our own replica.
So two rounds, the claim and the EPOCH record, make a leader of three copies. (Where more than two promises
are needed, two others might promise one after the other without a common moment: they confirm.)

Any sign of a higher promise ends the leader, and the candidate, for good: two that answered each other's
epochs with higher ones would depose each other for ever. Whoever wants to lead again waits, and starts
anew above `promised`.
"""

from __future__ import annotations

import enum
import logging

from dsql.rpc.clock import Clock
from journal.backlog import Backlog
from journal.codec import Fetched
from journal.copier import Copier, Send
from journal.extent import LogExtent, common_prefix
from journal.followers import Follower, Followers, Quorum
from journal.messages import (
    AppendReply,
    AppendStatus,
    Applied,
    AskApplied,
    Claim,
    ClaimReply,
    Record,
    RecordKind,
)
from journal.segment import make_frame

log = logging.getLogger(__name__)

BLOCKED_LOOKS = 20


class Phase(enum.Enum):
    """How far a leader has come."""

    CLAIMING = 0
    OPENING = 1  # elected; the EPOCH record is not committed yet
    OPEN = 2
    DEPOSED = 3


class Leader:
    """A candidate, then a leader, of one epoch of one journal.

    `floor` is the timestamp of the last record that was taken over; `commit` the last committed
    sequence; `late` counts the looks in a row at which nothing had been committed since the one before, for
    want of answers; `full` is True while so many disks are full that nothing can be committed; `stranded`
    while so many replicas have lost their logs that nobody can be elected. `promised` is the highest epoch
    that was seen. `own` is the replica in this process, whose messages are handled within the call that
    sends them; connect it before the others.
    """

    def __init__(
        self,
        candidate: bytes,
        name: str,
        quorum: Quorum,
        clock: Clock,
        *,
        epoch: int = 1,
        own: int | None = None,
    ) -> None:
        self.phase = Phase.CLAIMING
        self.epoch = self.promised = epoch
        self.commit = 0
        self.floor = 0
        self.epoch_sequence = 0
        self.full = False
        self.stranded = False
        self.late = 0
        self.backlog = Backlog(quorum.copies)
        self._commit_at_look = 0
        self._round = 1
        self._asked = False  # anybody
        self._candidate = candidate
        self._name = name
        self._clock = clock
        self._replicas = Followers(quorum, own)
        self._followers = self._replicas.every
        self._copier = Copier(self._replicas)
        self._log = self._copier.log

    @property
    def last_sequence(self) -> int:
        """The last sequence given to a record."""
        return self._log.last

    @property
    def last_timestamp(self) -> int:
        """The last timestamp given to a record."""
        return self._log.last_timestamp

    @property
    def ahead(self) -> int:
        """So many records are in the journal that some zone's storage has not made durable yet."""
        return self._log.last - self._replicas.checkpoint

    @property
    def retain_from(self) -> int:
        """The first of the records that this leader keeps from being trimmed."""
        return self._copier.retain_from

    @retain_from.setter
    def retain_from(self, sequence: int) -> None:
        self._copier.retain_from = sequence

    @property
    def deposed(self) -> bool:
        """True once a higher epoch was seen, or it has resigned. It will commit nothing more."""
        return self.phase is Phase.DEPOSED

    def start_above(self, promised: int) -> None:
        """Claim an epoch above one that is known to be promised. Before the first claim."""
        self.epoch = self.promised = max(self.epoch, promised + 1)

    def resign(self) -> None:
        """Lead no more."""
        self.phase = Phase.DEPOSED

    def connected(self, replica: int) -> list[Send]:
        """A connection to a replica stands: claim on it."""
        follower = self._followers[replica]
        follower.connected = True
        follower.lost_in = 0  # if it is lost, it may be so once more
        return self._claim(replica)

    def disconnected(self, replica: int) -> list[Send]:
        """A connection is lost; whoever waited for frames from there gets them elsewhere."""
        self._replicas.disconnected(replica)
        sends: list[Send] = []
        for index in self._replicas.eager:
            sends += self._copier.pump(index)
        for index, waiting in enumerate(self._followers):
            if waiting.fetching is not None and waiting.fetching[0] == replica:
                waiting.fetching = None
                sends += self._copier.pump(index)
        return sends

    def step(
        self, replica: int, message: ClaimReply | AppendReply | Fetched | Applied
    ) -> list[Send]:
        """Handle a replica's answer."""
        if self.deposed:
            return []
        if isinstance(message, Applied):
            self.backlog.told(replica, message.sequence)
            return []
        if isinstance(message, AppendReply):
            return self._appended(replica, message)
        if isinstance(message, ClaimReply):
            return self._claimed(replica, message)
        return self._copier.fetched(replica, message)

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
        self.backlog.size += len(frame.data)
        # What is not committed, nobody else may have yet.
        self._copier.window.add(frame, self.commit)
        sends: list[Send] = []
        for index in self._replicas.eager:
            sends += self._copier.pump(index)
        return sends

    def catch_up(self) -> list[Send]:
        """Send to every replica what it lacks, be it only the commit index."""
        sends: list[Send] = []
        for index in range(len(self._followers)):
            sends += self._copier.pump(index)
            sends += self._copier.notice(index)
        return sends

    def notice(self, replica: int) -> list[Send]:
        """Tell the commit index to a replica that does not know it yet."""
        return self._copier.notice(replica)

    @property
    def restless(self) -> bool:
        """True while `tick` has something to see to; not if all replicas have everything."""
        return not self.deposed and (
            self.phase is not Phase.OPEN
            or self._replicas.wants_nearest
            or self._is_short
            or self.backlog.bytes_behind > 0
            or any(map(self._is_waited_for, self._followers))
        )

    @property
    def blocked(self) -> bool:
        """True if for BLOCKED_LOOKS nothing could be committed."""
        return self.late >= BLOCKED_LOOKS

    def look(self, now: float) -> list[Send]:
        """See whether commits get on, and storage after them. Many times a second while `restless`."""
        is_late = self._is_short and self.commit == self._commit_at_look
        self.late = self.late + 1 if is_late else 0
        self._commit_at_look = self.commit
        if self.phase is not Phase.OPEN:
            return []
        self.backlog.mark(now, self._log.last)
        return [(index, AskApplied()) for index in self._replicas.joined]

    def tick(self) -> list[Send]:
        """Claim again where an answer is overdue: for two ticks. One a second while `restless`."""
        sends: list[Send] = []
        self._replicas.retry_nearest()
        for index, follower in enumerate(self._followers):
            if self.deposed:
                break
            waited_for = self._is_waited_for(follower)
            if waited_for and follower.stalled_at == follower.matched:
                sends += self._claim(index)
            follower.stalled_at = follower.matched if waited_for else -1
        return sends

    @property
    def _is_short(self) -> bool:
        """True while something waits for replicas, or would."""
        return self.commit < self._log.last or not self._replicas.enough

    def _is_waited_for(self, follower: Follower) -> bool:
        unsettled = self.phase is Phase.CLAIMING or self._replicas.any_lost
        silent = unsettled and follower.round < self._round
        behind = follower.lost or follower.matched < self._log.last
        return follower.connected and (silent or behind or not follower.joined)

    # Claiming

    def _claim(self, replica: int) -> list[Send]:
        if self.deposed:
            return []
        sends: list[Send] = []
        if self._asked and self._replicas.begins_own(replica):
            sends = self._begin_round()  # what was asked for before says nothing of a common moment
        self._asked = True
        self._replicas.asked(replica, self._round)
        return [*sends, (replica, self._make_claim())]

    def _make_claim(self, whole_at: int = 0) -> Claim:
        return Claim(self.epoch, self._candidate, self._round, whole_at)

    def _begin_round(self) -> list[Send]:
        """Have everybody confirm the promise; who has not promised yet is asked already."""
        self._round += 1
        claim = self._make_claim()
        return [(index, claim) for index in self._replicas.joined]

    def _claimed(self, replica: int, reply: ClaimReply) -> list[Send]:
        if not reply.granted:
            return self._refused(max(reply.promised, reply.epoch))
        if reply.epoch != self.epoch:
            return []
        follower = self._followers[replica]
        self._replicas.answered(replica, reply.round)
        sends: list[Send] = []
        if follower.joined:
            self._confirmed(follower, reply)
        else:
            sends = self._promised(replica, reply)
        return sends + (self._candidacy() if self.phase is Phase.CLAIMING else self._restore())

    def _promised(self, replica: int, reply: ClaimReply) -> list[Send]:
        follower = self._followers[replica]
        follower.joined = True
        follower.promised_in = self._round
        follower.extent = LogExtent(reply.extent)
        follower.checkpoint = max(follower.checkpoint, reply.extent.checkpoint)
        follower.lost = reply.lost
        self._recount()
        sends: list[Send] = []
        if reply.lost and not follower.lost_in:
            follower.lost_in = self._round
            follower.restore_to = self._log.last
            sends = self._begin_round()
        return sends if self.phase is Phase.CLAIMING else sends + self._join(replica)

    def _confirmed(self, follower: Follower, reply: ClaimReply) -> None:
        if not follower.lost or reply.lost:
            return
        follower.lost = False
        self._recount()
        log.info("%s: a lost journal replica has everything again and counts", self._name)
        self._replicas.choose_eager()
        self._advance()

    def _recount(self) -> None:
        self.stranded = self._replicas.too_lost
        self.full = self._replicas.too_full

    def _candidacy(self) -> list[Send]:
        if self._replicas.vouched or self._replicas.confirmed(self._round):
            return self._take_over()
        return self._begin_round() if self._replicas.wants_round(self._round) else []

    def _restore(self) -> list[Send]:
        """Tell lost replicas that they are whole, if they can be."""
        sends: list[Send] = []
        for index, follower in enumerate(self._followers):
            if follower.lost and self._replicas.may_restore(follower, self.epoch_sequence):
                whole_at = max(follower.restore_to, self.epoch_sequence)
                sends.append((index, self._make_claim(whole_at)))
        return sends

    def _refused(self, promised: int) -> list[Send]:
        if promised >= self.epoch:
            log.info("epoch %d of %s is over: %d is promised", self.epoch, self._name, promised)
            self.promised = promised
            self.phase = Phase.DEPOSED
        return []

    def _take_over(self) -> list[Send]:
        best = self._replicas.most_advanced()
        self._log = self._copier.log = LogExtent(best.describe(0))
        self._copier.epoch = self.epoch
        self.floor = best.last_timestamp
        self.phase = Phase.OPENING
        sends: list[Send] = []
        for index in self._replicas.joined:
            sends += self._join(index)
        self.epoch_sequence = self._log.last + 1
        timestamp = max(self._clock.now(), self._log.last_timestamp + 1)
        return sends + self.append([(timestamp, RecordKind.EPOCH, self._name.encode())])

    def _join(self, replica: int) -> list[Send]:
        follower = self._followers[replica]
        follower.matched = common_prefix(self._log, follower.extent)
        follower.told_commit = 0
        sends = self._copier.begin(replica)
        self._replicas.choose_eager()
        self._advance()
        # Nothing may come after what it has, so it is told now what of that is committed.
        return sends + self._copier.pump(replica) + self._copier.notice(replica)

    # Committing

    def _appended(self, replica: int, reply: AppendReply) -> list[Send]:
        if reply.status == AppendStatus.FENCED:
            return self._refused(reply.promised)
        follower = self._followers[replica]
        if reply.epoch != self.epoch or not follower.joined:
            return []
        follower.checkpoint = max(follower.checkpoint, reply.checkpoint)
        if reply.status == AppendStatus.MISMATCH:
            # Behind what did not fit nothing does. To claim would have all of it sent again, and again.
            return [] if follower.full else self._claim(replica)
        held_back = self._copier.holds_back(follower)
        follower.outstanding = max(0, follower.outstanding - 1)
        full = reply.status == AppendStatus.FULL
        if full != follower.full:
            follower.full = full
            self.full = self._replicas.too_full
            self._replicas.choose_eager()
        if full:
            return []  # `tick` tries again
        if reply.sequence > follower.matched:
            follower.matched = reply.sequence
            self._advance()
        if replica in self._replicas.eager:
            return self._copier.pump(replica) if follower.next <= self._log.last else []
        if follower.lost:
            return self._copier.pump(replica) + self._restore()
        self._replicas.overtaken(reply.sequence)
        return self._copier.pump(replica) if held_back else []

    def _advance(self) -> None:
        reached = self._replicas.reached()
        if self.epoch_sequence and reached >= max(self.epoch_sequence, self.commit + 1):
            self.commit = self._copier.commit = reached
            self.late = 0
            if self.phase is Phase.OPENING:
                self.phase = Phase.OPEN
