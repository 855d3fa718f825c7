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
