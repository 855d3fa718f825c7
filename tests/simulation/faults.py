"""What goes wrong, and how often: a kind of fault is in use in some seeds and not in others.

Every fault heals by itself or in `heal`. Damage, which the zones' copies must make good, comes to one
zone only: with two of three logs gone nobody could know what was acknowledged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from storage.environment import ENVIRONMENT
from storage.mvcc import HEADER_BYTES

from .harm import Harm
from .installation import Installation
from .probes import PROBES, STEPS, Probes
from .session import Session
from .stories import Stories
from .themes import Theme
from .world import MILLISECOND, SECOND

_VALUE = re.compile(rb"(client|guest)\d+/\d+")  # what a client writes (session.py)
YEAR = 365 * 86_400 * SECOND


class Faults:
    """The faults of one run. `counts` tells how often each has come."""

    def __init__(
        self, installation: Installation, sessions: list[Session], probes: Probes, theme: Theme
    ) -> None:
        self.counts: dict[str, int] = {}
        self._installation = installation
        self._world = installation.world
        self._harm = Harm(installation, sessions)
        self._network = self._harm.network
        self._sessions = sessions
        self._probes = probes
        stories = Stories(self._harm, probes)
        kinds: list[Callable[[], None]] = [
            self.kill_zone,
            self.kill_leader,
            self.kill_all,
            self.crash_host,
            self.stop_zone,
            self.pause_zone,
            self.pause_leader,
            self.kill_session,
            self.pause_session,
            self.break_connections,
            self.stall_service,
            self.clog_one_way,
            self.isolate_zone,
            self.swizzle_clog,
            self.step_clock,
            self.slow_disk,
            self.stall_disk,
            self.sicken_leader,
            self.fill_disk,
            self.damage_disk,
            self.damage_rows,
            self.damage_clock,
            self.fail_writes,
            self.lose_log,
            self.ambush,
            stories.fork,
            stories.lose_storage,
            stories.late_promise,
        ]
        self._sudden = [
            self.kill_zone,
            self.kill_all,
            self.crash_host,
            self.pause_zone,
            self.break_connections,
            self.isolate_zone,
            self.lose_log,
        ]
        chance = self._world.chance
        share = chance.choice((0.2, 0.5, 1.0))
        self._kinds = [kind for kind in kinds if chance.random() < share] or kinds
        self._gap = chance.choice((0.2, 0.6, 2.0))
        if theme.faults:
            by_name = {kind.__name__: kind for kind in kinds}
            self._kinds = [by_name[name] for name in theme.faults] + self._kinds[:1]
            self._gap = theme.gap
        self._draw_surroundings()

    @property
    def damaged(self) -> set[str]:
        """The zones whose disks have lost or changed something."""
        return self._harm.damaged

    def _draw_surroundings(self) -> None:
        chance = self._world.chance
        self._network.delay = chance.choice((100, 1_000, 10_000, 50_000))
        self._network.tells_peers = chance.random() < 0.7
        one_clock = chance.random() < 0.5
        for zone in self._installation.zones:
            zone.disk.sync_delay = chance.choice((100, 1_000, 20_000))
            zone.disk.read_delay = chance.choice((10, 500))
            if not one_clock:
                zone.machine.offset = chance.randint(-5 * SECOND, 5 * SECOND)
                zone.machine.rate = chance.uniform(0.999, 1.001)

    def next_gap(self) -> int:
        """Return how long it is until the next fault, in microseconds."""
        return int(self._world.chance.expovariate(1 / self._gap) * SECOND)

    def inject(self) -> None:
        """Let something go wrong."""
        self._strike(self._world.chance.choice(self._kinds))

    def ambush(self) -> None:
        """Strike whoever comes next to some step, right behind it: a little later, and perhaps twice."""
        chance = self._world.chance
        faults = [chance.choice(self._sudden) for _ in range(chance.randint(1, 2))]
        delay = chance.choice((0, 300, 3_000, 30_000))

        def strike() -> None:
            running = self._world.running
            name = "" if running is None else running.process.name
            for fault in faults:
                self._world.later(chance.randint(0, delay), lambda fault=fault: come(fault, name))

        def come(fault: Callable[[], None], name: str) -> None:
            if not self._harm.healed:
                self._harm.aim = next(
                    (zone for zone in self._installation.zones if zone.name == name), None
                )
                self._strike(fault)
                self._harm.aim = None

        self._probes.next(chance.choice(PROBES + STEPS), strike)

    def _strike(self, fault: Callable[[], None]) -> None:
        name = fault.__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        self._world.note(f"*** {name}")
        fault()

    def heal(self) -> None:
        """End every fault that lasts, and let no other come."""
        self._harm.healed = True
        self._network.clear()
        self._network.delay = 1_000
        for zone in self._installation.zones:
            disk = zone.disk
            disk.sync_delay, disk.read_delay, disk.stalled_until = 1_000, 100, 0
            disk.write_errors = disk.misdirected = 0.0
            disk.capacity = None
        for process in self._world.processes:
            process.resume()
        self._installation.supervise()

    # Processes

    def kill_zone(self) -> None:
        self._harm.kill(self._harm.any_zone())

    def kill_leader(self) -> None:
        self._harm.kill(self._harm.leader())

    def kill_all(self) -> None:
        for zone in self._installation.zones:
            self._harm.kill(zone)

    def crash_host(self) -> None:
        for session in self._sessions:
            session.kill()
        self._installation.crash()
        for zone in self._installation.zones:
            self._harm.restart(zone)

    def stop_zone(self) -> None:
        zone = self._harm.any_zone()
        zone.stop()
        self._harm.restart(zone)

    def pause_zone(self) -> None:
        self._harm.pause(self._harm.any_zone())

    def pause_leader(self) -> None:
        self._harm.pause(self._harm.leader())

    def kill_session(self) -> None:
        self._world.chance.choice(self._sessions).kill()

    def pause_session(self) -> None:
        session = self._world.chance.choice(self._sessions)
        if session.process is not None:
            session.process.pause(self._world.chance.randint(10, 5_000) * MILLISECOND)

    # Network

    def break_connections(self) -> None:
        chance = self._world.chance
        share = chance.choice((0.1, 0.5, 1.0))
        for end in list(self._network.ends):
            if end in self._network.ends and chance.random() < share / 2:
                end.break_()

    def stall_service(self) -> None:
        """Hold up all connections to one service of one zone, while its others go on."""
        addresses = sorted({end.address for end in self._network.ends})
        if addresses:
            address = self._world.chance.choice(addresses)
            held = [end for end in self._network.ends if end.address == address]
            self._network.stall(held)
            longest = self._world.chance.choice((50, 500, 3_000))
            duration = self._world.chance.randint(1, longest) * MILLISECOND
            self._world.later(duration, lambda: self._network.release(held))

    def clog_one_way(self) -> None:
        source, target = self._world.chance.sample(self._harm.names, 2)
        self._harm.clog([(source, target)])

    def isolate_zone(self) -> None:
        zone = self._harm.any_zone().name
        others = [name for name in self._harm.names if name != zone]
        pairs = [(zone, other) for other in others] + [(other, zone) for other in others]
        if self._world.chance.random() < 0.3:
            pairs = pairs[: len(others)]
        self._harm.clog(pairs)

    def swizzle_clog(self) -> None:
        """Cut some off one after the other, and let them back in another order."""
        chance = self._world.chance
        names = self._harm.names
        chosen = chance.sample(names, chance.randint(1, len(names)))
        for name in chosen:
            pairs = [(name, other) for other in names if other != name]
            pairs += [(other, name) for other in names if other != name]
            begin = chance.randint(0, 1_000) * MILLISECOND
            self._world.later(begin, lambda pairs=pairs: self._harm.clog(pairs))

    # Clocks and disks

    def step_clock(self) -> None:
        chance = self._world.chance
        size = chance.choice((SECOND, 60 * SECOND, 3_600 * SECOND, YEAR))
        step = chance.randint(-size, size)
        zones = self._installation.zones if chance.random() < 0.5 else [self._harm.any_zone()]
        for zone in zones:
            zone.machine.offset += step

    def slow_disk(self) -> None:
        disk = self._harm.any_zone().disk
        disk.sync_delay = self._world.chance.choice((100, 5_000, 50_000, 300_000))

    def stall_disk(self) -> None:
        disk = self._harm.any_zone().disk
        longest = self._world.chance.choice((100, 1_000, 8_000))
        disk.stalled_until = self._world.now + self._world.chance.randint(1, longest) * MILLISECOND

    def sicken_leader(self) -> None:
        """Let the leader's disk be slow from now on, or stand still for a while."""
        disk, chance = self._harm.leader().disk, self._world.chance
        if chance.random() < 0.5:
            disk.sync_delay = chance.choice((50_000, 300_000, 2_000_000))
        else:
            longest = chance.choice((300, 3_000, 12_000))
            disk.stalled_until = self._world.now + chance.randint(1, longest) * MILLISECOND

    def fill_disk(self) -> None:
        """Leave little room on a disk for a while."""
        chance = self._world.chance
        disk = self._harm.any_zone().disk
        disk.capacity = disk.used() + chance.choice((0, 500, 5_000))
        duration = chance.randint(100, 5_000) * MILLISECOND
        self._world.later(duration, lambda: setattr(disk, "capacity", None))

    def damage_disk(self) -> None:
        """Change what is stored, or make it unreadable."""
        disk = self._harm.victim.disk
        if self._world.chance.choice((disk.rot, disk.fail_sector))():
            self._harm.damaged.add(self._harm.victim.name)

    def damage_rows(self) -> None:
        """Flip a bit of a row, or of an older version of one, in the file that LMDB has mapped.

        Point reads take what they find: until the scrubber has come by, they may be misled there.
        """
        replica = self._installation.layout.storage(
            self._harm.victim.name, self._harm.any_cluster()
        )
        data = replica / ENVIRONMENT / "data.mdb"
        content = data.read_bytes() if data.exists() else b""
        values = [match.span() for match in _VALUE.finditer(content)]
        if values:
            start, end = self._world.chance.choice(values)
            self._flip(data, start - HEADER_BYTES, end)
            self._harm.damaged.add(self._harm.victim.name)
            self._installation.misleading.add(self._harm.victim.name)

    def damage_clock(self) -> None:
        """Flip a bit of the published clock."""
        clock = self._installation.layout.clock(self._harm.any_cluster())
        if clock.exists():
            self._flip(clock, 0, clock.stat().st_size)

    def _flip(self, path: Path, start: int, end: int) -> None:
        position, bit = self._world.chance.randrange(start, end), self._world.chance.randrange(8)
        with path.open("r+b") as file:
            file.seek(position)
            (byte,) = file.read(1)
            file.seek(position)
            file.write(bytes((byte ^ 1 << bit,)))

    def fail_writes(self) -> None:
        """Let writes fail, or land elsewhere, for a while."""
        chance = self._world.chance
        disk = self._harm.victim.disk
        disk.write_errors, disk.misdirected = chance.choice(((0.05, 0.0), (1.0, 0.0), (0.0, 0.05)))
        self._harm.damaged.add(self._harm.victim.name)

        def end() -> None:
            disk.write_errors = disk.misdirected = 0.0

        self._world.later(chance.randint(10, 2_000) * MILLISECOND, end)

    def lose_log(self) -> None:
        """Replace a journal's disk by an empty one."""
        self._harm.lose_log(self._harm.victim)
        self._harm.restart(self._harm.victim)
