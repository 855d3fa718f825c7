"""One run: three zones, a few clients, faults; then the faults end, and everything is checked."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from dsql.errors import SqlError
from journal.log import Log
from journal.messages import Record, RecordKind
from storage.client import RemoteReplica

from .cluster import CLUSTER, Cluster
from .constants import draw_constants
from .faults import Faults
from .history import History, Rows, Versions
from .kernel import worlds_kernel
from .log_watch import LogWatch
from .mutants import mutate
from .observer import Observer
from .probes import Probes
from .publication import Publications
from .session import Session
from .world import SECOND, Machine, Process, ViolationError, World

_PROGRESS_BOUND = 30 * SECOND
_IDLE_BOUND = 30 * SECOND
_EQUALITY_BOUND = 30 * SECOND


@dataclass
class Result:
    """What a run came to."""

    trace: str
    attempts: int
    committed: int
    aborted: int
    epochs: int
    events: int
    seconds: float
    faults: dict[str, int] = field(default_factory=dict)
    probes: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list, repr=False)


class Scenario:
    """Builds the installation, lets faults come, heals, and checks."""

    def __init__(self, world: World, probes: Probes) -> None:
        chance = world.chance
        self.world = world
        self.cluster = Cluster(world)
        self._history = History(pace=chance.choice((0.02, 0.1, 0.4)))
        count = chance.randint(2, 4)
        self._sessions = [
            Session(self.cluster, f"client{number}", self._history) for number in range(count)
        ]
        self._faults = Faults(self.cluster, self._sessions, probes)
        self._observer = Observer(self.cluster)
        self._faulty = chance.randint(3, 12) * SECOND

    def run(self) -> Result:
        """Run it. Raises ViolationError, or an AssertionError of the product itself."""
        world = self.world
        self.cluster.supervise()
        self._keep_sessions_running()
        until = self._faulty
        while world.now < until:
            world.run(min(self._faults.next_gap(), until - world.now))
            self._faults.inject()
        world.note("*** healing")
        self._faults.heal()
        self._make_progress()
        self._stop_sessions()
        self._await_feed()
        self._compare_replicas()
        journal = self._observer.journal
        self._compare_logs(journal)
        self._history.check(journal)
        return self._result(journal)

    def _keep_sessions_running(self) -> None:
        if not self.world.over:
            for session in self._sessions:
                if not session.stopping:
                    session.start()
            self.world.later(SECOND // 2, self._keep_sessions_running)

    def _make_progress(self) -> None:
        wanted = [session.decided + 3 for session in self._sessions]
        self.world.run_until(
            lambda: all(
                session.decided >= enough
                for session, enough in zip(self._sessions, wanted, strict=True)
            ),
            _PROGRESS_BOUND,
            "every client makes progress after the faults",
        )

    def _stop_sessions(self) -> None:
        for session in self._sessions:
            session.stopping = True
        self.world.run_until(
            lambda: all(session.idle for session in self._sessions), _IDLE_BOUND, "clients end"
        )

    def _await_feed(self) -> None:
        """Let the observer be fed what was acknowledged last."""
        self.world.run_until(
            lambda: self._observer.newest >= self._acknowledged,
            _IDLE_BOUND,
            "what was acknowledged is fed",
        )

    @property
    def _acknowledged(self) -> int:
        return max((attempt.timestamp for attempt in self._history.attempts), default=0)

    def _compare_replicas(self) -> None:
        """Read everything from every zone's storage at the newest timestamp."""
        readers = [_Reader(self.cluster, zone.name, self._observer) for zone in self.cluster.zones]
        for reader in readers:
            reader.start()
        self.world.run_until(
            lambda: all(reader.rows is not None for reader in readers),
            _EQUALITY_BOUND,
            "every storage replica can be read at the last commit",
        )
        versions = Versions(self._observer.journal)
        for reader in readers:
            expected = versions.rows(b"\0", b"\xff", reader.timestamp)
            if reader.rows != expected:
                raise ViolationError(f"{reader.zone} has {reader.rows}, not {expected}")

    def _compare_logs(self, journal: list[Record]) -> None:
        """Stop the zones, and read what is on their disks."""
        self.cluster.supervised = False
        for zone in self.cluster.zones:
            zone.stop()
        self.world.run_until(
            lambda: not any(zone.is_up for zone in self.cluster.zones), 30 * SECOND, "zones stop"
        )
        holding = 0
        for zone in self.cluster.zones:
            if zone.name in self._faults.damaged:
                continue
            directory = self.cluster.layout.journal(zone.name, CLUSTER)
            log = Log(directory, expected=True, files=self.cluster.files(None))
            records = _records(log)
            log.close()
            fed = journal[records[0].sequence - 1 :] if records else []
            if any(one != other for one, other in zip(records, fed, strict=False)):
                raise ViolationError(f"{zone.name} holds other records than were fed")
            holding += bool(records) and records[-1].timestamp >= self._acknowledged
        if holding < 2 - len(self._faults.damaged):
            raise ViolationError(f"{holding} logs hold what was acknowledged")

    def _result(self, journal: list[Record]) -> Result:
        return Result(
            self.world.trace,
            len(self._history.attempts),
            self._history.count("committed"),
            self._history.count("aborted"),
            sum(record.kind == RecordKind.EPOCH for record in journal),
            self.world.events,
            self.world.now / SECOND,
            self._faults.counts,
            lines=self.world.lines or [],
        )


