"""Which boot of the machine this is: memory that was mapped before it is not to be trusted."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def current_boot() -> int:
    """Return a number of 60 bits that changes when the machine starts anew."""
    return int(_BOOT_ID.read_text().replace("-", "")[:15], 16)
