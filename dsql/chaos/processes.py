"""Signals and limits for the processes of a running cluster, found by the names of their roles."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterable
from pathlib import Path

from dsql.control.layout import Layout
from dsql.control.running import read_processes

_ROOM_BYTES = 1


def processes_of(layout: Layout, names: Iterable[str]) -> list[int]:
    """Return the process ids of roles ("us-east-1a.az", "relay-1"), without those that do not run."""
    running = read_processes(layout)
    return [running[name].process_id for name in names if name in running]


def query_processors_of(cluster: str) -> list[int]:
    """Return the query processors of a cluster by what they call themselves: some outlive their seed."""
    name = f"dsql: {cluster[:8]}"
    candidates = (entry for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [int(entry.name) for entry in candidates if _name(entry) == name]


def send(process_ids: Iterable[int], number: signal.Signals) -> int:
    """Send a signal to those that still live; return how many these were."""
    sent = 0
    for process_id in process_ids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, number)
            sent += 1
    return sent


def limit_files(process_ids: Iterable[int]) -> int:
    """Leave no room: each write beyond the first byte of a file fails with EFBIG from now on."""
    return sum(_limit(process_id, _ROOM_BYTES) for process_id in process_ids)


def lift_limits(process_ids: Iterable[int]) -> int:
    """Undo `limit_files`."""
    return sum(_limit(process_id, None) for process_id in process_ids)


def _limit(process_id: int, size: int | None) -> bool:
    """Let a process's files grow to `size`, None: as far as they ever could. False if it is gone."""
    try:
        _, hard = resource.prlimit(process_id, resource.RLIMIT_FSIZE)
        soft = hard if size is None else size
        resource.prlimit(process_id, resource.RLIMIT_FSIZE, (soft, hard))
    except ProcessLookupError:
        return False
    return True


def _name(entry: Path) -> str | None:
    """Return what a process calls itself, None if it has ended meanwhile."""
    try:
        return (entry / "comm").read_text().rstrip("\n")
    except OSError:
        return None
