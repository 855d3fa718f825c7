"""Letting a cluster's operating system user read the cluster's storage replicas, and nobody else's.

Every cluster has a user and a group of the same number. The storage server, running as root, owns the
files; the group may read the data and write what readers share with the writer. Directories pass the
group on to files that are made later (setgid).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from dsql.control.layout import Layout

WRITTEN_BY_READERS = ("lock.mdb", "board", "wake")  # see storage/environment.py
_DIRECTORY, _SHARED, _DATA = 0o2750, 0o660, 0o640


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
        for walked, _, names in os.walk(replica):
            _give(walked, _DIRECTORY, uid)
            for name in names:
                shared = name in WRITTEN_BY_READERS
                _give(os.path.join(walked, name), _SHARED if shared else _DATA, uid)


def shared_files(replicas: Iterable[Path]) -> Iterator[str]:
    """Yield the files of these replicas that readers write."""
    for replica in replicas:
        for folder, _, names in os.walk(replica):
            yield from (os.path.join(folder, name) for name in names if name in WRITTEN_BY_READERS)


def _give(path: str, mode: int, uid: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # the storage server has replaced it meanwhile
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return
        if status.st_gid != uid:
            os.chown(path, -1, uid)
        if stat.S_IMODE(status.st_mode) != mode:
            os.chmod(path, mode)
