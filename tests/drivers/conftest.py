from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_cluster import RunningCluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """One cluster for all driver tests; each test uses table names of its own."""
    directory: Path = tmp_path_factory.mktemp("drivers")
    running = RunningCluster(directory).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def postgres_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster in the postgres profile, for what Aurora DSQL refuses."""
    directory: Path = tmp_path_factory.mktemp("drivers-postgres")
    running = RunningCluster(directory, profile="postgres").start()
    yield running
    running.stop()
