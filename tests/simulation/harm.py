"""What faults are made of: how one zone, one connection or one log comes to harm, and how that ends."""

from __future__ import annotations

from .installation import ZONES, Installation, Zone
from .network import network_of
from .session import Session
from .world import MILLISECOND


class Harm:
    """The installation, as whoever harms it has it.

    `victim` is the zone whose disks may lose or change something, `damaged` names it once they have; `aim`
    is who is to be struck where that is open, None if it is left to chance.
    """

    def __init__(self, installation: Installation, sessions: list[Session]) -> None:
        self.installation = installation
        self.world = installation.world
        self.network = network_of(installation.world)
        self.sessions = sessions
        self.victim = self.world.chance.choice(installation.zones)
        self.damaged: set[str] = set()
        self.aim: Zone | None = None
        self.healed = False

    @property
    def names(self) -> list[str]:
        """The processes that talk to each other."""
        return [*ZONES, *(session.name for session in self.sessions)]

    def any_zone(self) -> Zone:
        """Return the one that is aimed at, or any."""
        return self.aim or self.world.chance.choice(self.installation.zones)

    def any_cluster(self) -> str:
        """Return a cluster."""
        return self.world.chance.choice(self.installation.identifiers)

    def leader(self) -> Zone:
        """Return the zone that leads some cluster; any, if none does."""
        return self.installation.leader(self.any_cluster()) or self.any_zone()

    def kill(self, zone: Zone) -> None:
        """Kill a zone, which is started again some time later."""
        zone.kill()
        self.restart(zone)

    def restart(self, zone: Zone) -> None:
        """Start a zone some time later."""
        delay = self.world.chance.choice((10, 200, 1_000, 4_000)) * MILLISECOND
        self.world.later(self.world.chance.randint(0, delay), zone.start)

    def pause(self, zone: Zone) -> None:
        """Stop a zone, as by a signal, for a while."""
        longest = self.world.chance.choice((20, 300, 3_000, 12_000))
        duration = self.world.chance.randint(1, longest) * MILLISECOND
        if zone.process is not None:
            self.world.note(f"{zone.name} pauses for {duration}")
            zone.process.pause(duration)

    def lose_log(self, zone: Zone) -> None:
        """Kill a zone, and replace a journal's disk by an empty one."""
        zone.kill()
        files = self.installation.files(None)
        directory = self.installation.layout.journal(zone.name, self.any_cluster())
        if files.exists(directory):
            files.remove_tree(directory)
            files.sync_directory(directory.parent)
        self.damaged.add(zone.name)

    def part(self, zone: Zone, other: Zone, milliseconds: int) -> None:
        """Cut two zones off from each other for a while."""
        pairs = [(zone.name, other.name), (other.name, zone.name)]
        self.clog_for(pairs, milliseconds)

    def clog(self, pairs: list[tuple[str, str]]) -> None:
        """Hold up what each source sends to its target, for a while."""
        longest = self.world.chance.choice((50, 500, 3_000, 10_000))
        self.clog_for(pairs, self.world.chance.randint(1, longest))

    def clog_for(self, pairs: list[tuple[str, str]], milliseconds: int) -> None:
        """Hold up what each source sends to its target."""
        if self.healed:
            return
        for source, target in pairs:
            self.network.clog(source, target)
        self.world.later(milliseconds * MILLISECOND, lambda: self.unclog(pairs))

    def unclog(self, pairs: list[tuple[str, str]]) -> None:
        """Let it through again."""
        for source, target in pairs:
            self.network.unclog(source, target)
