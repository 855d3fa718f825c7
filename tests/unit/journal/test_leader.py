"""Elections, takeovers and commits, message by message."""

from __future__ import annotations

import pytest

from journal.codec import Append, Fetched
from journal.followers import Quorum
from journal.leader import Leader, Phase
from journal.messages import (
    AppendReply,
    AppendStatus,
    Claim,
    ClaimReply,
    Extent,
    Fetch,
    Record,
    RecordKind,
)
from journal.segment import make_frame

EMPTY = Extent(1, 0, 0, [], 0)


class FixedClock:
    def now(self) -> int:
        return 5_000


def make_leader(quorum: Quorum | None = None) -> Leader:
    leader = Leader(b"c" * 16, "az1", quorum or Quorum(), FixedClock(), epoch=3)
    for replica in range((quorum or Quorum()).copies):
        assert leader.connected(replica) == [(replica, Claim(3, b"c" * 16))]
    return leader


def promise(leader: Leader, replica: int, extent: Extent = EMPTY):
    return leader.step(replica, ClaimReply(leader.epoch, True, leader.epoch, extent))


def accept(leader: Leader, replica: int, sequence: int):
    return leader.step(replica, AppendReply(leader.epoch, AppendStatus.ACCEPTED, 3, sequence, 0))


def opened() -> Leader:
    leader = make_leader()
    promise(leader, 0)
    promise(leader, 1)
    promise(leader, 2)
    accept(leader, 0, 1)
    accept(leader, 1, 1)
    assert leader.phase is Phase.OPEN
    return leader


def test_majority_of_promises_elects_and_the_epoch_record_opens():
    leader = make_leader()
    assert promise(leader, 0) == []
    sends = promise(leader, 1)
    assert leader.phase is Phase.OPENING
    assert [(replica, message.frames[0].records[0].kind) for replica, message in sends] == [
        (0, RecordKind.EPOCH),
        (1, RecordKind.EPOCH),
    ]
    accept(leader, 0, 1)
    assert leader.phase is Phase.OPENING
    accept(leader, 1, 1)
    assert (leader.phase, leader.commit) == (Phase.OPEN, 1)


def test_most_advanced_log_is_taken_over_by_epoch_before_length():
    leader = make_leader()
    promise(leader, 0, Extent(1, 9, 900, [(1, 1)], 0))
    sends = promise(leader, 1, Extent(1, 4, 400, [(1, 1), (2, 4)], 0))
    assert leader.floor == 400
    assert leader.epoch_sequence == 5
    assert (0, Fetch(4, 1024 * 1024)) not in sends
    assert (1, Fetch(4, 1024 * 1024)) in sends  # replica 0 parts after 3 and gets the rest from 1


def test_lagging_replica_gets_the_fetched_frames_and_then_the_newer_ones():
    leader = make_leader()
    promise(leader, 0)
    promise(leader, 1, Extent(1, 2, 200, [(1, 1)], 0))
    frames = [make_frame([Record(n, 1, 100 * n, 0, b"")]) for n in (1, 2)]
    sends = leader.step(1, Fetched(1, frames))
    assert [(r, m.previous_sequence, [f.first for f in m.frames]) for r, m in sends] == [
        (0, 0, [1, 2]),
        (0, 2, [3]),
    ]


def test_record_of_an_older_epoch_is_not_committed_by_being_everywhere():
    leader = make_leader()
    for replica in range(3):
        promise(leader, replica, Extent(1, 2, 200, [(1, 1)], 0))
    assert leader.commit == 0
    accept(leader, 2, 3)
    accept(leader, 1, 3)
    assert leader.commit == 3


def test_refused_candidate_claims_above_the_promise():
    leader = make_leader()
    sends = leader.step(0, ClaimReply(3, False, 8, EMPTY))
    assert leader.epoch == 9
    assert sends == [(replica, Claim(9, b"c" * 16)) for replica in range(3)]


def test_fenced_leader_is_deposed_and_says_nothing_more():
    leader = opened()
    leader.append([(6_000, RecordKind.DATA, b"x")])
    leader.step(0, AppendReply(3, AppendStatus.FENCED, 4, 0, 0))
    assert leader.deposed
    assert accept(leader, 1, 2) == []
    accept(leader, 2, 2)
    assert leader.commit == 1


def test_commit_index_travels_with_the_next_append_or_as_a_notice():
    leader = opened()
    assert [m.commit for _, m in leader.catch_up()] == [1, 1, 1]
    assert leader.catch_up() == []
    sends = leader.append([(6_000, RecordKind.DATA, b"x")])
    assert {m.commit for _, m in sends} == {1}
    assert len({id(message) for _, message in sends}) <= 2  # shared, so it is encoded once


