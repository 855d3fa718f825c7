"""How large and how old pools of query processors may become."""

from __future__ import annotations

import msgspec

from dsql import limits


class PoolSettings(msgspec.Struct, frozen=True):
    """How large and how old a pool may become.

    `processes_per_cluster` is best the number of processors: a query processor has one thread.
    """

    warm: int = 4
    query_processors_max: int = 2_000
    processes_per_cluster: int = 2
    sessions_per_process_max: int = limits.SESSIONS_PER_PROCESS_MAX
    sessions_per_cluster_max: int = limits.CONNECTIONS_MAX
    lifetime_seconds: float = float(limits.CONNECTION_SECONDS_MAX)
    lifetime_jitter: float = (
        0.2  # a fifth less at most, so that a fleet started at once does not end at once
    )
    idle_seconds: float = 60.0
    wait_seconds: float = 50.0
    forks_at_once: int = 4
    fork_seconds: float = 10.0  # if none of the forks asked for has come by then, they are lost
    fork_retry_seconds: float = 0.5  # after one that failed: memory or process ids were short
    rapid_death_seconds: float = 2.0  # a warm one that dies this young was never able to work
    rapid_deaths_max: int = 5
    backoff_seconds: float = 5.0
