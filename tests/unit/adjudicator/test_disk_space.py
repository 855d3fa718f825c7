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
    status = SimpleNamespace(f_bavail=RESERVE_BYTES, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: looks.append(path) or status)
    space = DiskSpace(tmp_path, lambda: 7.0)
    assert not space.low
    assert not space.low
    assert looks == [tmp_path]


def test_new_space_is_seen_at_once(monkeypatch, tmp_path: Path) -> None:
    status = SimpleNamespace(f_bavail=0, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda _: status)
    space = DiskSpace(tmp_path, lambda: 7.0)
    assert space.low
    status.f_bavail = RESERVE_BYTES
    assert not space.low
