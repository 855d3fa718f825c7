"""What the kernel says of another process of this host: for whoever wonders why it is silent."""

from __future__ import annotations

import os
from typing import NamedTuple


class Condition(NamedTuple):
    """Of a process's main thread: its state, one letter of proc(5), and two sums of seconds.

    `ran_seconds` on a processor, `waited_seconds` for one. 0 where the kernel does not count.
    """

    state: str
    ran_seconds: float
    waited_seconds: float


GONE = Condition("X", 0.0, 0.0)


def condition_of(process_id: int) -> Condition:
    """Return a process's condition; GONE if there is no such process."""
    thread = f"/proc/{process_id}/task/{process_id}"
    try:
        state = _read(f"{thread}/stat").rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError):
        return GONE
    try:
        ran, waited = _read(f"{thread}/schedstat").split()[:2]
        return Condition(state, int(ran) / 1e9, int(waited) / 1e9)
    except (OSError, ValueError):
        return Condition(state, 0.0, 0.0)


def _read(path: str) -> bytes:
    """Return a small file of proc(5). Zones ask tens of times a second: no more than its system calls."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
