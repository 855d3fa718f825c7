"""What other roles use of storage: replicas to read from, on this host or behind a socket."""

from __future__ import annotations

from storage.environment import files_for_readers
from storage.local_replica import LocalReplica
from storage.reader_slot import ReaderSlot, open_slot, report_crash
from storage.remote_replica import RemoteReplica, open_cluster
from storage.warm_up import warm_up

__all__ = [
    "LocalReplica",
    "ReaderSlot",
    "RemoteReplica",
    "files_for_readers",
    "open_cluster",
    "open_slot",
    "report_crash",
    "warm_up",
]
