"""Elections, takeovers and commits, message by message."""

from __future__ import annotations

import pytest

from journal.codec import Append, Fetched
from journal.followers import Quorum
from journal.leader import BLOCKED_LOOKS, Leader, Phase
from journal.messages import (
    AppendReply,
    AppendStatus,
    Claim,
    ClaimReply,
    Extent,
    Fetch,
    Record,
    RecordKind,
    StartAt,
)
from journal.segment import make_frame

EMPTY = Extent(1, 0, 0, [], 0)


class FixedClock:
    def now(self) -> int:
        return 5_000


def make_leader(quorum: Quorum | None = None) -> Leader:
    leader = Leader(b"c" * 16, "az1", quorum or Quorum(), FixedClock(), epoch=3)
    for replica in range((quorum or Quorum()).copies):
        assert leader.connected(replica) == [(replica, Claim(3, b"c" * 16, round=1))]
    return leader


def promise(leader: Leader, replica: int, extent: Extent = EMPTY, *, lost: bool = False):
    """Promise; those who are asked to confirm their promises do so. Returns what else is sent."""
    return confirm(leader, say_promise(leader, replica, extent, lost=lost))


def say_promise(
    leader: Leader, replica: int, extent: Extent = EMPTY, *, lost: bool = False, round_: int = 1
):
    return leader.step(replica, ClaimReply(leader.epoch, True, leader.epoch, extent, round_, lost))


def confirm(leader: Leader, sends, but: int | None = None):
    """Answer all claims among `sends` but those to one replica; return what else is sent."""
    sends, others = list(sends), []
    while sends:
        replica, message = sends.pop(0)
        if isinstance(message, Claim) and replica != but:
            lost = leader._followers[replica].lost and not message.whole_at
            reply = ClaimReply(message.epoch, True, message.epoch, EMPTY, message.round, lost)
            sends += leader.step(replica, reply)
        else:
            others.append((replica, message))
    return others


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


def frames_of(epoch: int, *sequences: int):
    return [make_frame([Record(n, epoch, 100 * n, 0, b"")]) for n in sequences]


def test_what_a_source_holds_beyond_the_leaders_log_is_not_passed_on():
    leader = make_leader()
    promise(leader, 0, Extent(1, 5, 500, [(1, 1)], 0))  # 4 and 5 are to be cut off there
    promise(leader, 1, Extent(1, 4, 400, [(1, 1), (2, 4)], 0))
    assert (0, Fetch(1, 1024 * 1024)) in promise(leader, 2)
    sends = leader.step(0, Fetched(1, frames_of(1, 1, 2, 3, 4, 5)))
    assert [(r, [f.first for f in m.frames]) for r, m in sends if isinstance(m, Append)] == [
        (2, [1, 2, 3])
    ]


def test_what_one_source_cannot_read_is_fetched_from_another_and_never_in_a_circle():
    leader = make_leader()
    promise(leader, 0, Extent(1, 3, 300, [(1, 1)], 0))
    promise(leader, 1, Extent(1, 3, 300, [(1, 1)], 0))
    assert promise(leader, 2) == [(0, Fetch(1, 1024 * 1024))]
    assert leader.step(0, Fetched(1, [])) == [(1, Fetch(1, 1024 * 1024))]
    assert leader.step(1, Fetched(1, [])) == []
    leader.disconnected(2)
    leader.connected(2)
    assert promise(leader, 2) == [(0, Fetch(1, 1024 * 1024))]


def test_leader_is_ahead_of_the_storage_that_has_checkpointed_least():
    leader = opened()
    leader.append([(6_000, RecordKind.DATA, b"a")])
    for replica, checkpoint in ((0, 2), (1, 1), (2, 2)):
        leader.step(replica, AppendReply(3, AppendStatus.ACCEPTED, 3, 2, checkpoint))
    assert leader.ahead == 1


def test_record_of_an_older_epoch_is_not_committed_by_being_everywhere():
    leader = make_leader()
    for replica in range(3):
        promise(leader, replica, Extent(1, 2, 200, [(1, 1)], 0))
    assert leader.commit == 0
    accept(leader, 2, 3)
    accept(leader, 1, 3)
    assert leader.commit == 3


def test_refused_candidate_gives_up_and_tells_what_it_has_met():
    leader = make_leader()
    assert leader.step(0, ClaimReply(3, False, 8, EMPTY)) == []
    assert (leader.deposed, leader.promised) == (True, 8)
    promise(leader, 1)
    promise(leader, 2)
    assert leader.deposed


