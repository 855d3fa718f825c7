"""Nobody is taken for hung who does as it should: clusters keep their leaders when clients come and go."""

from __future__ import annotations

import pytest

from .installation import Installation
from .kernel import worlds_kernel
from .scenario import watched
from .tenant import Tenant
from .world import SECOND, World

_BURSTS = 4


def elections_of_bursts(seed: int) -> int:
    """Return how often a cluster gets another leader whose clients come, go, and come again."""
    world = World(seed)
    with watched(world), worlds_kernel(world):
        installation = Installation(world)
        installation.rest_seconds = 60.0  # who lays the lead down is followed by another epoch
        try:
            tenant = Tenant(installation, installation.identifiers[0], "client")
            tenant.history.pace = 0.01  # seconds between two transactions of a client
            installation.supervise()
            tenant.keep_running()
            world.run(SECOND)  # zones that are woken claim at once, and may meet
            first = tenant.epochs
            for _ in range(_BURSTS):
                tenant.keep_running()
                world.run(world.chance.randint(SECOND, 3 * SECOND))
                for session in tenant.sessions:
                    session.kill()
                world.run(world.chance.randint(SECOND, 4 * SECOND))
            assert any(session.decided for session in tenant.sessions)
            return tenant.epochs - first
        finally:
            installation.remove()


@pytest.mark.parametrize("seed", range(6))
def test_cluster_whose_clients_come_and_go_keeps_its_leader(seed: int) -> None:
    assert elections_of_bursts(seed) == 0
