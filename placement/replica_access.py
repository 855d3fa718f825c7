"""Letting a cluster's operating system user read the cluster's storage replicas, and nobody else's.

Every cluster has a user and a group of the same number. The storage server, running as root, owns the
files. The group may read two of them (`storage.client.files_for_readers`) and write none: what a reader
writes, it gets as open descriptors, its own and nobody else's.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from dsql.control.layout import ClusterRecord, Layout
from storage.client import files_for_readers

_WALKED, _READ = 0o710, 0o640
_SETTLED_NANOSECONDS = 1_000_000_000


class OpenReplicas:
    """The replicas of one cluster as they were when its user was let in: anew where they were made anew.

    As long as they are the same, to look costs one `stat` for each zone.
    """

    def __init__(self, layout: Layout, cluster: str, uid: int) -> None:
        self._layout = layout
        self._cluster = cluster
        self._uid = uid
        self._folders: list[Path] = []  # of the files that readers need
        self._seen: list[tuple[int, int] | None] = []

    def keep(self) -> None:
        """Let the user in where that has to be done again. Raises RecordDamagedError."""
        # Before the files are looked at: what changes meanwhile is seen the next time.
        seen = [_identity(folder) for folder in self._folders]
        if seen and None not in seen and seen == self._seen:
            return
        record = self._layout.read_cluster(self._cluster)
        if record is not None:  # else it is just being deleted
            self._open(record, seen)

    def _open(self, record: ClusterRecord, seen: list[tuple[int, int] | None]) -> None:
        open_to_user(self._layout, self._cluster, record.azs, self._uid)
        self._seen = seen
        replicas = [self._layout.storage(az, self._cluster) for az in record.azs]
        self._folders = [files_for_readers(replica)[0].parent for replica in replicas]


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what changes when a folder is another one or gets other files; None: look there again.

    Two changes within a tick of the kernel's clock leave the same time behind, so a new one says nothing.
    """
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NANOSECONDS
    return (status.st_ino, status.st_mtime_ns) if settled else None


def open_to_user(layout: Layout, cluster: str, azs: Iterable[str], uid: int) -> None:
    """Give the group `uid` what it needs of the replicas, and others nothing. Does nothing unless root.

    The way there, from the data directory down, may be walked but not listed.
    """
    if os.geteuid() != 0:
        return
    for az in azs:
        replica = layout.storage(az, cluster)
        replica.mkdir(parents=True, exist_ok=True)
        for folder in (layout.root, layout.root / az, replica.parent):
            mode = stat.S_IMODE(folder.stat().st_mode)
            if not mode & stat.S_IXOTH:
                folder.chmod(mode | stat.S_IXOTH)
        _give(replica, _WALKED, uid)
        for path in files_for_readers(replica):
            _give(path.parent, _WALKED, uid)
            _give(path, _READ, uid)


def _give(path: Path, mode: int, uid: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # the storage server has replaced it meanwhile
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return
        if status.st_gid != uid:
            os.chown(path, -1, uid)
        if stat.S_IMODE(status.st_mode) != mode:
            os.chmod(path, mode)