def data(leader: Leader, *timestamps: int) -> list[int]:
    """Append a record for each timestamp and return whom something was sent to."""
    asked = []
    for timestamp in timestamps:
        asked += [replica for replica, _ in leader.append([(timestamp, RecordKind.DATA, b"x")])]
    return asked


def test_only_replicas_that_a_commit_needs_are_asked_at_once():
    leader = opened()
    accept(leader, 2, 1)
    leader.catch_up()
    assert data(leader, 6_000, 7_000) == [0, 1, 0, 1]
    assert accept(leader, 0, 3) == []
    assert accept(leader, 1, 3) == []
    assert leader.commit == 3
    ((replica, message), *notices) = [s for s in leader.catch_up() if s[0] == 2] + leader.catch_up()
    assert (replica, [f.first for f in message.frames], message.commit) == (2, [2, 3], 3)
    assert notices == []


def test_slow_replica_loses_its_place_to_the_one_that_was_asked_later():
    leader = opened()
    data(leader, 6_000)
    accept(leader, 0, 2)
    leader.catch_up()
    assert leader.commit == 1
    accept(leader, 2, 2)
    assert leader.commit == 2
    assert data(leader, 7_000) == [0, 2]


def test_slow_nearest_replica_is_tried_again_with_the_next_tick():
    leader = opened()
    data(leader, 6_000)
    accept(leader, 1, 2)
    leader.catch_up()
    accept(leader, 2, 2)
    assert leader.commit == 2
    assert data(leader, 7_000) == [1, 2]
    leader.tick()
    assert data(leader, 8_000) == [0, 1]


def test_place_of_a_lost_replica_is_taken_at_once():
    leader = opened()
    data(leader, 6_000)
    sends = leader.disconnected(1)
    assert [(r, [f.first for f in m.frames]) for r, m in sends] == [(2, [2])]
    assert data(leader, 7_000) == [0, 2]


def test_full_replica_loses_its_place():
    leader = opened()
    leader.step(0, AppendReply(3, AppendStatus.FULL, 3, 0, 0))
    assert data(leader, 6_000) == [1, 2]


def test_replica_that_reconnects_gets_what_it_lost():
    leader = opened()
    leader.append([(6_000, RecordKind.DATA, b"x")])
    leader.disconnected(2)
    leader.connected(2)
    sends = promise(leader, 2, Extent(1, 1, 5_000, [(3, 1)], 0))
    assert [(r, m.frames[0].first) for r, m in sends if isinstance(m, Append)] == [(2, 2)]


def test_overdue_answer_leads_to_a_new_claim():
    leader = opened()
    accept(leader, 2, 1)
    leader.append([(6_000, RecordKind.DATA, b"x")])
    leader.tick()
    accept(leader, 0, 2)
    assert [replica for replica, _ in leader.tick()] == [1, 2]


def test_full_disks_of_a_write_quorum_are_known():
    leader = opened()
    leader.step(1, AppendReply(3, AppendStatus.FULL, 3, 0, 0))
    assert not leader.full
    leader.step(2, AppendReply(3, AppendStatus.FULL, 3, 0, 0))
    assert leader.full
    accept(leader, 2, 2)
    assert not leader.full


@pytest.mark.parametrize(
    ("copies", "writes", "claims"), [(3, 2, 2), (6, 4, 4), (1, 1, 1), (5, 3, 3)]
)
def test_claims_meet_every_write_quorum_and_each_other(copies, writes, claims):
    quorum = Quorum(copies, writes)
    assert quorum.claims == claims
    assert quorum.claims + writes > copies
    assert 2 * quorum.claims > copies


def test_write_quorum_that_is_no_majority_is_refused():
    with pytest.raises(ValueError):
        Quorum(4, 2)


def test_six_copies_commit_with_four():
    leader = make_leader(Quorum(6, 4))
    for replica in range(4):
        promise(leader, replica)
    for replica in range(3):
        accept(leader, replica, 1)
    assert leader.phase is Phase.OPENING
    accept(leader, 3, 1)
    assert leader.phase is Phase.OPEN


def test_records_are_trimmed_only_if_every_az_has_them():
    leader = opened()
    leader.retain_from = 100
    for replica, checkpoint in enumerate((50, 40, 60)):
        leader.step(replica, AppendReply(3, AppendStatus.ACCEPTED, 3, 1, checkpoint))
    sends = leader.append([(6_000, RecordKind.DATA, b"x")])
    assert {message.trim for _, message in sends} == {41}
