"""The simulated installation: one host, three zones on it, their disks, and who starts them again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path

from adjudicator import server as adjudicator
from dsql.control.clusters import write_record
from dsql.control.layout import CLUSTER_FORMAT, ClusterRecord, Layout
from dsql.rpc.clock import ClockUnavailableError, PublishedClock
from journal import server as journal
from storage import server as storage
from storage.environment import ENVIRONMENT
from storage.replica_writer import FollowerSettings
from storage.trial import TRIAL

from .constants import draw_settings
from .disk import Disk
from .files import SimulatedFiles
from .loop import SimulatedLoop
from .themes import NONE, Theme
from .world import MILLISECOND, Machine, Process, World

_CLUSTERS = ("a" * 26, "b" * 26)
_SEVERAL = 0.2  # of all seeds have more than one
ZONES = ("zone-a", "zone-b", "zone-c")


class Zone:
    """One availability zone: the process that serves it, in one life after the other."""

    def __init__(self, installation: Installation, name: str) -> None:
        self.name = name
        self.starts = 0
        self.process: Process | None = None
        self.machine = Machine(installation.world, name)
        self.disk = Disk(installation.world, name)
        self._installation = installation
        self._world = installation.world

    @property
    def is_up(self) -> bool:
        """True while the process lives."""
        return self.process is not None and self.process.alive

    def start(self) -> None:
        """Start the process, unless it lives or nobody shall start it."""
        if self.is_up or not self._installation.supervised or self._world.over:
            return
        self.starts += 1
        self.process = process = Process(self._world, self.name, self.machine)
        process.local["disk"] = self.disk
        process.spawn(lambda: self._main(process))
        self._world.note(f"{self.name} starts")

    def kill(self) -> None:
        """End the process with SIGKILL."""
        if self.process is not None and self.process.alive:
            self._world.note(f"{self.name} is killed")
            self.process.kill()

    def stop(self) -> None:
        """End the process with SIGTERM: it cleans up."""
        if self.process is not None and self.process.alive:
            self._world.note(f"{self.name} is stopped")
            for loop in self.process.loops:
                loop.interrupt()

    def _main(self, process: Process) -> None:
        thread = self._world.running
        assert thread is not None
        loop = SimulatedLoop(process, thread)
        layout = Layout(self._installation.root, self._installation.files(process))
        try:
            installation = self._installation
            loop.run(
                serve_zone(layout, self.name, installation.settings, installation.rest_seconds)
            )
            self._world.note(f"{self.name} ends by itself")
        except asyncio.CancelledError:
            self._world.note(f"{self.name} has stopped")
        except OSError as error:
            self._world.note(f"{self.name} cannot run: {error}")
        process.kill()
        self._world.later(200 * MILLISECOND, self._installation.supervise)


async def serve_zone(
    layout: Layout, az: str, settings: FollowerSettings, rest_seconds: float
) -> None:
    """Run what `dsql az` runs."""
    log = journal.JournalServer(layout, az)
    rows = storage.make_server(layout, az, log, settings)

    def ready() -> None: ...

    async def run(service: Awaitable[None]) -> None:
        await service

    async with asyncio.TaskGroup() as group:
        group.create_task(run(journal.serve(layout, az, ready, log)))
        deciding = adjudicator.serve(
            layout, az, ready, log, log, storage=rows, rest_seconds=rest_seconds
        )
        group.create_task(run(deciding))
        group.create_task(run(storage.serve(layout, az, ready, rows)))


class Installation:
    """One host with one or two clusters on it, by their `identifiers`."""

    def __init__(self, world: World, theme: Theme = NONE) -> None:
        self.world = world
        self.machine = Machine(world, "host")
        shared_memory = Path("/dev/shm")
        place = shared_memory if shared_memory.is_dir() else None
        self.root = Path(tempfile.mkdtemp(prefix="dsql-simulation-", dir=place))
        self.zones = [Zone(self, name) for name in ZONES]
        self.disks = {"": Disk(world, "host")} | {zone.name: zone.disk for zone in self.zones}
        self.layout = Layout(self.root, self.files(None))
        self.supervised = True
        self.misleading: set[str] = set()  # zones where rows are wrong that nobody has looked at
        self.settings = draw_settings(world.chance, theme)
        self.rest_seconds = world.chance.choice((0.0, 0.5, 10.0))
        several = world.chance.random() < _SEVERAL
        self.identifiers = _CLUSTERS if several else _CLUSTERS[:1]
        for identifier in self.identifiers:
            self._found(identifier)

    def _found(self, identifier: str) -> None:
        self.layout.cluster(identifier).mkdir(parents=True)
        self.layout.files.make_directory(self.layout.cluster(identifier))
        write_record(
            self.layout,
            ClusterRecord(
                identifier=identifier,
                region="nowhere",
                endpoint="",
                account="",
                profile="dsql",
                azs=list(ZONES),
                created_at=0.0,
                format=CLUSTER_FORMAT,
            ),
        )

    def files(self, process: Process | None) -> SimulatedFiles:
        """Return the files of the simulated disks as a process sees them."""
        return SimulatedFiles(process, self.root, self.disks)

    def supervise(self) -> None:
        """Start every zone that is down, as the supervisor does."""
        for zone in self.zones:
            zone.start()

    def leader(self, identifier: str) -> Zone | None:
        """Return the zone that has published last, and most likely leads; None if nobody has."""
        try:
            clock = PublishedClock(self.layout.clock(identifier), self.machine.boot)
        except ClockUnavailableError:
            return None
        zone = clock.zone
        clock.close()
        return self.zones[zone]

    def crash(self) -> None:
        """Let the machine lose power: every process ends, and what was not synced is lost or torn."""
        for process in self.world.processes:
            if process.machine.name != "observer":
                process.kill()
        for disk in self.disks.values():
            disk.crash()
        self.machine.boot += 1
        for zone in self.zones:
            zone.machine.boot = self.machine.boot
            for identifier in self.identifiers:
                self._crash_storage(zone, self.layout.storage(zone.name, identifier))
        for identifier in self.identifiers:
            self._crash_words(self.layout.clock(identifier))

    def _crash_storage(self, zone: Zone, replica: Path) -> None:
        data = replica / ENVIRONMENT / "data.mdb"
        if data.exists():
            zone.disk.crash_file(data)
        for name in (f"{ENVIRONMENT}/board", TRIAL):
            self._crash_words(replica / name)

    def _crash_words(self, path: Path) -> None:
        """A small file that is never synced may be as it was at any time before."""
        if path.exists() and self.world.chance.random() < 0.5:
            content = path.read_bytes()
            older = bytes(len(content) - self.world.chance.randrange(len(content)))
            path.write_bytes(older + content[len(older) :])

    def remove(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.root, ignore_errors=True)
