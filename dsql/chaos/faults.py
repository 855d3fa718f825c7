"""Which faults there are, in which order they come, and whom they meet. Pure.

A fault is an action on victims. Actions that last are held for some seconds and then undone. Damage is
done to one zone only, and only while the journals of all the others are whole (`dsql.chaos.run` waits for
that): so it can cost no acknowledged commit.
"""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple


class Action(enum.Enum):
    """What is done."""

    KILL = "kill -9"
    PAUSE = "SIGSTOP"
    CUT = "cut off"  # from all other zones, both ways
    DEAFEN = "deafen"  # hears no other zone, is heard by all
    MUTE = "mute"  # hears all other zones, is heard by none
    FILL = "no room for"  # every write beyond a file's first byte fails
    FILL_DISK = "fill the disk"  # a file takes what is asked for
    DAMAGE = "flip a bit of"  # and start the zone again, so that it is met at once


LASTING = frozenset(Action) - {Action.KILL, Action.DAMAGE}


class Victims(enum.Enum):
    """Who is met."""

    LEADER = "leader's zone"
    FOLLOWER = "another zone"
    FOLLOWERS = "two other zones"
    LEADER_AND_ONE = "two zones"
    ZONES = "three zones"
    RELAY = "a relay"
    HOST = "host agent"
    SEED = "seed"
    KEEPER = "keeper"
    SESSIONS = "all query processors"
    EVERYTHING = "everything"
    DISK = ""


class Kind(NamedTuple):
    """A kind of fault. `file`: what of the victim is damaged (`dsql.chaos.damage`)."""

    action: Action
    victims: Victims
    file: str = ""

    @property
    def title(self) -> str:
        """What it is called in the table."""
        damaged = f"{self.file} of " if self.file else ""
        return f"{self.action.value} {damaged}{self.victims.value}".rstrip()


KINDS = {
    "kill-leader": Kind(Action.KILL, Victims.LEADER),
    "kill-zone": Kind(Action.KILL, Victims.FOLLOWER),
    "kill-two-zones": Kind(Action.KILL, Victims.LEADER_AND_ONE),
    "kill-zones": Kind(Action.KILL, Victims.ZONES),
    "kill-relay": Kind(Action.KILL, Victims.RELAY),
    "kill-host": Kind(Action.KILL, Victims.HOST),
    "kill-seed": Kind(Action.KILL, Victims.SEED),
    "kill-keeper": Kind(Action.KILL, Victims.KEEPER),
    "kill-sessions": Kind(Action.KILL, Victims.SESSIONS),
    "kill-everything": Kind(Action.KILL, Victims.EVERYTHING),
    "pause-leader": Kind(Action.PAUSE, Victims.LEADER),
    "pause-zone": Kind(Action.PAUSE, Victims.FOLLOWER),
    "pause-followers": Kind(Action.PAUSE, Victims.FOLLOWERS),
    "pause-relay": Kind(Action.PAUSE, Victims.RELAY),
    "pause-host": Kind(Action.PAUSE, Victims.HOST),
    "pause-seed": Kind(Action.PAUSE, Victims.SEED),
    "pause-keeper": Kind(Action.PAUSE, Victims.KEEPER),
    "pause-sessions": Kind(Action.PAUSE, Victims.SESSIONS),
    "cut-leader": Kind(Action.CUT, Victims.LEADER),
    "cut-zone": Kind(Action.CUT, Victims.FOLLOWER),
    "deafen-leader": Kind(Action.DEAFEN, Victims.LEADER),
    "mute-leader": Kind(Action.MUTE, Victims.LEADER),
    "fill-leader": Kind(Action.FILL, Victims.LEADER),
    "fill-zone": Kind(Action.FILL, Victims.FOLLOWER),
    "fill-disk": Kind(Action.FILL_DISK, Victims.DISK),
    "damage-leader-journal": Kind(Action.DAMAGE, Victims.LEADER, "journal"),
    "damage-journal": Kind(Action.DAMAGE, Victims.FOLLOWER, "journal"),
    "damage-promise": Kind(Action.DAMAGE, Victims.FOLLOWER, "promise"),
    "damage-storage": Kind(Action.DAMAGE, Victims.FOLLOWER, "storage"),
    "damage-leader-storage": Kind(Action.DAMAGE, Victims.LEADER, "storage"),
    "damage-checkpoint": Kind(Action.DAMAGE, Victims.FOLLOWER, "checkpoint"),
}
_SINGLE_ROLES = {
    Victims.RELAY: "relay-1",
    Victims.HOST: "host",
    Victims.SEED: "seed",
    Victims.KEEPER: "keeper",
}
_CUTS = (Action.CUT, Action.DEAFEN, Action.MUTE)


class Abilities(NamedTuple):
    """What can be done: `cuts` if the cluster was started with --chaos, `filler` if its size is known."""

    zones: int
    cuts: bool
    filler: bool


def possible(kind: Kind, abilities: Abilities) -> bool:
    """Return whether a kind of fault can be done to the cluster."""
    if kind.action is Action.FILL_DISK:
        return abilities.filler
    if kind.action in _CUTS and not abilities.cuts:
        return False
    needs_others = kind.action in (*_CUTS, Action.FILL, Action.DAMAGE) or kind.victims in (
        Victims.FOLLOWER,
        Victims.FOLLOWERS,
        Victims.LEADER_AND_ONE,
        Victims.ZONES,
    )
    return abilities.zones >= 3 or not needs_others


def select(patterns: Sequence[str], abilities: Abilities) -> list[str]:
    """Return the kinds that match a pattern ("kill-*") and can be done. Raises LookupError."""
    for pattern in patterns:
        if not fnmatch.filter(KINDS, pattern):
            raise LookupError(f"no fault is called {pattern!r}")
    return [
        name
        for name, kind in KINDS.items()
        if possible(kind, abilities)
        and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


def schedule(names: Sequence[str], chance: Random) -> Iterator[str]:
    """Yield the kinds for ever: each once a round, in an order of its own."""
    while True:
        yield from chance.sample(names, len(names))


def choose_zones(victims: Victims, zones: Sequence[str], leader: str, chance: Random) -> list[str]:
    """Return the zones that are met, none for victims that are no zones."""
    followers = [zone for zone in zones if zone != leader]
    chance.shuffle(followers)
    return {
        Victims.LEADER: [leader],
        Victims.FOLLOWER: followers[:1],
        Victims.FOLLOWERS: followers[:2],
        Victims.LEADER_AND_ONE: [leader, *followers[:1]],
        Victims.ZONES: list(zones),
    }.get(victims, [])


def role_of(victims: Victims) -> str:
    """Return the role that is met, as its process is named; "" for victims that are several."""
    return _SINGLE_ROLES.get(victims, "")


def cuts(action: Action, zone: str, zones: Sequence[str]) -> list[tuple[str, str]]:
    """Return (hearer, speaker) of every direction that is cut."""
    others = [other for other in zones if other != zone]
    deaf = [(zone, other) for other in others] if action is not Action.MUTE else []
    mute = [(other, zone) for other in others] if action is not Action.DEAFEN else []
    return deaf + mute
