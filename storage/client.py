"""What other roles use of storage: replicas to read from, on this host or behind a socket."""

from __future__ import annotations

from storage.local_replica import LocalReplica
from storage.remote_replica import RemoteReplica, open_cluster
from storage.warm_up import warm_up

__all__ = ["LocalReplica", "RemoteReplica", "open_cluster", "warm_up"]
