"""What a pool of query processors can decide, for the agent to carry out; and how it says no.

Sessions, runs of background jobs and query processors are opaque integers of the agent.
"""

from __future__ import annotations

from typing import NamedTuple

TOO_MANY_CONNECTIONS = "Unable to accept connection, too many open connections."
CLUSTER_DELETED = "terminating connection because the cluster was deleted"
CANNOT_START = "the database system is not accepting connections"


class Fork(NamedTuple):
    """Ask the seed for one more query processor."""


class Assign(NamedTuple):
    """Bind a warm query processor to a cluster; what it is to serve follows as `Serve`."""

    worker: int
    cluster: str


class Serve(NamedTuple):
    """Give a session, or a run of jobs, to a query processor of its cluster."""

    worker: int
    session: int


class Retire(NamedTuple):
    """Tell a query processor to end with the last of its sessions. It gets no more of them."""

    worker: int


class End(NamedTuple):
    """End a query processor that belongs to nobody."""

    worker: int


class Shed(NamedTuple):
    """Ask a query processor to let so many of its sessions go on elsewhere."""

    worker: int
    sessions: int


class Refuse(NamedTuple):
    """Tell a session's relay no."""

    session: int
    sqlstate: str
    message: str


Action = Fork | Assign | Serve | Retire | End | Shed | Refuse