def make_candidate(*connected: int, quorum: Quorum | None = None) -> Leader:
    """A candidate whose own replica is 1, connected to others in this order."""
    leader = Leader(b"c" * 16, "az1", quorum or Quorum(), FixedClock(), epoch=3, own=1)
    for replica in connected:
        leader.connected(replica)
    return leader


def test_own_promise_and_one_that_was_asked_for_behind_it_elect_without_another_round():
    leader = make_candidate(1, 0, 2)
    assert say_promise(leader, 2) == []
    sends = say_promise(leader, 1)
    assert leader.phase is Phase.OPENING
    assert [message.frames[0].records[0].kind for _, message in sends] == [RecordKind.EPOCH] * 2


def test_promise_that_was_asked_for_before_the_own_one_has_to_be_confirmed():
    leader = make_candidate(2, 1)
    say_promise(leader, 2)
    asked = say_promise(leader, 1, round_=2)
    assert [(replica, message.round) for replica, message in asked] == [(1, 3), (2, 3)]
    assert leader.phase is Phase.CLAIMING
    confirm(leader, asked)
    assert leader.phase is Phase.OPENING


@pytest.mark.parametrize("late", [True, False])
def test_late_answer_to_what_was_asked_before_the_own_promise_elects_nobody(late):
    """Its giver may have lost the log since; asked again, it would answer with the newer round."""
    leader = make_candidate(2, 1)
    for _ in range(2):
        leader.tick()
    own_round = max(claim.round for _, claim in leader.connected(1))
    (again,) = (claim for replica, claim in leader.connected(2) if replica == 2)
    assert again.round == own_round > 1
    say_promise(leader, 1, round_=own_round)
    say_promise(leader, 2, round_=1 if late else own_round)
    assert leader.phase is (Phase.CLAIMING if late else Phase.OPENING)


@pytest.mark.parametrize("again", ["reconnected", "overdue"])
def test_own_promise_that_begins_anew_vouches_for_nothing_that_came_before(again):
    leader = make_candidate(1, 2)
    say_promise(leader, 2)
    if again == "reconnected":
        leader.disconnected(1)
        leader.connected(1)
    else:
        for _ in range(2):
            leader.tick()
    say_promise(leader, 1)
    assert leader.phase is Phase.CLAIMING


def test_promise_of_a_lost_own_replica_vouches_for_nobody():
    leader = make_candidate(1, 0, 2)
    say_promise(leader, 1, lost=True)
    say_promise(leader, 2)
    say_promise(leader, 0)
    assert leader.phase is Phase.CLAIMING


def test_own_promise_does_not_elect_where_more_than_two_are_needed():
    leader = make_candidate(1, 0, 2, 3, 4, 5, quorum=Quorum(6, 4))
    for replica in range(6):
        say_promise(leader, replica)
    assert leader.phase is Phase.CLAIMING


def test_leader_whose_replicas_have_everything_is_at_rest():
    leader = opened()
    assert leader.restless
    accept(leader, 2, 1)
    assert not leader.restless
    data(leader, 6_000)
    assert leader.restless
    leader.disconnected(2)
    for replica in (0, 1):
        accept(leader, replica, 2)
    assert not leader.restless


def test_leader_that_can_commit_nothing_for_some_looks_says_so_until_it_can():
    leader = opened()
    leader.disconnected(1)
    data(leader, 6_000)
    leader.disconnected(2)
    leader.look(0.0)  # it only takes note of how far it is
    for late in range(BLOCKED_LOOKS):
        assert not leader.blocked
        assert leader.late == late
        leader.look(0.0)
    assert leader.blocked
    leader.connected(1)
    for replica in (0, 1):
        promise(leader, replica, Extent(1, 1, 5_000, [(3, 1)], 0))
    leader.look(0.0)
    assert leader.blocked
    accept(leader, 0, 2)
    accept(leader, 1, 2)
    assert not leader.blocked


def test_leader_is_not_late_while_commits_get_on_and_the_next_ones_wait():
    leader = opened()
    for sequence in range(2, 10):
        data(leader, 6_000 + sequence)
        if sequence > 2:
            accept(leader, 1, sequence - 1)
            accept(leader, 0, sequence - 1)
        leader.look(0.0)
        assert leader.late == 0
    leader.look(0.0)
    assert leader.late == 1


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


