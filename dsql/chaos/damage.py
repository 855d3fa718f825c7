"""Damaging a zone's files as a disk does that forgets what it was told to keep."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import NamedTuple

from dsql.control.layout import Layout

# what -> (journal's or storage's directory, files in it). One that is not there yet cannot be damaged.
FILES = {
    "journal": ("journal", "*.segment"),
    "promise": ("journal", "state"),
    "storage": ("storage", "environment/data.mdb"),
    "checkpoint": ("storage", "environment/checkpoint"),
}
_TRIES = 1_000
_CHUNK_BYTES = 4096


class Damage(NamedTuple):
    """One bit that was flipped."""

    path: Path
    offset: int
    bit: int

    def __str__(self) -> str:
        return f"bit {self.bit} of byte {self.offset} of {self.path}"


def damageable(layout: Layout, what: str, az: str, cluster: str) -> list[Path]:
    """Return the files of a zone that hold something."""
    room, pattern = FILES[what]
    directory = getattr(layout, room)(az, cluster)
    return [path for path in sorted(directory.glob(pattern)) if path.stat().st_size]


def flip(paths: list[Path], chance: Random) -> Damage | None:
    """Flip a bit of one file where it holds something; None if it holds nothing but zeros."""
    path = chance.choice(paths)
    with path.open("r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for _ in range(_TRIES):
            start = chance.randrange(0, size, _CHUNK_BYTES)
            chunk = os.pread(file.fileno(), _CHUNK_BYTES, start)
            used = [number for number, byte in enumerate(chunk) if byte]
            if used:
                offset, bit = chance.choice(used), chance.randrange(8)
                os.pwrite(file.fileno(), bytes([chunk[offset] ^ 1 << bit]), start + offset)
                return Damage(path, start + offset, bit)
    return None
