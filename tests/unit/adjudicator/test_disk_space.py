from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

from adjudicator.disk_space import RESERVE_BYTES, DiskSpace


def test_the_reserve_is_not_for_new_transactions(monkeypatch, tmp_path: Path) -> None:
    free = RESERVE_BYTES
    moments = iter(range(10))
    space = DiskSpace(tmp_path, lambda: float(next(moments)))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free, f_frsize=1))
    assert not space.low
    free -= 1
    assert space.low
    free += 1
    assert not space.low


def test_the_disk_is_not_looked_at_for_every_commit(monkeypatch, tmp_path: Path) -> None:
    looks = []
    monkeypatch.setattr(
        os, "statvfs", lambda path: looks.append(path) or SimpleNamespace(f_bavail=0, f_frsize=1)
    )
    space = DiskSpace(tmp_path, lambda: 7.0)
    assert space.low
    assert space.low
    assert looks == [tmp_path]
