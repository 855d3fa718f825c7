"""A disk that really fills: a small tmpfs, where the tests may mount one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from running_cluster import RunningCluster

SMALL, LARGE = "size=64m", "size=256m"
ROW_BYTES = 200_000
ROWS_MAX = 1_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if _mount("-t", "tmpfs", "-o", SMALL, "tmpfs", str(disk)) != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def _mount(*words: str) -> int:
    return subprocess.run(["mount", *words], stderr=subprocess.DEVNULL, check=False).returncode


def test_a_full_disk_refuses_writes_and_loses_nothing(disk: Path) -> None:
    cluster = RunningCluster(disk / "cluster").start()
    try:
        with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
            connection.execute("create table filling (id int primary key, v text)")
            stored = fill(connection)
            assert count(connection) == stored
            _mount("-o", f"remount,{LARGE}", str(disk))
            connection.execute("insert into filling values (-1, 'there is room again')")
        cluster.kill()
        cluster.start()
        with psycopg.connect(**cluster.dsn()) as connection:
            assert count(connection) == stored + 1
    finally:
        cluster.stop()


def fill(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """Insert until that is refused; return how many rows were taken."""
    taken = 0
    with pytest.raises(psycopg.errors.DiskFull, match="No space left on device"):
        while taken < ROWS_MAX:
            connection.execute("insert into filling values (%s, %s)", [taken, "x" * ROW_BYTES])
            taken += 1
    return taken


def count(connection: psycopg.Connection[tuple[object, ...]]) -> object:
    row = connection.execute("select count(*) from filling").fetchone()
    assert row is not None
    return row[0]
