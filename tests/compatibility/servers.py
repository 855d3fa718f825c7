"""The two servers that suites run on, as the environment variables by which a client finds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import reference
from running_cluster import RunningCluster

Variables = dict[str, str]
_TOKEN_SECONDS = 604_800  # a suite takes longer than the quarter of an hour that is usual


@contextmanager
def postgresql() -> Iterator[Variables]:
    """A PostgreSQL, by its Unix socket."""
    with reference.running() as socket:
        yield {
            "PGHOST": str(socket),
            "PGPORT": "5432",
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
        }


@contextmanager
def cluster(directory: Path) -> Iterator[Variables]:
    """A cluster in the postgres profile, by TLS and a token."""
    running = RunningCluster(directory, "postgres").start()
    try:
        token = running.token(seconds=_TOKEN_SECONDS)
        yield running.variables | {"PGUSER": "admin", "PGPASSWORD": token}
    finally:
        running.stop()
