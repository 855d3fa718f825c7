"""What the kernel says of another process of this host: for whoever wonders why it is silent.

A process that is killed closes its connections when the last of its threads has taken its memory apart,
which takes a zone 10 to 50 ms on a busy machine. All its other threads end within a millisecond. So it
keeps two that do nothing, its sentinels: whichever is the last, the other one's end tells of its death.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from typing import NamedTuple

SENTINELS = 2
_PIDFD_THREAD = os.O_EXCL  # pidfd_open(2), since Linux 6.9


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


def start_sentinels() -> list[int]:
    """Start this process's sentinels; return their thread ids."""
    sentinels = [
        threading.Thread(target=threading.Event().wait, name="sentinel", daemon=True)
        for _ in range(SENTINELS)
    ]
    for sentinel in sentinels:
        sentinel.start()
    return [sentinel.native_id or 0 for sentinel in sentinels]


def watch_death(process_id: int, sentinels: Sequence[int]) -> list[int]:
    """Return descriptors of which one is readable as soon as that process dies.

    None where the kernel cannot tell, or where these are not threads of a process of this host.
    """
    descriptors: list[int] = []
    with contextlib.suppress(OSError):
        for sentinel in sentinels[:SENTINELS]:
            os.stat(f"/proc/{process_id}/task/{sentinel}")
            descriptors.append(os.pidfd_open(sentinel, _PIDFD_THREAD))
    return descriptors


def pidfd_of_thread_works() -> bool:
    """Tell whether the kernel can tell of a thread's end."""
    try:
        os.close(os.pidfd_open(threading.get_native_id(), _PIDFD_THREAD))
    except OSError:
        return False
    return True


def _read(path: str) -> bytes:
    """Return a small file of proc(5). Zones ask tens of times a second: no more than its system calls."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
