"""What a replica promises and takes, message by message; and what a lost one does."""

from __future__ import annotations

from journal.codec import Append
from journal.messages import AppendStatus, Claim, ClaimReply, Extent, Record, StartAt
from journal.replica import Clear, Promise, Replica, Reply, SavePromise
from journal.segment import Frame, make_frame

EMPTY = Extent(1, 0, 0, [], 0)
CANDIDATE = b"c" * 16
RIVAL = b"r" * 16


def frames(*sequences: int) -> list[Frame]:
    return [make_frame([Record(n, 2, 100 * n, 0, b"")]) for n in sequences]


def lost_replica() -> Replica:
    """One that has promised epoch 3."""
    replica = Replica(Promise(0, b"", whole=False), EMPTY)
    replica.claim(Claim(3, CANDIDATE))
    return replica


def claim_reply(replica: Replica, claim: Claim) -> ClaimReply:
    reply = replica.claim(claim)[-1]
    assert isinstance(reply, Reply)
    assert isinstance(reply.message, ClaimReply)
    return reply.message


def status(replica: Replica, append: Append) -> int:
    reply = replica.append(append)[-1]
    assert isinstance(reply, Reply)
    return reply.message.status


def test_epoch_is_promised_to_one_candidate():
    replica = Replica(Promise(0, b""), EMPTY)
    assert claim_reply(replica, Claim(3, CANDIDATE)).granted
    assert not claim_reply(replica, Claim(3, RIVAL)).granted
    assert claim_reply(replica, Claim(3, CANDIDATE)).granted


def test_promise_said_again_is_not_saved_again_and_tells_the_round():
    replica = Replica(Promise(3, CANDIDATE), EMPTY)
    (reply,) = replica.claim(Claim(3, CANDIDATE, round=7))
    assert reply == Reply(ClaimReply(3, True, 3, EMPTY, 7, lost=False))


def test_lost_replica_promises_and_takes_frames_and_says_that_it_is_lost():
    replica = Replica(Promise(0, b"", whole=False), EMPTY)
    saved, reply = replica.claim(Claim(3, CANDIDATE))
    assert saved == SavePromise(Promise(3, CANDIDATE, whole=False))
    assert reply == Reply(ClaimReply(3, True, 3, EMPTY, 0, lost=True))
    assert status(replica, Append(3, 0, 0, 0, 0, frames(1))) == AppendStatus.ACCEPTED


def test_lost_replica_with_the_log_is_whole_and_writes_that_down_before_it_says_so():
    replica = lost_replica()
    replica.append(Append(3, 0, 0, 0, 0, frames(1, 2)))
    saved, reply = replica.claim(Claim(3, CANDIDATE, whole_at=2))
    assert saved == SavePromise(Promise(3, CANDIDATE, whole=True))
    assert isinstance(reply, Reply)
    assert not reply.message.lost


def test_lost_replica_without_all_of_the_log_stays_lost():
    replica = lost_replica()
    replica.append(Append(3, 0, 0, 0, 0, frames(1)))
    assert claim_reply(replica, Claim(3, CANDIDATE, whole_at=2)).lost


def test_only_the_leader_that_is_promised_makes_a_lost_replica_whole():
    replica = lost_replica()
    replica.append(Append(3, 0, 0, 0, 0, frames(1, 2)))
    replica.claim(Claim(4, RIVAL))
    reply = claim_reply(replica, Claim(3, CANDIDATE, whole_at=2))
    assert (reply.granted, reply.lost) == (False, True)
    assert claim_reply(replica, Claim(5, CANDIDATE, whole_at=2)).lost


def test_log_of_a_lost_replica_can_begin_further_on():
    replica = lost_replica()
    replica.append(Append(3, 0, 0, 0, 0, frames(1)))
    assert replica.start_at(StartAt(3, 5)) == [Clear(5)]
    assert status(replica, Append(3, 4, 2, 0, 0, frames(5, 6))) == AppendStatus.ACCEPTED
    assert replica.start_at(StartAt(3, 5)) == []  # said twice: what came meanwhile stays
    assert (replica.log.first, replica.log.last) == (5, 6)


def test_whole_replica_never_forgets_its_log():
    replica = Replica(Promise(3, CANDIDATE), EMPTY)
    replica.append(Append(3, 0, 0, 0, 0, frames(1)))
    assert replica.start_at(StartAt(3, 5)) == []
    assert replica.log.last == 1


def test_storage_that_is_ahead_of_the_log_dispenses_with_no_record_that_the_log_lacks():
    replica = Replica(Promise(3, CANDIDATE), EMPTY)
    replica.checkpoint = 9
    assert claim_reply(replica, Claim(3, CANDIDATE)).extent.checkpoint == 0
    (*_, reply) = replica.append(Append(3, 0, 0, 0, 0, frames(1, 2)))
    assert isinstance(reply, Reply)
    assert reply.message.checkpoint == 2