def _records(log: Log) -> list[Record]:
    """Return all that a log holds, read piece by piece."""
    records: list[Record] = []
    while (
        following := records[-1].sequence + 1 if records else log.first_sequence
    ) <= log.last_sequence:
        frames = log.read(following, 1 << 20)
        assert frames, "a log has no gaps"
        records += [record for frame in frames for record in frame.records]
    return records


class _Reader:
    """Reads the whole of one zone's storage at a timestamp, as a query processor of another host does."""

    def __init__(self, cluster: Cluster, zone: str, observer: Observer) -> None:
        self.zone = zone
        self.timestamp = 0
        self._observer = observer
        self.rows: Rows | None = None
        self._cluster = cluster

    def start(self) -> None:
        world = self._cluster.world
        process = Process(world, f"reader of {self.zone}", Machine(world, "reader"))
        process.spawn(self._read)

    def _read(self) -> None:
        socket = self._cluster.layout.socket(f"{self.zone}.storage")
        while self.rows is None:
            replica = RemoteReplica([socket], CLUSTER)
            self.timestamp = self._observer.journal[
                -1
            ].timestamp  # an older one may be too old soon
            with contextlib.suppress(SqlError):  # the zone is starting, or behind
                self.rows = list(replica.snapshot(self.timestamp).scan(b"\0", b"\xff"))
            replica.close()
            time.sleep(0.1)


def run(seed: int, *, mutant: str = "", tracing: bool = False) -> Result:
    """Run one seed; an error tells it, and has the trace in `lines` if there is one."""
    world = World(seed, tracing=tracing)
    try:
        with _watched(world), pytest.MonkeyPatch.context() as patch, worlds_kernel(world):
            draw_constants(world.chance, patch)
            mutate(patch, mutant)
            probes, publications = Probes(patch), Publications(patch)
            scenario = Scenario(world, probes)
            try:
                result = scenario.run()
                publications.check()
                result.probes = dict(probes.counts)
                return result
            except BaseException:
                if world.lines is not None:
                    world.lines += world.stacks()
                raise
            finally:
                scenario.cluster.remove()
    except Exception as error:
        error.add_note(f"simulation seed {seed}, at {world.now / SECOND:.6f} s")
        error.lines = world.lines  # type: ignore[attr-defined]
        raise


@contextlib.contextmanager
def _watched(world: World) -> Iterator[None]:
    """Put the log into the trace, and nowhere else."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.handlers[:] = [LogWatch(world, lambda error: False)]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