def test_replica_that_lags_gets_more_with_each_answer(monkeypatch):
    monkeypatch.setattr("journal.copier.APPENDS_OUTSTANDING_MAX", 1)
    monkeypatch.setattr("journal.copier.FETCH_BYTES", 1)
    leader = opened()
    accept(leader, 2, 1)
    for timestamp in (6_000, 7_000, 8_000):
        data(leader, timestamp)
        accept(leader, 0, leader.last_sequence)
        accept(leader, 1, leader.last_sequence)
    sent = [message.frames[0].first for replica, message in leader.catch_up() if replica == 2]
    while sends := accept(leader, 2, sent[-1]):
        sent += [message.frames[0].first for _, message in sends]
    assert sent == [2, 3, 4]


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


def test_replica_that_reconnects_with_everything_learns_what_is_committed():
    leader = opened()
    leader.append([(6_000, RecordKind.DATA, b"x")])
    accept(leader, 0, 2)
    accept(leader, 1, 2)
    leader.catch_up()
    leader.disconnected(2)
    leader.connected(2)
    (told,) = promise(leader, 2, Extent(1, 2, 6_000, [(3, 1)], 0))
    assert (told[0], told[1].commit, told[1].frames) == (2, 2, [])


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


def test_replica_whose_disk_is_full_is_tried_by_ticks_and_then_with_one_append():
    leader = opened()
    accept(leader, 2, 1)

    def commit_one() -> list[Append]:
        """Commit a record with the other two; return what the third is sent."""
        sends = leader.append([(6_000 + leader.last_sequence, RecordKind.DATA, b"x")])
        for replica in (0, 1):
            sends += accept(leader, replica, leader.last_sequence)
        sends += leader.catch_up()
        assert not any(isinstance(message, Claim) for _, message in sends)
        return [message for replica, message in sends if replica == 2 and message.frames]

    assert [append.previous_sequence for append in commit_one()] == [1]
    assert leader.step(2, AppendReply(3, AppendStatus.FULL, 3, 0, 0)) == []
    assert [append.previous_sequence for append in commit_one()] == [2]
    assert leader.step(2, AppendReply(3, AppendStatus.MISMATCH, 3, 0, 0)) == []
    assert [commit_one() for _ in range(50)] == [[]] * 50
    assert leader.tick() == []
    ((replica, _),) = leader.tick()
    sends = promise(leader, replica, Extent(1, 1, 5_000, [(3, 1)], 0))
    assert [(to, message.previous_sequence) for to, message in sends] == [(2, 1)]
    accept(leader, 2, leader.last_sequence)
    assert [append.previous_sequence for append in commit_one()] == [leader.last_sequence - 1]


@pytest.mark.parametrize(
    ("copies", "writes", "claims"), [(3, 2, 2), (6, 4, 4), (1, 1, 1), (5, 3, 3)]
)
def test_claims_meet_every_write_quorum_and_each_other(copies, writes, claims):
    quorum = Quorum(copies, writes)
    assert quorum.claims == claims
    assert quorum.claims + writes > copies
    assert 2 * quorum.claims > copies
    others_with_a_lost_one = quorum.claims - 1
    assert quorum.witnesses + others_with_a_lost_one > copies - 1


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


def committed_twice() -> Leader:
    """An open leader whose log ends at 2; all have it."""
    leader = opened()
    data(leader, 6_000)
    for replica in range(3):
        accept(leader, replica, 2)
    leader.catch_up()
    return leader


def lose(leader: Leader, replica: int):
    """The replica comes back with an empty disk, on a new connection."""
    leader.disconnected(replica)
    leader.connected(replica)
    return say_promise(leader, replica, lost=True)


def whole_claims(sends) -> list[tuple[int, int]]:
    return [(r, m.whole_at) for r, m in sends if isinstance(m, Claim) and m.whole_at]


def test_promises_elect_when_all_who_gave_them_confirm_them():
    leader = make_leader()
    assert say_promise(leader, 0) == []
    asked = say_promise(leader, 1)
    assert asked == [(replica, Claim(3, b"c" * 16, round=2)) for replica in (0, 1)]
    assert confirm(leader, asked, but=0) == [asked[0]]
    assert leader.phase is Phase.CLAIMING
    confirm(leader, [asked[0]])
    assert leader.phase is Phase.OPENING


def test_promise_whose_giver_is_gone_before_it_confirms_does_not_elect():
    leader = make_leader()
    say_promise(leader, 0)
    asked = say_promise(leader, 1)
    leader.disconnected(0)
    confirm(leader, asked, but=0)
    assert leader.phase is Phase.CLAIMING
    promise(leader, 2)
    assert leader.phase is Phase.OPENING


def test_promise_of_a_lost_replica_is_no_vote():
    leader = make_leader()
    promise(leader, 0)
    promise(leader, 1, lost=True)
    assert leader.phase is Phase.CLAIMING
    promise(leader, 2)
    assert leader.phase is Phase.OPENING


