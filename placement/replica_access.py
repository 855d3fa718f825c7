"""Letting a cluster's operating system user read the cluster's storage replicas, and nobody else's.

Every cluster has a user and a group of the same number. The storage server, running as root, owns the
files. The group may read two of them (`storage.client.files_for_readers`) and write none: what a reader
writes, it gets as open descriptors, its own and nobody else's.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from dsql.control.layout import Layout
from storage.client import files_for_readers

_WALKED, _READ = 0o710, 0o640


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
