"""What the kernel says of another process of this host: for whoever wonders why it is silent."""

from __future__ import annotations

from pathlib import Path
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
    thread = Path(f"/proc/{process_id}/task/{process_id}")
    try:
        state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return GONE
    try:
        ran, waited = (thread / "schedstat").read_text().split()[:2]
        return Condition(state, int(ran) / 1e9, int(waited) / 1e9)
    except (OSError, ValueError):
        return Condition(state, 0.0, 0.0)
