"""How long a commit takes at most whose leader dies, hangs or is sick, in virtual time.

What is left is what the protocols wait for: the failure detector, rounds between zones, disks, patience. So
these bounds hold on any machine, and real time adds only what real processors take.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adjudicator.client import AdjudicatorClient

from .installation import Installation, Zone
from .kernel import worlds_kernel
from .scenario import watched
from .tenant import Tenant
from .world import SECOND, World

_STRIKES = 3


def die(zone: Zone) -> None:
    zone.kill()


def hang(zone: Zone) -> None:
    """Stand still for longer than anybody waits."""
    assert zone.process is not None
    zone.process.pause(20 * SECOND)


def let_disk_stand_still(zone: Zone) -> None:
    """Let whatever is asked of the disk wait for longer than anybody does."""
    zone.disk.stalled_until = zone.disk.world.now + 20 * SECOND


def slow_disk_down(zone: Zone) -> None:
    """Let a sync take some tenths of a second."""
    zone.disk.sync_delay = SECOND // 2


def break_disk(zone: Zone) -> None:
    """Let every write fail."""
    zone.disk.write_errors = 1.0


def longest_commit(seed: int, strike: Callable[[Zone], None], strikes: int = _STRIKES) -> float:
    """Return how many seconds the longest commit of a busy cluster takes whose leaders are struck."""
    world = World(seed)
    commit, longest = AdjudicatorClient.commit, 0

    def timed(
        client: AdjudicatorClient, encoded: bytes, transaction_id: bytes, premises: bytes = b""
    ) -> object:
        nonlocal longest
        began = world.now
        outcome = commit(client, encoded, transaction_id, premises)
        longest = max(longest, world.now - began)
        return outcome

    with watched(world), pytest.MonkeyPatch.context() as patch, worlds_kernel(world):
        installation = Installation(world)
        try:
            tenant = Tenant(installation, installation.identifiers[0], "client")
            tenant.history.pace = 0.01  # seconds between two transactions of a client
            installation.supervise()
            while any(session.decided < 3 for session in tenant.sessions):
                tenant.keep_running()
                world.run(SECOND // 2)
            patch.setattr(AdjudicatorClient, "commit", timed)
            for _ in range(strikes):
                leader = installation.leader(installation.identifiers[0])
                assert leader is not None
                strike(leader)
                world.run(SECOND)
                if leader.process is not None:
                    leader.process.resume()
                installation.supervise()
                world.run(SECOND)
            return longest / SECOND
        finally:
            installation.remove()


@pytest.mark.parametrize("seed", range(4))
def test_commit_whose_leader_dies_waits_for_a_few_rounds_only(seed: int) -> None:
    assert 0 < longest_commit(seed, die) < 0.03


@pytest.mark.parametrize("seed", range(4))
def test_commit_whose_leader_hangs_waits_for_the_failure_detector_and_a_few_rounds(
    seed: int,
) -> None:
    assert 0.05 < longest_commit(seed, hang) < 0.2


@pytest.mark.parametrize(
    ("sicken", "bound"),
    [
        # One write on the event loop finds it out; a process that waits for a disk is not suspected soon.
        pytest.param(let_disk_stand_still, 1.5, id="stands_still"),
        pytest.param(slow_disk_down, 1.0, id="is_slow"),
        pytest.param(break_disk, 0.03, id="fails"),
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_commit_whose_leaders_disk_is_sick_waits_for_a_bounded_time(
    seed: int, sicken: Callable[[Zone], None], bound: float
) -> None:
    assert 0 < longest_commit(seed, sicken, strikes=1) < bound
