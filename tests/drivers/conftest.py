from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_cluster import RunningCluster

# With DSQL_TEST_PARK_SECONDS=0 every session moves to another query processor wherever it may.
_PARK_SECONDS = os.environ.get("DSQL_TEST_PARK_SECONDS")
OPTIONS = ("--park-seconds", _PARK_SECONDS) if _PARK_SECONDS else ()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """One cluster for all driver tests; each test uses table names of its own."""
    directory: Path = tmp_path_factory.mktemp("drivers")
    running = RunningCluster(directory, options=OPTIONS).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def postgres_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster in the postgres profile, for what Aurora DSQL refuses."""
    directory: Path = tmp_path_factory.mktemp("drivers-postgres")
    running = RunningCluster(directory, "postgres", OPTIONS).start()
    yield running
    running.stop()
