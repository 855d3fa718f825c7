"""What a lost disk and a leader that does not know of it can do to each other, step by step.

Chance finds these orders of events too rarely: connections that reach only some replicas, and an answer
that is under way while its sender loses its disk.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from journal.codec import Fetched, LeaderMessage
from journal.copier import Send
from journal.followers import Follower, Followers, Quorum
from journal.leader import Leader, Phase
from journal.messages import AppendReply, Claim, ClaimReply, Extent, Fetch, RecordKind
from journal.replica import Cut, Promise, Replica, Reply, Write
from journal.segment import Frame

LOST, LEFT, RIGHT = range(3)
EMPTY = Extent(1, 0, 0, [], 0)
Answer = ClaimReply | AppendReply | Fetched


class _Clock:
    def now(self) -> int:
        return 5_000


class _Trio:
    """Three replicas that write at once, and leaders that reach those of them that a test lets them."""

    def __init__(self) -> None:
        self.replicas = [Replica(Promise(0, b""), EMPTY) for _ in range(3)]
        self.frames: list[list[Frame]] = [[], [], []]

    def lead(self, epoch: int, *reached: int) -> Leader:
        leader = Leader(b"%016d" % epoch, f"leader{epoch}", Quorum(), _Clock(), epoch=epoch)
        for replica in reached:
            self.connect(leader, replica, *reached)
        return leader

    def connect(self, leader: Leader, replica: int, *reached: int) -> None:
        self.deliver(leader, leader.connected(replica), *(reached or (LOST, LEFT, RIGHT)))

    def deliver(self, leader: Leader, sends: list[Send], *reached: int) -> None:
        """Carry messages and answers to and fro until there are none; what is not reached loses them."""
        while sends:
            replica, message = sends.pop(0)
            if replica in reached:
                for answer in self.answers(replica, message):
                    sends += leader.step(replica, answer)

    def answers(self, replica: int, message: LeaderMessage) -> list[Answer]:
        told, frames = self.replicas[replica], self.frames[replica]
        if isinstance(message, Fetch):
            wanted = message.from_sequence
            return [Fetched(wanted, [frame for frame in frames if frame.first >= wanted])]
        outputs = told.claim(message) if isinstance(message, Claim) else told.append(message)
        for output in outputs:
            if isinstance(output, Cut):
                frames[:] = [frame for frame in frames if frame.last <= output.last]
            elif isinstance(output, Write):
                frames += output.frames
        return [output.message for output in outputs if isinstance(output, Reply)]

    def lose_disk(self) -> None:
        self.replicas[LOST] = Replica(Promise(0, b"", whole=False), EMPTY)
        self.frames[LOST] = []

    def commit(self, leader: Leader, *reached: int) -> bool:
        """Append a record; return whether the leader takes it for committed."""
        timestamp = leader.last_timestamp + 1
        self.deliver(leader, leader.append([(timestamp, RecordKind.DATA, b"")]), *reached)
        self.deliver(leader, leader.catch_up(), *reached)
        return leader.commit == leader.last_sequence


def promise_under_way_while_the_disk_is_lost() -> None:
    """A rival's election rests on a promise that nobody remembers any more."""
    trio = _Trio()
    first = trio.lead(1, LOST, LEFT, RIGHT)
    rival = Leader(b"rival".ljust(16), "rival", Quorum(), _Clock(), epoch=2)
    ((_, claim),) = rival.connected(LOST)
    (under_way,) = trio.answers(LOST, claim)
    trio.lose_disk()
    first.disconnected(LOST)
    trio.connect(first, LOST)
    assert trio.commit(first, LOST, LEFT)
    committed = first.last_sequence

    sends = [send for send in rival.step(LOST, under_way) if send[0] != LOST]
    trio.deliver(rival, sends + rival.connected(RIGHT), RIGHT)
    rival.disconnected(LOST)
    trio.connect(rival, LOST)
    trio.connect(rival, LEFT)
    assert rival.phase is Phase.OPEN
    assert rival._log.epoch_at(committed) == 1, "a committed record was replaced"


def promise_that_was_asked_for_before_the_own_one_is_lost_meanwhile() -> None:
    """A rival's own replica promises last: there was no moment in which two stood by its epoch."""
    trio = _Trio()
    first = trio.lead(1, LOST, LEFT, RIGHT)
    rival = Leader(b"rival".ljust(16), "rival", Quorum(), _Clock(), epoch=2, own=RIGHT)
    ((_, claim),) = rival.connected(LOST)
    (under_way,) = trio.answers(LOST, claim)
    trio.lose_disk()
    first.disconnected(LOST)
    trio.connect(first, LOST)
    assert trio.commit(first, LOST, LEFT)
    committed = first.last_sequence

    sends = rival.connected(RIGHT) + rival.step(LOST, under_way)
    trio.deliver(rival, sends, RIGHT)
    rival.disconnected(LOST)
    trio.connect(rival, LOST)
    trio.connect(rival, LEFT)
    assert rival.phase is Phase.OPEN
    assert rival._log.epoch_at(committed) == 1, "a committed record was replaced"


def _vouch_for_all(self: Followers) -> bool:
    return len(self.voters) >= self.quorum.claims


def old_leader_restores_what_had_promised_a_new_one() -> None:
    """The old leader reaches only the replica that no new leader has asked."""
    trio = _Trio()
    old = trio.lead(1, LOST, LEFT, RIGHT)
    new = trio.lead(2, LOST, RIGHT)
    assert trio.commit(new, LOST, RIGHT)
    trio.lose_disk()
    old.disconnected(LOST)
    trio.deliver(old, old.connected(LOST), LOST, LEFT)
    assert not trio.commit(old, LOST, LEFT), "two leaders have committed different records"


def _elect_at_once(self: Followers, round_: int) -> bool:
    return len(self.voters) >= self.quorum.claims


def _restore_at_once(self: Followers, follower: Follower, epoch_sequence: int) -> bool:
    return follower.lost and follower.joined and follower.matched >= epoch_sequence


RULES = [
    pytest.param(
        promise_that_was_asked_for_before_the_own_one_is_lost_meanwhile,
        "vouched",
        property(_vouch_for_all),
        id="own_promise_first",
    ),
    pytest.param(
        promise_under_way_while_the_disk_is_lost, "confirmed", _elect_at_once, id="confirmed_votes"
    ),
    pytest.param(
        old_leader_restores_what_had_promised_a_new_one,
        "may_restore",
        _restore_at_once,
        id="witnesses",
    ),
]


@pytest.mark.parametrize(("story", "rule", "broken"), RULES)
def test_committed_records_stay_because_of_the_rule(
    monkeypatch: pytest.MonkeyPatch, story: Callable[[], None], rule: str, broken: object
):
    story()
    monkeypatch.setattr(Followers, rule, broken)
    with pytest.raises(AssertionError, match="committed"):
        story()