def test_copy_of_a_lost_replica_does_not_commit():
    leader = committed_twice()
    confirm(leader, lose(leader, 1), but=2)
    accept(leader, 1, 2)
    data(leader, 7_000)
    accept(leader, 0, 3)
    accept(leader, 1, 3)
    assert leader.commit == 2
    accept(leader, 2, 3)
    assert leader.commit == 3


def test_lost_replica_is_whole_when_it_has_the_log_and_both_others_have_confirmed():
    leader = committed_twice()
    asked = lose(leader, 1)
    assert [(r, m.frames[0].first) for r, m in asked if isinstance(m, Append)] == [(1, 1)]
    claims = [(r, m) for r, m in asked if isinstance(m, Claim) and r != 1]
    assert [replica for replica, _ in claims] == [0, 2]
    assert whole_claims(accept(leader, 1, 2)) == []  # the others have not confirmed yet
    assert whole_claims(confirm(leader, claims[:1])) == []
    sends = leader.step(2, ClaimReply(3, True, 3, EMPTY, claims[1][1].round))
    assert whole_claims(sends) == [(1, 2)]
    confirm(leader, sends)
    data(leader, 7_000)
    accept(leader, 1, 3)
    accept(leader, 0, 3)
    assert leader.commit == 3


def test_lost_replica_that_lags_is_not_whole():
    leader = committed_twice()
    assert whole_claims(confirm(leader, lose(leader, 1), but=1)) == []
    assert whole_claims(accept(leader, 1, 1)) == []
    assert whole_claims(accept(leader, 1, 2)) == [(1, 2)]


def test_confirmation_from_before_the_loss_does_not_help():
    leader = committed_twice()
    lose(leader, 1)
    accept(leader, 1, 2)
    for replica in (0, 2):
        assert whole_claims(leader.step(replica, ClaimReply(3, True, 3, EMPTY, 2))) == []


def test_leader_without_a_majority_of_whole_replicas_is_stranded():
    leader = committed_twice()
    lose(leader, 1)
    assert not leader.stranded
    lose(leader, 2)
    assert leader.stranded


def test_lost_replica_begins_where_the_others_logs_begin():
    leader = make_leader()
    kept = Extent(5, 6, 600, [(2, 5)], 4)
    promise(leader, 0, kept)
    promise(leader, 1, kept)
    assert promise(leader, 2, lost=True)[:2] == [(2, StartAt(3, 5)), (0, Fetch(5, 1024 * 1024))]
    frames = [make_frame([Record(n, 2, 100 * n, 0, b"")]) for n in (5, 6)]
    sends = leader.step(0, Fetched(5, frames))
    assert [(r, m.previous_sequence, m.frames[0].first) for r, m in sends] == [
        (2, 4, 5),
        (2, 6, 7),
    ]


def test_lost_replica_begins_where_what_can_still_be_read_begins():
    leader = make_leader()
    promise(leader, 0, Extent(1, 6, 600, [(2, 1)], 4))
    promise(leader, 1, Extent(1, 6, 600, [(2, 1)], 4))
    assert promise(leader, 2, lost=True) == [(0, Fetch(1, 1024 * 1024))]
    frames = [make_frame([Record(n, 2, 100 * n, 0, b"")]) for n in (5, 6)]
    assert leader.step(0, Fetched(1, frames))[0] == (2, StartAt(3, 5))


@pytest.mark.parametrize("last", [1, 3, 4])
def test_lost_replica_that_ends_before_the_leaders_log_begins_is_begun_anew(last):
    """Another zone has what lies between; but nobody can append behind what the leader has trimmed."""
    leader = make_leader()
    promise(leader, 0, Extent(5, 6, 600, [(2, 5)], 4))
    promise(leader, 1, Extent(1, 6, 600, [(1, 1), (2, 4)], 4))
    sends = promise(leader, 2, Extent(1, last, 100 * last, [(1, 1)], 0), lost=True)
    assert (2, StartAt(3, 5)) in sends
    appends = [
        message for replica, message in sends if replica == 2 and isinstance(message, Append)
    ]
    assert all(append.previous_sequence == 4 for append in appends)


def test_candidate_that_meets_only_lost_replicas_is_stranded_and_never_leads():
    leader = make_leader()
    for replica in range(3):
        promise(leader, replica, lost=True)
    leader.tick()
    confirm(leader, leader.tick())
    assert (leader.stranded, leader.phase) == (True, Phase.CLAIMING)
