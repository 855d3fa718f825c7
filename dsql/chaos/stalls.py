"""How long clients waited: the longest time without a success, for each probe and fault. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import msgspec

PROBES = ("commits", "reads", "connections")


class Pulse:
    """The moments at which a probe succeeded, in seconds of one clock."""

    def __init__(self) -> None:
        self._beats: list[float] = []

    def beat(self, now: float) -> None:
        """It succeeded."""
        self._beats.append(now)

    @property
    def newest(self) -> float:
        """The last success, 0 before the first."""
        return self._beats[-1] if self._beats else 0.0

    def longest_gap(self, begin: float, end: float) -> float:
        """Return the longest time without a success that lies in part between `begin` and `end`.

        It counts as a whole, from the success before it to the one behind it, or to `end`.
        """
        gaps = (
            later - earlier
            for earlier, later in itertools.pairwise([*self._beats, max(end, self.newest)])
            if later > begin and earlier < end
        )
        return max(gaps, default=0.0)

    def forget(self, before: float) -> None:
        """Drop what is older, but for the success that the next gap begins with."""
        kept = [beat for beat in self._beats if beat >= before]
        self._beats = [*self._beats[: len(self._beats) - len(kept)][-1:], *kept]


class Fault(msgspec.Struct):
    """A fault that was done: when (seconds since the start), to whom, and what the clients noticed.

    `stalls` are seconds by probe; `recovered_seconds`, counted from the end of the fault, is None if
    the cluster was not as before in time; `remaining` then says what was still wrong.
    """

    name: str
    title: str
    at: float
    done: str
    held_seconds: float
    stalls: dict[str, float]
    recovered_seconds: float | None
    remaining: list[str]


def table(faults: Sequence[Fault]) -> str:
    """Return the longest stalls of each kind of fault, in seconds."""
    lines = [
        f"{'FAULT':<42} {'TIMES':>5} {'COMMITS':>8} {'READS':>8} {'CONNECTS':>8} {'RECOVERED':>9}"
    ]
    kinds: dict[tuple[str, float], list[Fault]] = {}
    for fault in faults:
        kinds.setdefault((fault.title, fault.held_seconds), []).append(fault)
    for (title, held), same in kinds.items():
        name = f"{title}, {held:g} s" if held else title
        stalls = " ".join(f"{longest(same, probe):>8.3f}" for probe in PROBES)
        recoveries = [f.recovered_seconds for f in same if f.recovered_seconds is not None]
        recovered = f"{max(recoveries):.1f}" if len(recoveries) == len(same) else "no"
        lines.append(f"{name:<42} {len(same):>5} {stalls} {recovered:>9}")
    return "\n".join(lines)


def longest(faults: Sequence[Fault], probe: str) -> float:
    """Return the longest stall of a probe."""
    return max(fault.stalls[probe] for fault in faults)


def progress(fault: Fault) -> str:
    """Return one line about one fault."""
    stalls = ", ".join(f"{probe} {fault.stalls[probe]:.3f}" for probe in PROBES)
    ended = (
        f"as before after {fault.recovered_seconds:.1f} s"
        if fault.recovered_seconds is not None
        else f"NOT RECOVERED: {'; '.join(fault.remaining)}"
    )
    return f"[{fault.at:7.1f} s] {fault.done}: {stalls}; {ended}"


def summary(faults: Sequence[Fault]) -> Mapping[str, Mapping[str, float]]:
    """Return the longest stalls by kind of fault and probe."""
    names = dict.fromkeys(fault.name for fault in faults)
    return {
        name: {
            probe: longest([fault for fault in faults if fault.name == name], probe)
            for probe in PROBES
        }
        for name in names
    }
