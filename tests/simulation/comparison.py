"""What every zone has of a cluster at the end: rows in storage, records in the logs."""

from __future__ import annotations

import contextlib
import time

from dsql.errors import SqlError
from journal.log import Log
from journal.messages import Record
from placement.assignment import Assigner
from storage.client import RemoteReplica

from .history import Rows, Versions
from .installation import Installation
from .observer import Observer
from .world import SECOND, Machine, Process, ViolationError

_EQUALITY_BOUND = 30 * SECOND


def compare_replicas(installation: Installation, cluster: str, observer: Observer) -> None:
    """Read everything from every zone's storage at the newest timestamp. Raises ViolationError."""
    readers = [_Reader(installation, cluster, zone.name, observer) for zone in installation.zones]
    for reader in readers:
        reader.start()
    installation.world.run_until(
        lambda: all(reader.rows is not None for reader in readers),
        _EQUALITY_BOUND,
        "every storage replica can be read at the last commit",
    )
    versions = Versions(observer.journal)
    for reader in readers:
        expected = versions.rows(b"\0", b"\xff", reader.timestamp)
        if reader.rows != expected:
            raise ViolationError(f"{reader.zone} has {reader.rows}, not {expected}")


def compare_logs(
    installation: Installation,
    cluster: str,
    journal: list[Record],
    acknowledged: int,
    damaged: set[str],
) -> None:
    """Read what is on the disks of zones that have stopped. Raises ViolationError.

    What was fed stands in every log, and what was acknowledged in two that are not `damaged`.
    """
    holding = 0
    for zone in installation.zones:
        if zone.name in damaged:
            continue
        directory = installation.layout.journal(zone.name, cluster)
        log = Log(directory, expected=True, files=installation.files(None))
        records = _records(log)
        log.close()
        fed = journal[records[0].sequence - 1 :] if records else []
        if any(one != other for one, other in zip(records, fed, strict=False)):
            raise ViolationError(f"{zone.name} holds other records than were fed")
        holding += bool(records) and records[-1].timestamp >= acknowledged
    if holding < 2 - len(damaged):
        raise ViolationError(f"{holding} logs hold what was acknowledged")


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

    def __init__(
        self, installation: Installation, cluster: str, zone: str, observer: Observer
    ) -> None:
        self.zone = zone
        self.timestamp = 0
        self._observer = observer
        self.rows: Rows | None = None
        self._installation = installation
        self._cluster = cluster

    def start(self) -> None:
        world = self._installation.world
        process = Process(world, f"reader of {self.zone}", Machine(world, "reader"))
        process.spawn(self._read)

    def _read(self) -> None:
        layout = self._installation.layout
        socket = layout.socket(f"{self.zone}.storage")
        assigner = Assigner(layout, self.zone, sandbox=False, park_seconds=1.0)
        while self.rows is None:
            # As an agent does for who reads, too: a lost log that is found is restored by who leads.
            awake = assigner.connect_adjudicator(self._cluster, "")
            replica = RemoteReplica([socket], self._cluster)
            self.timestamp = self._observer.journal[
                -1
            ].timestamp  # an older one may be too old soon
            with contextlib.suppress(SqlError):  # the zone is starting, or behind
                self.rows = list(replica.snapshot(self.timestamp).scan(b"\0", b"\xff"))
            replica.close()
            time.sleep(0.1)
            if awake is not None:
                awake[1].close()
