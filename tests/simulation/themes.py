"""What some seeds are about: constants and faults that reach a rare road only together.

Chance alone finds such a road in one of a thousand seeds: that a log is trimmed within seconds, pieces
are small enough for another one to be in the midst of catching up, and nobody takes the lead meanwhile.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

_SHARE = 0.3  # of all seeds have one


@dataclass(frozen=True)
class Theme:
    """`constants` by their names in `constants.py`, `faults` by those of the methods of `Faults`.

    `settings` are some of those of storage (`FollowerSettings`), `gap` the seconds between two faults.
    """

    faults: tuple[str, ...] = ()
    constants: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    gap: float = 0.0


NONE = Theme()
THEMES = {
    # A log that others have trimmed, while one is behind with it piece by piece.
    "trimming": Theme(
        ("lose_storage", "lose_storage", "slow_disk"),
        {
            "SEGMENT_BYTES": 2_048,
            "FETCH_BYTES": 1_000,
            "WINDOW_BYTES": 0,
            "WINDOW_MICROSECONDS": 500_000,
            "_RETENTION_SECONDS": 0.2,
        },
        {"checkpoint_seconds": 0.5},
        gap=3.0,
    ),
    # Frames that come from the disks of replicas, some of which have yet to cut what nobody else got.
    "fetching": Theme(
        ("fork", "fork", "fork", "stall_service"),
        {"WINDOW_BYTES": 0, "FETCH_BYTES": 20_000, "_RECENT_BYTES": 0},
        gap=1.0,
    ),
    # Crashes of the machine, as soon as possible behind what had to be synced.
    "crashing": Theme(
        ("crash_host", "crash_host", "kill_leader", "ambush"),
        {"SEGMENT_BYTES": 2_048},
        {"checkpoint_seconds": 0.5, "checkpoint_bytes": 20_000},
        gap=0.7,
    ),
    # A clock file that is damaged, and leaders that do not know that there are others.
    "clocks": Theme(
        ("damage_clock", "damage_clock", "pause_leader", "isolate_zone"),
        gap=0.5,
    ),
    # A candidate that is alone, and whose own log opens late.
    "promising": Theme(
        ("late_promise", "late_promise", "stall_service"),
        {"LONELY_SECONDS": 0.3, "_LOOKS_PER_TICK": 2, "_RECONNECT_SECONDS_MAX": 0.1},
        gap=2.0,
    ),
}


def draw_theme(chance: random.Random, name: str = "") -> Theme:
    """Return what a seed is about: mostly nothing, unless a theme is named."""
    drawn = chance.choice(tuple(THEMES.values()))
    is_themed = chance.random() < _SHARE
    if name:
        return THEMES[name]
    return drawn if is_themed else NONE
