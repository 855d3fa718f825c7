"""The commit protocol under crashes, losses, pauses and rival leaders; and that its absence is seen."""

from __future__ import annotations

import random

import pytest

from journal.codec import Append
from journal.leader import Leader
from journal.replica import Output, Promise, Replica

from .history import ViolationError
from .leader_node import LeaderNode
from .replica_node import ReplicaNode
from .scenario import Parts, run

FIXED_SEEDS = range(45)
RANDOM_SEEDS = 10
NEGATIVE_SEEDS = range(150)


@pytest.mark.parametrize("first", range(0, len(FIXED_SEEDS), 15))
def test_no_promise_is_broken_on_fixed_seeds(first):
    results = [run(seed) for seed in FIXED_SEEDS[first : first + 15]]
    assert sum(result.commits for result in results) > 15 * 20
    assert sum(result.aborts for result in results) > 20
    assert sum(result.epochs for result in results) > 15 * 3
    assert sum(result.lost_disks for result in results) > 15 / 2


def test_no_promise_is_broken_on_new_seeds():
    for _ in range(RANDOM_SEEDS):
        run(random.SystemRandom().randrange(1 << 32))


def test_same_seed_gives_the_same_trace():
    assert run(7).trace == run(7).trace
    assert run(7).trace != run(8).trace


class _Unfenced(Replica):
    def append(self, append: Append) -> list[Output]:
        self.promise = Promise(append.epoch, b"")
        return super().append(append)


class _UnfencedNode(ReplicaNode):
    replica_class = _Unfenced


class _ForgetfulNode(ReplicaNode):
    keeps_promises = False


class _HastyNode(ReplicaNode):
    syncs_before_answering = False


class _UnawareNode(ReplicaNode):
    knows_that_it_is_lost = False


class _LonelyLeader(Leader):
    def _advance(self) -> None:
        self._replicas.quorum = type("One", (), {"copies": 3, "writes": 1, "claims": 2})()
        super()._advance()


class _LonelyLeaderNode(LeaderNode):
    leader_class = _LonelyLeader


# A forgotten promise matters only if most replicas crash just before an old leader wakes up.
_POWER = ("crash all", "replace leader")
_POWER_AND_RIVALS = ("crash all", "zombie")
_LOSSES = ("lose disk", "crash one", "replace leader")


class _UnmindfulLeaderNode(LeaderNode):
    def _recover_outcomes(self) -> None:
        assert self.pipeline is not None
        self.pipeline.recall([], 0, more=False)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Parts(replica=_UnfencedNode), id="replicas_do_not_fence"),
        pytest.param(
            Parts(replica=_ForgetfulNode, faults=_POWER_AND_RIVALS),
            id="promises_are_forgotten_in_a_crash",
        ),
        pytest.param(Parts(replica=_HastyNode, faults=_POWER), id="answers_before_the_sync"),
        pytest.param(
            Parts(leader=_LonelyLeaderNode, faults=_POWER), id="acknowledged_before_the_quorum"
        ),
        pytest.param(
            Parts(replica=_UnawareNode, faults=_LOSSES), id="replicas_that_lost_their_disk_count"
        ),
        pytest.param(Parts(leader=_UnmindfulLeaderNode), id="former_commits_are_not_recalled"),
    ],
)
def test_broken_variant_is_caught(broken):
    for seed in NEGATIVE_SEEDS:
        try:
            run(seed, broken)
        except (ViolationError, AssertionError):
            return
    pytest.fail("no seed showed the fault")
